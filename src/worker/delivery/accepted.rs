//! Remembers which fields Testmo has accepted over a connection, and when a case was last created over it.

use std::collections::{BTreeSet, HashMap};
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
    /// When a case was last created, in milliseconds on the store's clock.
    pub(super) created_at: Option<i64>,
}

impl Accepted {
    /// Notes that these cases were created over a connection at `now`, in milliseconds on the store's clock.
    pub(super) fn note<'a>(&self, name: Name, cases: impl Iterator<Item = &'a RenderedCase>, now: i64) {
        let mut known = lock(&self.0);
        if known.len() >= MOST_CONNECTIONS && !known.contains_key(&name) {
            known.clear();
        }
        let standing = known.entry(name).or_default();
        standing.created_at = standing.created_at.max(Some(now));
        let mut last: Option<&RenderedCase> = None;
        for case in cases {
            // Most cases are like the one before.
            if last.is_some_and(|last| last.provenance.is_like(&case.provenance)) {
                continue;
            }
            last = Some(case);
            for field in case.provenance.chosen_fields() {
                if !standing.fields.contains(&field) && standing.fields.len() < MOST_FIELDS {
                    Arc::make_mut(&mut standing.fields).insert(field);
                }
            }
        }
    }

    /// Returns what was accepted over a connection.
    pub(super) fn of(&self, name: &Name) -> Standing {
        lock(&self.0).get(name).cloned().unwrap_or_default()
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
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let accepted = Accepted::default();
        for n in 0..2 * MOST_FIELDS {
            accepted.note(name(1), cases(&format!("custom_{n}")).iter(), 1);
        }
        assert_eq!(accepted.of(&name(1)).fields.len(), MOST_FIELDS);
        for n in 0..2 * MOST_CONNECTIONS {
            accepted.note(name(n), std::iter::empty(), 1);
        }
        assert!(lock(&accepted.0).len() <= MOST_CONNECTIONS);
    }
}
