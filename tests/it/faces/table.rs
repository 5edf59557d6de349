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
const NO_WORKER: &str = "no worker may run meanwhile, and the API is served by a worker";
const BROKER: &str =
    "messages are published to the broker, and events are received from it; the API does not stand between";
const PAGES: &str = "the API has pages, which another function of the module reads";
const COUNTS: &str = "a list of the command line is cut and says so with totals; the API's lists go on to the end";
const HINT: &str = "it finds what a person has mistyped at a terminal";
const MANY: &str = "the command line lists all, or goes on behind a name, which another function of the module reads";
const LINKS: &str = "a link is an address of the API, whose public address the command line does not know";

/// Every use case of `app`, with the commands and the routes that offer it.
pub(super) const TABLE: &[(&str, Offered, Offered)] = &[
    ("access::links::create_link", Not(LINKS), As(&["createLink"])),
    ("access::links::links", Not(LINKS), As(&["listLinks"])),
    ("access::links::open_link", Not(OF_THE_API), As(&["getLinkStatus"])),
    ("access::links::revoke_link", Not(LINKS), As(&["revokeLink"])),
    ("access::repeated::begin", Not(OF_THE_API), Not(PART)),
    ("access::repeated::end", Not(OF_THE_API), Not(PART)),
    ("access::repeated::new", Not(OF_THE_API), Not(PART)),
    ("access::sessions::is_open", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE)),
    ("access::sessions::log_in", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE)),
    ("access::sessions::log_out", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE)),
    ("access::sessions::resume", Not(OF_THE_CONSOLE), Not(OF_THE_CONSOLE)),
    ("access::tokens::authenticate", Not(OF_THE_API), Not(PART)),
    ("access::tokens::create", As(&["tokens create"]), As(&["createToken"])),
    ("access::tokens::list", As(&["tokens list"]), As(&["listTokens"])),
    ("access::tokens::revoke", As(&["tokens revoke"]), As(&["revokeToken"])),
    ("actor::require", Not(PART), Not(PART)),
    ("attention::attention", As(&["attention"]), As(&["getAttention"])),
    ("audit::list", As(&["audit"]), As(&["listAudit"])),
    ("batches::compare::compare", As(&["batches compare"]), As(&["compareTenant", "compareBatch"])),
    ("batches::details::show", As(&["batches show"]), As(&["getBatch", "listBatchEvents"])),
    ("batches::list::extent", As(&["batches list"]), Not(COUNTS)),
    ("batches::list::list", As(&["batches list"]), Not(PAGES)),
    ("batches::list::page", Not(MANY), As(&["listBatches"])),
    ("candidates::decide", As(&["shelf candidates"]), As(&["decideCandidates"])),
    ("candidates::find", As(&["shelf candidates"]), As(&["listCandidates"])),
    ("connections::choices::choices", Not(OF_A_FORM), Not(OF_A_FORM)),
    ("connections::circumstances::status", As(&["tenants show"]), As(&["getTenant", "getTenantStatus"])),
    ("connections::circumstances::statuses", As(&["tenants list"]), As(&["listTenants"])),
    (
        "connections::circumstances::waiting",
        Not("`tenants show` has it as a remark of the light"),
        As(&["getTenantStatus"]),
    ),
    (
        "connections::lookup::connection",
        As(&["tenants show", "tenants mapping draft"]),
        As(&["getTenant", "draftMapping"]),
    ),
    ("connections::lookup::list", As(&["tenants list"]), Not(PAGES)),
    ("connections::lookup::meant_by", Not(PART), Not(HINT)),
    ("connections::lookup::page", Not(MANY), As(&["listTenants"])),
    ("connections::lookup::similar_to", Not(PART), Not(HINT)),
    ("connections::probe::probe", As(&["tenants probe"]), As(&["probeTenant"])),
    ("connections::remove::remove", As(&["tenants remove"]), As(&["deleteTenant"])),
    ("connections::set::discard_change", As(&["tenants set"]), As(&["deleteTenantChange"])),
    ("connections::set::prepare", As(&["tenants set"]), As(&["putTenant"])),
    ("connections::set::save", As(&["tenants set"]), As(&["putTenant"])),
    ("connections::set::try_out", As(&["tenants set"]), As(&["putTenant"])),
    ("connections::verify::verify", As(&["tenants verify"]), As(&["verifyTenant"])),
    ("context::close", Not(PART), Not(PART)),
    ("context::open", Not(PART), Not(PART)),
    ("context::open_store", Not(PART), Not(PART)),
    ("discard::plan", As(&["shelf discard"]), As(&["discardEntries"])),
    ("discard::plan_without_undo", Not("`tenants remove` discards so, as nothing of the tenant is kept"), Not(PART)),
    ("edit::change", Not(PART), Not(PART)),
    ("edit::open", As(&["shelf edit"]), As(&["getShelfDraft"])),
    ("edit::plan::carry_out", As(&["shelf edit"]), As(&["setShelfFields"])),
    ("edit::plan::plan", As(&["shelf edit"]), As(&["setShelfFields"])),
    ("edit::store", As(&["shelf edit"]), As(&["putShelfMessage"])),
    ("events::follow", As(&["events tail", "publish"]), Not(BROKER)),
    ("find::find", As(&["find"]), As(&["findBatches"])),
    ("init::initialise", As(&["init"]), Not(LOCAL)),
    (
        "lanes::order",
        As(&["lanes pause", "lanes resume", "lanes limit"]),
        As(&["pauseLane", "resumeLane", "limitLane"]),
    ),
    ("lanes::overrides", As(&["lanes overrides"]), As(&["listLanes"])),
    ("messages::outcomes::outcomes", As(&["publish"]), Not(BROKER)),
    ("messages::preview::preview", As(&["tenants preview"]), As(&["previewMessage"])),
    ("messages::publish::check_broker", As(&["publish"]), Not(BROKER)),
    ("messages::publish::publish", As(&["publish"]), Not(BROKER)),
    ("messages::tenant_check::check_for", As(&["lint"]), As(&["lintMessage"])),
    ("plan::carry_out", As(&["shelf discard"]), As(&["discardEntries"])),
    (
        "replays::control::act",
        As(&["replays start", "replays pause", "replays resume", "replays cancel"]),
        As(&["startReplay", "pauseReplay", "resumeReplay", "cancelReplay"]),
    ),
    ("replays::plan::plan", As(&["replay"]), As(&["planReplay"])),
    ("replays::plan::plan_and_start", As(&["shelf edit"]), Not("a program sees the plan before it starts a replay")),
    ("replays::read::all_items", As(&["replay"]), Not(PAGES)),
    ("replays::read::items", As(&["replays show"]), As(&["listReplayBatches"])),
    ("replays::read::list", As(&["replays list"]), As(&["listReplays"])),
    ("replays::read::show", As(&["replays show", "replays watch"]), As(&["getReplay"])),
    ("restore::leave", As(&["store restored-at"]), Not(NO_WORKER)),
    ("restore::note", As(&["store restored-at"]), Not(NO_WORKER)),
    ("restore::restored_store", As(&["store restored-at"]), Not(NO_WORKER)),
    ("restore_entry::discarded", Not("the list shows all that is known of one"), As(&["restoreEntry"])),
    ("restore_entry::list", As(&["shelf discarded"]), As(&["listDiscarded"])),
    ("restore_entry::place_of", As(&["shelf discarded"]), Not("the place of the next page is in its address")),
    ("restore_entry::restore", As(&["shelf restore"]), As(&["restoreEntry"])),
    ("shelf::customer::for_customer", As(&["shelf show"]), As(&["getCustomerText"])),
    ("shelf::extent", As(&["shelf list"]), Not(COUNTS)),
    ("shelf::groups::groups", As(&["shelf groups"]), As(&["listGroups"])),
    ("shelf::groups::notes_of", As(&["shelf show"]), As(&["getShelfEntry"])),
    ("shelf::list", As(&["shelf list", "dead-letters"]), Not(PAGES)),
    ("shelf::note::remove_note", As(&["shelf note"]), As(&["deleteGroupNote"])),
    ("shelf::note::write_note", As(&["shelf note"]), As(&["putGroupNote"])),
    ("shelf::page", Not(MANY), As(&["listShelf"])),
    ("shelf::pauses::read", As(&["shelf list", "shelf show"]), As(&["listShelf", "getShelfEntry"])),
    ("shelf::selection::ids", As(&["shelf discard", "shelf edit"]), As(&["discardEntries", "setShelfFields"])),
    ("shelf::selection::named", As(&["shelf candidates"]), Not(PART)),
    ("shelf::show", As(&["shelf show"]), As(&["getShelfEntry", "getShelfBody"])),
    ("shelf::show_published_as", As(&["shelf show"]), Not("the list of the shelf has the filter message_id")),
    ("topology::check", As(&["topology check"]), Not(LOCAL)),
    ("topology::declare", As(&["topology declare"]), Not(LOCAL)),
    (
        "undo::carry_out",
        As(&["batches undo", "batches restore", "batches remove-duplicates"]),
        As(&["undoBatch", "restoreBatch", "removeDuplicates"]),
    ),
    (
        "undo::plan::plan",
        As(&["batches undo", "batches restore", "batches remove-duplicates"]),
        As(&["undoBatch", "restoreBatch", "removeDuplicates"]),
    ),
    ("waits::read", As(&["lanes waiting"]), As(&["getWaits"])),
];

/// Commands that are no use case of people, with the reason.
pub(super) const COMMANDS_WITHOUT: &[(&str, &str)] = &[
    ("run", "it is the worker itself"),
    ("health", "it reads the port that monitoring reads"),
    ("config check", LOCAL),
    ("config show", LOCAL),
    ("schema asyncapi", "it prints what the program was built with"),
    ("schema batch", "it prints what the program was built with"),
    ("schema events", "it prints what the program was built with"),
    ("schema openapi", "it prints what the program was built with"),
];

/// Routes that are no use case of people, with the reason.
pub(super) const ROUTES_WITHOUT: &[(&str, &str)] =
    &[("getHealth", "it says whether the API answers"), ("getOpenApi", "it returns what the program was built with")];
