//! Lists under which names each face offers each use case, and why not where it does not.

use self::Offered::{As, Not};

/// How a face offers a use case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Offered {
    /// Under these names: commands, or ids of routes.
    As(&'static [&'static str]),
    /// Not, for this reason.
    Not(&'static str),
}

const PART: &str = "a part of other use cases, and nothing that a person asks for";
const OF_THE_API: &str = "it recognizes who sends a request to the API; the command line needs no token";
const OF_THE_CONSOLE: &str = "people with a browser have sessions; the command line and programs need none";
const OF_A_FORM: &str = "a form offers what can be chosen; elsewhere a wrong id is answered with the ids that exist";
const LOCAL: &str =
    "administration of the machine on which it runs, with its files and its broker: it needs no network";
const AT_START: &str = "`run` calls it before the worker starts, and the log shows what it found";
const NO_WORKER: &str = "no worker may run meanwhile, and the API is served by a worker";
const BROKER: &str =
    "messages are published to the broker, and events are received from it; the API does not stand between";
const PAGES: &str = "the API has pages, which another function of the module reads";
const COUNTS: &str = "a list of the command line is cut and says so with totals; the API's lists go on to the end";
const HINT: &str = "it finds what a person has mistyped at a terminal";
const MANY: &str = "the command line lists all, or goes on behind a name, which another function of the module reads";
const FILES: &str =
    "`run` calls it beside the worker: a person changes the files, and the log says what was taken over";
const LINKS: &str = "a link is an address of the API, whose public address the command line does not know";

