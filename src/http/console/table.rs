//! Lists every page of the console.

use super::route::{Access, Route, Scope, Verb};
use super::{
    audit, batch, batches, candidates, compare, connection, discard, discarded, edit, entries, entry, failures, lanes,
    link_page, log_in, mapping, probe, removal, replay, replays, search, set, start, tenant, tenant_links, tenants,
    tokens, undo,
};
use crate::app::actor::Role;

/// Every page, by subject.
const TABLE: &[&[Route]] = &[
    log_in::ROUTES,
    start::ROUTES,
    failures::ROUTES,
    entries::ROUTES,
    entry::ROUTES,
    edit::ROUTES,
    set::ROUTES,
    discard::ROUTES,
    candidates::ROUTES,
    replays::ROUTES,
    replay::ROUTES,
    batches::ROUTES,
    batch::ROUTES,
    compare::ROUTES,
    undo::ROUTES,
    search::ROUTES,
    tenants::ROUTES,
    tenant::ROUTES,
    connection::ROUTES,
    mapping::ROUTES,
    probe::ROUTES,
    removal::ROUTES,
    tenant_links::ROUTES,
    link_page::ROUTES,
    discarded::ROUTES,
    lanes::ROUTES,
    audit::ROUTES,
    tokens::ROUTES,
];

/// Returns every page.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    TABLE.iter().copied().flatten()
}

/// What a test of all pages has to know of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSummary {
    /// Its name.
    pub id: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path, with the names of parameters in braces.
    pub path: &'static str,
    /// The role that its user needs; none where everybody may open it or a link opens it.
    pub role: Option<Role>,
    /// Whether a tenant's link opens it.
    pub is_of_link: bool,
    /// Whether a person whose token is for one tenant may not open it.
    pub is_for_all: bool,
    /// The names in its form.
    pub form: &'static [&'static str],
}

/// Returns what a test of all pages has to know.
pub fn page_summaries() -> Vec<PageSummary> {
    let summary = |route: &'static Route| PageSummary {
        id: route.id,
        method: match route.verb {
            Verb::Get => "GET",
            Verb::Post => "POST",
        },
        path: route.path,
        role: match route.access {
            Access::Person(role) => Some(role),
            Access::Anybody | Access::Link => None,
        },
        is_of_link: route.access == Access::Link,
        is_for_all: route.scope == Scope::All,
        form: route.form,
    };
    routes().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_page_has_a_name_and_a_path_of_its_own() {
        let (mut ids, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for route in routes() {
            assert!(!route.id.is_empty() && ids.insert(route.id), "{}", route.path);
            assert!(paths.insert((route.verb == Verb::Get, route.path)), "{}", route.path);
            assert!(route.form.is_empty() || route.verb == Verb::Post, "{}", route.id);
        }
    }

    #[test]
    fn only_a_form_changes_anything_and_a_viewer_has_none_but_the_end_of_the_session() {
        for route in routes().filter(|route| route.verb == Verb::Post) {
            let is_of_viewers = matches!(route.access, Access::Person(Role::Viewer));
            assert!(!is_of_viewers || route.id == "logOut", "{}", route.id);
        }
    }

    #[test]
    fn a_page_about_one_tenant_names_it_in_its_path_and_no_other_does() {
        for route in routes() {
            assert_eq!(route.path.contains("{tenant}"), route.scope == Scope::Path, "{}", route.id);
        }
    }

    #[test]
    fn a_page_about_one_entry_says_so_and_no_other_does() {
        for route in routes() {
            let starts = |with: &str| route.path.starts_with(with);
            assert_eq!(starts("/entries/{id}"), route.scope == Scope::Entry, "{}", route.id);
            assert_eq!(starts("/discarded/{id}"), route.scope == Scope::Discarded, "{}", route.id);
        }
    }

    #[test]
    fn a_page_for_everybody_shows_nothing_of_any_tenant() {
        for route in routes() {
            assert!(route.access != Access::Anybody || route.scope == Scope::Nothing, "{}", route.id);
        }
    }
}
