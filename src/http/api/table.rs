//! Lists every route of the API.

use super::route::{Access, Body, Precondition, Route, Scope, Verb};
use super::{
    audit, batches, candidates, compare, discarded, edit, find, lanes, links, messages, notes, overview, probes,
    replays, shelf, shelf_changes, tenant_changes, tenants, tokens, undo,
};
use crate::app::actor::Role;

/// Every route, by subject.
const TABLE: &[&[Route]] = &[
    overview::ROUTES,
    find::ROUTES,
    tenants::ROUTES,
    tenant_changes::ROUTES,
    probes::ROUTES,
    links::ROUTES,
    shelf::ROUTES,
    shelf_changes::ROUTES,
    edit::ROUTES,
    candidates::ROUTES,
    discarded::ROUTES,
    notes::ROUTES,
    replays::ROUTES,
    batches::ROUTES,
    compare::ROUTES,
    undo::ROUTES,
    lanes::ROUTES,
    messages::ROUTES,
    tokens::ROUTES,
    audit::ROUTES,
];

/// Returns every route.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    TABLE.iter().copied().flatten()
}

/// What a test of all routes has to know of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSummary {
    /// Its name in the OpenAPI document.
    pub id: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path, with the names of parameters in braces.
    pub path: &'static str,
    /// The role that its user needs; none where a link opens it.
    pub role: Option<Role>,
    /// Whether a token for one tenant may not use it.
    pub is_for_all: bool,
    /// Whether it takes a body.
    pub has_body: bool,
    /// Whether it needs a precondition.
    pub has_precondition: bool,
    /// Whether it changes something.
    pub changes: bool,
}

/// Returns what a test of all routes has to know.
pub fn route_summaries() -> Vec<RouteSummary> {
    let summary = |route: &'static Route| RouteSummary {
        id: route.id,
        method: route.verb.name(),
        path: route.path,
        role: match route.access {
            Access::Token(role) => Some(role),
            Access::Link => None,
        },
        is_for_all: route.scope == Scope::All,
        has_body: !matches!(route.body, Body::None),
        has_precondition: route.precondition == Precondition::Tenant,
        changes: route.verb != Verb::Get && route.changes,
    };
    routes().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_a_name_and_a_path_of_its_own() {
        let (mut ids, mut paths) = (BTreeSet::new(), BTreeSet::new());
        for route in routes() {
            assert!(ids.insert(route.id), "{}", route.id);
            assert!(paths.insert((route.verb.name(), route.path)), "{}", route.path);
            assert!(!route.about.is_empty() && route.about.ends_with('.'), "{}", route.id);
            assert!(!route.answers.is_empty(), "{}", route.id);
        }
    }

    #[test]
    fn a_viewer_can_only_read() {
        for route in routes() {
            let is_of_viewers = matches!(route.access, Access::Link | Access::Token(Role::Viewer));
            assert!(!is_of_viewers || !route.changes, "{}", route.id);
            assert!(route.verb != Verb::Get || !route.changes, "{}", route.id);
            assert!(!matches!(route.verb, Verb::Put | Verb::Delete) || route.changes, "{}", route.id);
        }
    }

    #[test]
    fn a_route_for_one_tenant_names_it_in_its_path_and_no_other_does() {
        for route in routes() {
            let names = route.path_parameters().any(|name| name == "tenant");
            assert_eq!(names, route.scope == Scope::Path, "{}", route.id);
        }
    }

    #[test]
    fn a_route_about_one_entry_says_so_and_no_other_does() {
        for route in routes() {
            let names = route.path.starts_with("/api/v1/shelf/") && route.path.contains("{id}");
            assert_eq!(names, matches!(route.scope, Scope::Entry | Scope::Discarded), "{}", route.id);
        }
    }

    #[test]
    fn only_changes_of_connections_need_a_precondition() {
        let with: Vec<&str> =
            routes().filter(|route| route.precondition == Precondition::Tenant).map(|route| route.id).collect();
        assert_eq!(with, ["putTenant", "deleteTenant", "deleteTenantChange"]);
    }
}
