//! Names every page and every list that is asked for, with what is really in the store.

use testmo_courier::app::replays::ReplayId;
use testmo_courier::batch::cause::CauseId;

use super::super::large::names::{
    TENANTS, batch_id, draw, external_id, name, source_key, tenant, tenant_number, testmo_id,
};
use super::super::large::seed::{CAUSES, HOUR, Size, arrival};

/// What is asked for, with its path; what stands in braces is replaced by a value in each round.
///
/// A batch is `{batch}` of `{tenant}` where it has its events, `{old}` of `{old-tenant}` where only its record is there, and
/// `{dead}` of `{dead-tenant}` where it is on the shelf.
pub(super) const PAGES: &[(&str, &str)] = &[
    ("what needs attention", "/"),
    ("failures", "/failures"),
    ("failures, of a tenant", "/failures?tenant={tenant}"),
    ("failures, by reason", "/failures?reason=case_refused"),
    ("failures, by state", "/failures?state=dead"),
    ("a cause", "/failures/{group}"),
    ("a cause, of a tenant", "/failures/{group}?tenant={tenant}"),
    ("a cause, a page in the middle", "/failures/{group}?after={shelf-middle}"),
    ("entries", "/failures/entries"),
    ("entries, of a tenant", "/failures/entries?tenant={tenant}"),
    ("entries, by reason", "/failures/entries?reason=retries_exhausted"),
    ("entries, by a reason that none has", "/failures/entries?reason=key_refused"),
    ("entries, dead", "/failures/entries?state=dead"),
    ("entries, parked", "/failures/entries?state=parked"),
    ("entries, by cause and tenant", "/failures/entries?group={group}&tenant={tenant}"),
    ("entries, by state and reason, none", "/failures/entries?state=parked&reason=case_refused"),
    ("entries, within two hours", "/failures/entries?since={shelf-since}&until={shelf-until}"),
    ("entries, by message_id", "/failures/entries?message_id=m-{dead}"),
    ("entries, a page in the middle", "/failures/entries?after={shelf-middle}"),
    ("discard, of a cause and a tenant", "/failures/discard?group={group}&tenant={tenant}"),
    ("set a field, of a cause and a tenant", "/failures/set?group={group}&tenant={tenant}&set=priority%3Dhigh"),
    ("an entry", "/entries/{id}"),
    ("an entry's message", "/entries/{id}/body"),
    ("edit an entry", "/entries/{id}/edit"),
    ("replays", "/replays"),
    ("replays, by a state that none has", "/replays?state=paused"),
    ("replays, a page in the middle", "/replays?after={replays-middle}"),
    ("a replay of 100,000", "/replays/{replay}"),
    ("a replay, a page in the middle", "/replays/{replay}?after={items-middle}"),
    ("a replay, by an outcome that none has", "/replays/{replay}?outcome=delivered"),
    ("tenants", "/tenants"),
    ("tenants, a page in the middle", "/tenants?after=tenant-150"),
    ("a tenant", "/tenants/{tenant}"),
    ("a tenant with 10,000 parked batches", "/tenants/tenant-000"),
    ("a mapping", "/tenants/{tenant}/mapping"),
    ("a probe", "/tenants/{tenant}/probe"),
    ("remove a tenant", "/tenants/{tenant}/remove"),
    ("a tenant's link", "/t/{link}"),
    ("batches", "/batches"),
    ("batches, delivered", "/batches?state=delivered"),
    ("batches, partial", "/batches?state=partial"),
    ("batches, failed", "/batches?state=failed"),
    ("batches, discarded, none", "/batches?state=discarded"),
    ("batches, open, none", "/batches?state=open"),
    ("batches, of a tenant", "/batches?tenant={tenant}"),
    ("batches, delivered, of a tenant", "/batches?tenant={tenant}&state=delivered"),
    ("batches, open, of a tenant, none", "/batches?tenant={tenant}&state=open"),
    ("batches, partial, of a tenant", "/batches?tenant={tenant}&state=partial"),
    ("batches, in an hour", "/batches?since={since}&until={until}"),
    ("batches, partial, in an hour", "/batches?state=partial&since={since}&until={until}"),
    ("batches, of a tenant, in an hour", "/batches?tenant={tenant}&since={since}&until={until}"),
    ("batches, failed, before all failed", "/batches?state=failed&until={until}"),
    ("batches, a page in the middle", "/batches?after={batches-middle}"),
    ("batches, partial, a page in the middle", "/batches?state=partial&after={batches-middle}"),
    ("a delivered batch", "/batches/{tenant}/{batch}"),
    ("a delivered batch, its record alone", "/batches/{old-tenant}/{old}"),
    ("a batch on the shelf", "/batches/{dead-tenant}/{dead}"),
    ("search: batch id", "/search?text={batch}"),
    ("search: tenant and batch id", "/search?text={old-tenant}%2F{old}"),
    ("search: external id", "/search?text={external-id}"),
    ("search: whole name", "/search?text={name}"),
    ("search: a word of all names", "/search?text=verify"),
    ("search: a word of some names", "/search?text=boundary"),
    ("search: source key", "/search?text={source-key}"),
    ("search: id in Testmo", "/search?text={testmo-id}"),
    ("search: nothing that is there", "/search?text=zeppelin"),
    ("discarded", "/discarded"),
    ("discarded, of a tenant", "/discarded?tenant={tenant}"),
    ("lanes", "/lanes"),
    ("audit", "/audit"),
    ("audit, of a tenant", "/audit?tenant={tenant}"),
    ("audit, of a batch", "/audit?tenant={tenant}&batch={batch}"),
    ("audit, by person", "/audit?actor=person-7"),
    ("audit, by action", "/audit?action=shelf.edit"),
    ("audit, by an action that there is none of", "/audit?action=cause.note"),
    ("audit, by person and action, none", "/audit?actor=person-7&action=cause.note"),
    ("audit, by subject", "/audit?subject=entry%2077"),
    ("audit, within an hour", "/audit?since={since}&until={until}"),
    ("audit, a page in the middle", "/audit?after={audit-middle}"),
    ("tokens", "/tokens"),
    ("tokens, a page in the middle", "/tokens?after=token-5"),
    ("log in", "/log-in"),
    ("the style sheet", "/assets/console.css"),
];