/// Every use case of `app`, with the commands, the routes of the API and the pages of the console that offer it.
pub(super) const TABLE: &[(&str, Offered, Offered, Offered)] = &[
    ("access::links::create_link", Not(LINKS), As(&["createLink"]), As(&["createLink"])),
    ("access::links::links", Not(LINKS), As(&["listLinks"]), As(&["tenant"])),
    ("access::links::open_link", Not(OF_THE_API), As(&["getLinkStatus"]), As(&["linkPage"])),
    ("access::links::revoke_link", Not(LINKS), As(&["revokeLink"]), As(&["revokeLink"])),
    ("access::repeated::begin", Not(OF_THE_API), Not(PART), Not(PART)),
    ("access::repeated::end", Not(OF_THE_API), Not(PART), Not(PART)),
    ("access::repeated::new", Not(OF_THE_API), Not(PART), Not(PART)),
    ("access::sessions::is_open", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE), As(&["logInPage"])),
    ("access::sessions::log_in", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE), As(&["logIn"])),
    ("access::sessions::log_out", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE), As(&["logOut"])),
    ("access::sessions::resume", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE), Not(PART)),
    ("access::tokens::authenticate", Not(OF_THE_API), Not(PART), Not(PART)),
    ("access::tokens::create", As(&["tokens create"]), As(&["createToken"]), As(&["createToken"])),
    ("access::tokens::list", As(&["tokens list"]), As(&["listTokens"]), As(&["tokens"])),
    ("access::tokens::revoke", As(&["tokens revoke"]), As(&["revokeToken"]), As(&["revokeToken"])),
    ("actor::require", Not(PART), Not(PART), Not(PART)),
    ("attention::attention", As(&["attention"]), As(&["getAttention"]), As(&["start"])),
    ("audit::list", As(&["audit"]), As(&["listAudit"]), As(&["audit", "tenant"])),
    ("backup::back_up", As(&["store backup"]), Not(LOCAL), Not(LOCAL)),
    ("backup::moving::move_store", As(&["store copy"]), Not(NO_WORKER), Not(NO_WORKER)),
    ("backup::restoring::check", As(&["store restore"]), Not(NO_WORKER), Not(NO_WORKER)),
    ("backup::restoring::restore", As(&["store restore"]), Not(NO_WORKER), Not(NO_WORKER)),
    (
        "batches::compare::compare",
        As(&["batches compare"]),
        As(&["compareTenant", "compareBatch"]),
        As(&["compareBatch"]),
    ),
    ("batches::details::show", As(&["batches show"]), As(&["getBatch", "listBatchEvents"]), As(&["batch"])),
    ("batches::list::extent", As(&["batches list"]), Not(COUNTS), Not(COUNTS)),
    ("batches::list::list", As(&["batches list"]), Not(PAGES), Not(PAGES)),
    ("batches::list::page", Not(MANY), As(&["listBatches"]), As(&["batches"])),
    ("candidates::decide", As(&["shelf candidates"]), As(&["decideCandidates"]), As(&["decideCandidates"])),
    ("candidates::find", As(&["shelf candidates"]), As(&["listCandidates"]), As(&["candidates", "decideCandidates"])),
    ("connections::choices::choices", Not(OF_A_FORM), Not(OF_A_FORM), As(&["setConnection", "setLinkConnection"])),
    (
        "connections::circumstances::status",
        As(&["tenants show"]),
        As(&["getTenant", "getTenantStatus"]),
        As(&["tenant", "linkPage"]),
    ),
    ("connections::circumstances::statuses", As(&["tenants list"]), As(&["listTenants"]), As(&["tenants"])),
    (
        "connections::circumstances::waiting",
        Not("`tenants show` has it as a remark of the light"),
        As(&["getTenantStatus"]),
        As(&["tenant", "linkPage"]),
    ),
    ("connections::directory::follow", Not(FILES), Not(FILES), Not(FILES)),
    (
        "connections::lookup::connection",
        As(&["tenants show", "tenants mapping draft"]),
        As(&["getTenant", "draftMapping"]),
        As(&["tenant", "mapping", "probe"]),
    ),
    ("connections::lookup::list", As(&["tenants list"]), Not(PAGES), Not(PAGES)),
    ("connections::lookup::meant_by", Not(PART), Not(HINT), Not(HINT)),
    ("connections::lookup::page", Not(MANY), As(&["listTenants"]), As(&["tenants"])),
    ("connections::lookup::similar_to", Not(PART), Not(HINT), Not(HINT)),
    ("connections::probe::probe", As(&["tenants probe"]), As(&["probeTenant"]), As(&["probeTenant"])),
    (
        "connections::remove::preview",
        Not("`tenants remove` counts while the tenant is paused, and then asks"),
        Not("`deleteTenant` refuses with the count unless the entries are to be discarded, too"),
        As(&["planRemoval", "removeTenant"]),
    ),
    ("connections::remove::remove", As(&["tenants remove"]), As(&["deleteTenant"]), As(&["removeTenant"])),
    ("connections::set::discard_change", As(&["tenants set"]), As(&["deleteTenantChange"]), As(&["discardChange"])),
    (
        "connections::set::prepare",
        As(&["tenants set"]),
        As(&["putTenant"]),
        As(&["setConnection", "setMapping", "setLinkConnection"]),
    ),
    (
        "connections::set::save",
        As(&["tenants set"]),
        As(&["putTenant"]),
        As(&["setConnection", "setMapping", "setLinkConnection"]),
    ),
    ("connections::set::try_out", As(&["tenants set"]), As(&["putTenant"]), As(&["setMapping"])),
    (
        "connections::verify::verify",
        As(&["tenants verify"]),
        As(&["verifyTenant"]),
        As(&["verifyTenant", "verifyLinkConnection"]),
    ),
    ("context::close", Not(PART), Not(PART), Not(PART)),
    ("context::open", Not(PART), Not(PART), Not(PART)),
    ("context::open_store", Not(PART), Not(PART), Not(PART)),
    ("discard::plan", As(&["shelf discard"]), As(&["discardEntries"]), As(&["planDiscard", "discard"])),
    (
        "discard::plan_without_undo",
        Not("`tenants remove` discards so, as nothing of the tenant is kept"),
        Not(PART),
        Not(PART),
    ),
    ("doctor::at_start", Not(AT_START), Not(LOCAL), Not(LOCAL)),
    ("doctor::examine", As(&["doctor"]), Not(LOCAL), Not(LOCAL)),
    ("edit::change", Not(PART), Not(PART), Not(PART)),
    ("edit::open", As(&["shelf edit"]), As(&["getShelfDraft"]), As(&["draft", "editMessage"])),
    ("edit::plan::carry_out", As(&["shelf edit"]), As(&["setShelfFields"]), As(&["setFields"])),
    ("edit::plan::plan", As(&["shelf edit"]), As(&["setShelfFields"]), As(&["planSet", "setFields"])),
    ("edit::store", As(&["shelf edit"]), As(&["putShelfMessage"]), As(&["editMessage"])),
    ("events::follow", As(&["events tail", "publish"]), Not(BROKER), Not(BROKER)),
    ("find::find", As(&["find"]), As(&["findBatches"]), As(&["search"])),
    ("init::initialise", As(&["init"]), Not(LOCAL), Not(LOCAL)),
    (
        "lanes::order",
        As(&["lanes pause", "lanes resume", "lanes limit"]),
        As(&["pauseLane", "resumeLane", "limitLane"]),
        As(&["pauseLane", "resumeLane", "limitLane"]),
    ),
    ("lanes::overrides", As(&["lanes overrides"]), As(&["listLanes"]), As(&["lanes", "tenant"])),
    ("messages::outcomes::outcomes", As(&["publish"]), Not(BROKER), Not(BROKER)),
    ("messages::preview::preview", As(&["tenants preview"]), As(&["previewMessage"]), As(&["mapping", "setMapping"])),
    ("messages::publish::check_broker", As(&["publish"]), Not(BROKER), Not(BROKER)),
    ("messages::publish::publish", As(&["publish"]), Not(BROKER), Not(BROKER)),
    (
        "messages::tenant_check::check_for",
        As(&["lint"]),
        As(&["lintMessage"]),
        Not("an edited message is checked as it is stored; generators check theirs by command or by the API"),
    ),
    ("plan::carry_out", As(&["shelf discard"]), As(&["discardEntries"]), As(&["discard"])),
    (
        "replays::control::act",
        As(&["replays start", "replays pause", "replays resume", "replays cancel"]),
        As(&["startReplay", "pauseReplay", "resumeReplay", "cancelReplay"]),
        As(&["startReplay", "pauseReplay", "resumeReplay", "cancelReplay"]),
    ),
    ("replays::plan::plan", As(&["replay"]), As(&["planReplay"]), As(&["planReplay", "setFields"])),
    (
        "replays::plan::plan_and_start",
        As(&["shelf edit"]),
        Not("a program sees the plan before it starts a replay"),
        As(&["editMessage"]),
    ),
    ("replays::read::all_items", As(&["replay"]), Not(PAGES), Not(PAGES)),
    ("replays::read::items", As(&["replays show"]), As(&["listReplayBatches"]), As(&["replay"])),
    ("replays::read::list", As(&["replays list"]), As(&["listReplays"]), As(&["replays"])),
    ("replays::read::show", As(&["replays show", "replays watch"]), As(&["getReplay"]), As(&["replay"])),
    ("restore::leave", As(&["store restored-at"]), Not(NO_WORKER), Not(NO_WORKER)),
    ("restore::note", As(&["store restored-at"]), Not(NO_WORKER), Not(NO_WORKER)),
    ("restore::restored_store", As(&["store restored-at"]), Not(NO_WORKER), Not(NO_WORKER)),
    (
        "restore_entry::discarded",
        Not("the list shows all that is known of one"),
        As(&["restoreEntry"]),
        As(&["restoreEntry"]),
    ),
    ("restore_entry::list", As(&["shelf discarded"]), As(&["listDiscarded"]), As(&["discarded"])),
    (
        "restore_entry::place_of",
        As(&["shelf discarded"]),
        Not("the place of the next page is in its address"),
        Not("the place of the next page is in its address"),
    ),
    ("restore_entry::restore", As(&["shelf restore"]), As(&["restoreEntry"]), As(&["restoreEntry"])),
    ("rotation::finish", As(&["tenants rotate-master-key"]), Not(LOCAL), Not(LOCAL)),
    ("rotation::rotate", As(&["tenants rotate-master-key"]), Not(LOCAL), Not(LOCAL)),
    ("shelf::customer::for_customer", As(&["shelf show"]), As(&["getCustomerText"]), As(&["entry"])),
    ("shelf::extent", As(&["shelf list"]), Not(COUNTS), As(&["entries"])),
    ("shelf::groups::groups", As(&["shelf groups"]), As(&["listGroups"]), As(&["failures", "cause", "linkPage"])),
    ("shelf::groups::notes_of", As(&["shelf show"]), As(&["getShelfEntry"]), As(&["entry"])),
    ("shelf::list", As(&["shelf list", "dead-letters"]), Not(PAGES), As(&["mapping"])),
    ("shelf::note::remove_note", As(&["shelf note"]), As(&["deleteGroupNote"]), As(&["noteCause"])),
    ("shelf::note::write_note", As(&["shelf note"]), As(&["putGroupNote"]), As(&["noteCause"])),
    ("shelf::page", Not(MANY), As(&["listShelf"]), As(&["entries", "cause"])),
    (
        "shelf::pauses::read",
        As(&["shelf list", "shelf show"]),
        As(&["listShelf", "getShelfEntry"]),
        As(&["entry", "entries"]),
    ),
    (
        "shelf::selection::ids",
        As(&["shelf discard", "shelf edit"]),
        As(&["discardEntries", "setShelfFields"]),
        As(&["discard", "setFields"]),
    ),
    ("shelf::selection::named", As(&["shelf candidates"]), Not(PART), Not(PART)),
    ("shelf::show", As(&["shelf show"]), As(&["getShelfEntry", "getShelfBody"]), As(&["entry", "entryBody"])),
    (
        "shelf::show_published_as",
        As(&["shelf show"]),
        Not("the list of the shelf has the filter message_id"),
        Not("the list of entries has the filter message_id"),
    ),
    ("topology::check", As(&["topology check"]), Not(LOCAL), Not(LOCAL)),
    ("topology::declare", As(&["topology declare"]), Not(LOCAL), Not(LOCAL)),
    ("trend::trend", As(&["trend"]), As(&["getTrend"]), As(&["start"])),
    (
        "undo::carry_out",
        As(&["batches undo", "batches restore", "batches remove-duplicates"]),
        As(&["undoBatch", "restoreBatch", "removeDuplicates"]),
        As(&["undo"]),
    ),
    (
        "undo::plan::plan",
        As(&["batches undo", "batches restore", "batches remove-duplicates"]),
        As(&["undoBatch", "restoreBatch", "removeDuplicates"]),
        As(&["planUndo", "undo"]),
    ),
    ("waits::read", As(&["lanes waiting"]), As(&["getWaits"]), As(&["lanes"])),
];

/// Commands that are no use case of people, with the reason.
pub(super) const COMMANDS_WITHOUT: &[(&str, &str)] = &[
    ("run", "it is the worker itself"),
    ("console", "it serves the pages and the API itself"),
    ("health", "it reads the port that monitoring reads"),
    ("config check", LOCAL),
    ("config show", LOCAL),
    ("completions", "it prints what the program was built with"),
    ("schema asyncapi", "it prints what the program was built with"),
    ("schema doctor", "it prints what the program was built with"),
    ("schema batch", "it prints what the program was built with"),
    ("schema events", "it prints what the program was built with"),
    ("schema openapi", "it prints what the program was built with"),
];

/// Routes that are no use case of people, with the reason.
pub(super) const ROUTES_WITHOUT: &[(&str, &str)] =
    &[("getHealth", "it says whether the API answers"), ("getOpenApi", "it returns what the program was built with")];

/// Pages that are no use case of people, with the reason.
pub(super) const PAGES_WITHOUT: &[(&str, &str)] = &[("asset", "it returns a file that pages load")];
