//! Remembers which fields Testmo has accepted over a connection, and when a case was last created over it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::suspects::Name;
use crate::batch::RenderedCase;
use crate::guard::lock;

/// The most connections that are remembered. Beyond it all are forgotten; the next created cases show it again.
const MOST_CONNECTIONS: usize = 1_000;
/// The most fields that are remembered of a connection.
const MOST_FIELDS: usize = 200;

/// What was accepted over connections, by tenant and version.
#[derive(Debug, Default)]
pub(super) struct Accepted(Mutex<HashMap<Name, Standing>>);

/// What was accepted over one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The fields that somebody else than the case chose for what the case supplied.
    pub(super) fields: Arc<BTreeSet<String>>,
    /// The custom fields that cases chose themselves.
    pub(super) own: Arc<BTreeSet<String>>,
    /// The columns of fields that the project has lost, and when the connection was last blamed for each, in milliseconds on
    /// the store's clock.
    lost: Arc<BTreeMap<String, i64>>,
    /// When a case was last created, in milliseconds on the store's clock.
    pub(super) created_at: Option<i64>,
}

impl Accepted {
    /// Notes that these cases were created over a connection at `now`, in milliseconds on the store's clock.
    pub(super) fn note<'a>(&self, name: Name, cases: impl Iterator<Item = &'a RenderedCase>, now: i64) {
        let mut known = lock(&self.0);
        let standing = standing_of(&mut known, name);
        standing.created_at = standing.created_at.max(Some(now));
        let mut last: Option<&RenderedCase> = None;
        for case in cases {
            // Most cases are like the one before.
            if last.is_some_and(|last| last.provenance.is_like(&case.provenance)) {
                continue;
            }
            last = Some(case);
            case.provenance.chosen_fields().for_each(|field| remember(&mut standing.fields, field));
            for column in case.provenance.own_columns() {
                remember(&mut standing.own, case.provenance.name_of(column));
                if standing.lost.contains_key(column) {
                    Arc::make_mut(&mut standing.lost).remove(column);
                }
            }
        }
    }

    /// Notes at `now`, in milliseconds on the store's clock, that a connection is to blame because its project has lost
    /// fields. Returns whether it was blamed for each of them before, and cases were created over it since: then it works
    /// for batches without these fields.
    pub(super) fn works_without(&self, name: Name, lost: &BTreeSet<String>, now: i64) -> bool {
        let mut known = lock(&self.0);
        let standing = standing_of(&mut known, name);
        let has_worked_since = |blamed_at: &i64| standing.created_at.is_some_and(|created_at| created_at > *blamed_at);
        if lost.iter().all(|column| standing.lost.get(column).is_some_and(has_worked_since)) {
            return true;
        }
        for column in lost {
            if standing.lost.contains_key(column) || standing.lost.len() < MOST_FIELDS {
                Arc::make_mut(&mut standing.lost).insert(column.clone(), now);
            }
        }
        false
    }

    /// Returns what was accepted over a connection.
    pub(super) fn of(&self, name: &Name) -> Standing {
        lock(&self.0).get(name).cloned().unwrap_or_default()
    }
}

fn standing_of(known: &mut HashMap<Name, Standing>, name: Name) -> &mut Standing {
    if known.len() >= MOST_CONNECTIONS && !known.contains_key(&name) {
        known.clear();
    }
    known.entry(name).or_default()
}

fn remember(fields: &mut Arc<BTreeSet<String>>, field: String) {
    if !fields.contains(&field) && fields.len() < MOST_FIELDS {
        Arc::make_mut(fields).insert(field);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::batch::render::kinds::FieldKinds;
    use crate::batch::render::mapping::Mapping;
    use crate::batch::render::render;

    fn name(version: usize) -> Name {
        ("acme".parse().unwrap(), format!("v{version}"))
    }

    fn cases(column: &str) -> Vec<RenderedCase> {
        let case = |n: usize| json!({"name": n.to_string(), "description": "d", "steps": [{"action": "a"}]});
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": [case(1), case(2)]});
        let mapping = Mapping { steps: Some(column.into()), ..Mapping::default() };
        render(&decode(message.to_string().as_bytes()).unwrap(), &mapping, &FieldKinds::default())
    }

    #[test]
    fn what_was_accepted_counts_for_its_connection_alone() {
        let accepted = Accepted::default();
        accepted.note(name(1), cases("custom_steps").iter(), 7);
        accepted.note(name(1), cases("custom_steps").iter(), 5);
        let fields = ["custom_description", "custom_steps"].map(str::to_owned).into();
        assert_eq!((&*accepted.of(&name(1)).fields, accepted.of(&name(1)).created_at), (&fields, Some(7)));
        assert_eq!((accepted.of(&name(2)).fields.len(), accepted.of(&name(2)).created_at), (0, None));
        accepted.note(name(2), cases("custom_other").iter(), 9);
        assert_eq!((accepted.of(&name(1)).created_at, accepted.of(&name(2)).created_at), (Some(7), Some(9)));
    }

    #[test]
    fn a_connection_is_blamed_again_for_a_lost_field_only_while_nothing_else_arrives() {
        let (accepted, risk) = (Accepted::default(), BTreeSet::from(["custom_risk".to_owned()]));
        let both: BTreeSet<String> = ["custom_risk", "custom_type"].map(str::to_owned).into();
        assert!(!accepted.works_without(name(1), &risk, 10));
        assert!(!accepted.works_without(name(1), &risk, 11), "nothing has arrived since");
        accepted.note(name(1), cases("custom_steps").iter(), 11);
        assert!(
            !accepted.works_without(name(1), &risk, 11),
            "what was created at that very time may have been sent before"
        );
        accepted.note(name(1), cases("custom_steps").iter(), 12);
        assert!(accepted.works_without(name(1), &risk, 13));
        assert!(!accepted.works_without(name(1), &both, 14), "of the other one the tenant does not know yet");
        assert!(!accepted.works_without(name(2), &risk, 15), "another connection");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let accepted = Accepted::default();
        for n in 0..2 * MOST_FIELDS {
            accepted.note(name(1), cases(&format!("custom_{n}")).iter(), 1);
        }
        assert_eq!(accepted.of(&name(1)).fields.len(), MOST_FIELDS);
        for n in 0..2 * MOST_FIELDS {
            accepted.works_without(name(1), &BTreeSet::from([format!("custom_{n}")]), 1);
        }
        assert_eq!(accepted.of(&name(1)).lost.len(), MOST_FIELDS);
        for n in 0..2 * MOST_CONNECTIONS {
            accepted.note(name(n), std::iter::empty(), 1);
        }
        assert_eq!(lock(&accepted.0).len(), MOST_CONNECTIONS);
        accepted.note(name(2 * MOST_CONNECTIONS - 1), std::iter::empty(), 2);
        assert_eq!(lock(&accepted.0).len(), MOST_CONNECTIONS, "a known one needs no room");
    }
}