/// The lists of the API in the same way.
pub(super) const LISTS: &[(&str, &str)] = &[
    ("attention", "/api/v1/attention"),
    ("attention, of a tenant", "/api/v1/attention?tenant_id={tenant}"),
    ("trend", "/api/v1/trend"),
    ("waits", "/api/v1/waits"),
    ("health", "/api/v1/health"),
    ("the description of the API", "/api/v1/openapi.json"),
    ("groups", "/api/v1/shelf/groups"),
    ("groups, of a tenant", "/api/v1/shelf/groups?tenant_id={tenant}"),
    ("shelf", "/api/v1/shelf"),
    ("shelf, of a tenant", "/api/v1/shelf?tenant_id={tenant}"),
    ("shelf, by group", "/api/v1/shelf?group={group}"),
    ("shelf, a page in the middle", "/api/v1/shelf?after={shelf-middle}"),
    ("an entry", "/api/v1/shelf/{id}"),
    ("an entry's message", "/api/v1/shelf/{id}/body"),
    ("an entry's text for the customer", "/api/v1/shelf/{id}/customer-text"),
    ("an entry's draft", "/api/v1/shelf/{id}/draft"),
    ("discarded", "/api/v1/shelf/discarded"),
    ("replays", "/api/v1/replays"),
    ("a replay of 100,000", "/api/v1/replays/{replay}"),
    ("a replay's batches", "/api/v1/replays/{replay}/batches"),
    ("a replay's batches, a page in the middle", "/api/v1/replays/{replay}/batches?after={items-middle}"),
    ("batches", "/api/v1/batches"),
    ("batches, delivered, of a tenant", "/api/v1/batches?tenant_id={tenant}&state=delivered"),
    ("batches, partial, in an hour", "/api/v1/batches?state=partial&since={since}&until={until}"),
    ("batches, a page in the middle", "/api/v1/batches?after={batches-middle}"),
    ("a delivered batch", "/api/v1/batches/{tenant}/{batch}"),
    ("a delivered batch's events", "/api/v1/batches/{tenant}/{batch}/events"),
    ("find: whole name", "/api/v1/find?text={name}"),
    ("find: a word of some names", "/api/v1/find?text=boundary"),
    ("tenants", "/api/v1/tenants"),
    ("a tenant", "/api/v1/tenants/{tenant}"),
    ("a tenant's status", "/api/v1/tenants/{tenant}/status"),
    ("a tenant's links", "/api/v1/tenants/{tenant}/links"),
    ("a link's status", "/t/{link}/api/status"),
    ("lanes", "/api/v1/lanes"),
    ("tokens", "/api/v1/tokens"),
    ("audit", "/api/v1/audit"),
    ("audit, by action", "/api/v1/audit?action=shelf.edit"),
];

/// What is in the store.
pub(super) struct Known<'a> {
    pub(super) size: &'a Size,
    /// When the store was filled, in milliseconds since 1970.
    pub(super) now: i64,
    /// Some entries of dead batches.
    pub(super) entries: Vec<String>,
    /// A replay of all dead batches.
    pub(super) replay: ReplayId,
    /// The secret of a tenant's link.
    pub(super) link: String,
}

impl Known<'_> {
    /// Returns a path with the values of a round.
    ///
    /// # Errors
    /// When a value has no such name.
    pub(super) fn filled(&self, path: &str, round: u64) -> anyhow::Result<String> {
        let mut filled = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let Some(value) = self.value(name, round) else { anyhow::bail!("{path}: there is no {name}") };
            filled.push_str(before);
            filled.push_str(&value.replace(' ', "%20"));
            rest = after;
        }
        Ok(filled + rest)
    }

    fn value(&self, what: &str, round: u64) -> Option<String> {
        let (size, drawn) = (self.size, draw(round + 99));
        let recent = size.first_with_event() + drawn % size.with_events.max(1);
        let old = drawn % size.first_with_event().max(1);
        let dead = size.delivered + drawn % size.dead.max(1);
        let hour = arrival(self.now, size, old);
        let middle = arrival(self.now, size, size.delivered + size.dead / 2);
        let cause = || {
            let (reason, detail) = CAUSES[usize::try_from(dead % CAUSES.len() as u64).ok()?];
            Some(CauseId::of(reason.code(), Some(detail)).to_string())
        };
        match what {
            "tenant" => Some(tenant(recent)),
            "batch" => Some(batch_id(recent)),
            "old-tenant" => Some(tenant(old)),
            "old" => Some(batch_id(old)),
            "dead-tenant" => Some(tenant(dead)),
            "dead" => Some(batch_id(dead)),
            "id" => self.entries.get(usize::try_from(round).ok()? % self.entries.len().max(1)).cloned(),
            "group" => cause(),
            "link" => Some(self.link.clone()),
            "replay" => Some(self.replay.to_string()),
            "items-middle" => Some((size.dead / 2).to_string()),
            "replays-middle" => Some((size.replays / 2).to_string()),
            "shelf-middle" => Some(format!("{middle}.{}", i64::MAX)),
            "shelf-since" => at(middle - HOUR),
            "shelf-until" => at(middle + HOUR),
            "batches-middle" => Some(format!("{hour}.{}/{}", tenant(old), batch_id(old))),
            "audit-middle" => Some(format!("{hour}.{}", size.audit / 2)),
            "since" => at(hour),
            "until" => at(hour + HOUR),
            "external-id" => Some(external_id(recent, 3)),
            "name" => Some(name(recent, 1)),
            "source-key" => Some(source_key(recent)),
            "testmo-id" => Some(testmo_id(recent, 4).to_string()),
            _ => None,
        }
    }
}

/// Writes a time as filters take it.
fn at(ms: i64) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(ms).ok()?.to_string())
}

/// Returns the tenants of the store.
pub(super) fn tenants() -> Vec<String> {
    (0..TENANTS).map(tenant_number).collect()
}

#[cfg(test)]
mod tests {
    use testmo_courier::http::api::route_summaries;
    use testmo_courier::http::console::page_summaries;

    use super::*;

    /// What a request for reads from Testmo, which takes as long as Testmo does.
    const READS_TESTMO: [&str; 3] = ["candidates", "compareBatch", "planUndo"];
    /// Routes of the API that show no list; comparisons read from Testmo.
    const NOT_LISTS: [&str; 3] = ["compareTenant", "compareBatch", "draftMapping"];

    /// Returns a path without its query, and without the names in braces.
    fn shape(path: &str) -> String {
        let path = path.split('?').next().unwrap_or_default();
        path.split('/').map(|part| if part.contains('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_page_and_every_list_is_measured_but_those_that_read_from_testmo() {
        let is_measured =
            |of: &[(&str, &str)], path: &str| of.iter().any(|(_, measured)| shape(measured) == shape(path));
        for page in page_summaries().iter().filter(|page| page.method == "GET") {
            let is_file = page.path == "/assets/{name}";
            let expected = !READS_TESTMO.contains(&page.id);
            assert_eq!(is_measured(PAGES, page.path) || is_file, expected, "{}", page.id);
        }
        for route in route_summaries().iter().filter(|route| route.method == "GET" && !route.has_body) {
            let expected = !NOT_LISTS.contains(&route.id) && route.id != "listCandidates";
            assert_eq!(is_measured(LISTS, route.path), expected, "{}", route.id);
        }
    }

    #[test]
    fn every_path_can_be_filled_with_what_is_there() {
        let size =
            Size { delivered: 50, with_events: 10, dead: 10, parked: 5, audit: 5, discarded: 5, tokens: 5, replays: 5 };
        let known = Known { size: &size, now: 0, entries: vec!["7".into()], replay: ReplayId(3), link: "tl_x".into() };
        for (what, path) in PAGES.iter().chain(LISTS) {
            let filled = known.filled(path, 5).unwrap();
            assert!(!filled.contains(['{', '}', ' ']), "{what}: {filled}");
        }
        assert_eq!(known.filled("/replays/{replay}?after={items-middle}", 0).unwrap(), "/replays/3?after=5");
        assert!(known.filled("/{nothing}", 0).is_err());
    }
}
