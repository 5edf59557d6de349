//! Lets people edit, move and delete cases in Testmo.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use testmo_sim::Method;
use testmo_sim::world::CaseView;

use crate::plan::origin_of;
use crate::stage::Stage;

/// The folder to which people move cases.
const OTHER: u64 = 2;

/// What a person does with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Rename,
    Describe,
    Move,
    Delete,
}

/// What a person wrote, and when, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) value: Value,
    pub(super) at: i64,
}

/// What people did, by account and id of the case.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// The columns that people have edited.
    pub(super) kept: BTreeMap<(String, u64), BTreeMap<&'static str, Edited>>,
    /// What was deleted: what the names begin with.
    pub(super) deleted: BTreeSet<(String, String)>,
    /// What people wrote into a column, by account and id of the case, even if that is not there any more.
    pub(super) all: BTreeSet<(String, u64, &'static str, String)>,
}

impl Edits {
    /// Edits a case, by a number that may be too large. Where it is not known yet that a case is created, a worker looks for it
    /// by what it sent: such a case is only described.
    pub(super) fn make(&mut self, stage: &Stage, account: &'static str, edit: Edit, which: usize) {
        let origin = origin_of(account);
        let known: BTreeSet<u64> = stage.store.at_once(|tables, _| {
            let records = tables.batches.values().map(|entry| &entry.stored.record);
            records.flat_map(|record| record.arrived_at(&origin)).map(|(_, id)| id).collect()
        });
        let rows = stage.testmo.world(|world| world.station(account).map(|station| station.case_views()));
        let mut rows: Vec<CaseView> = rows.unwrap_or_default();
        rows.retain(|row| is_generated(&row.name) && (edit == Edit::Describe || known.contains(&row.id)));
        let Some(row) = which.checked_rem(rows.len()).map(|at| &rows[at]) else { return };
        let key = (account.to_owned(), row.id);
        let now = stage.diary.true_time();
        let fields: Vec<(&'static str, Value)> = match edit {
            Edit::Rename => vec![("name", format!("{}mine {now}", prefix_of(&row.name)).into())],
            Edit::Describe => vec![("custom_description", format!("<p>mine {now}</p>").into())],
            Edit::Move if row.folder_id == OTHER => return,
            Edit::Move => vec![("folder_id", OTHER.into())],
            Edit::Delete => {
                self.deleted.insert((account.to_owned(), prefix_of(&row.name).to_owned()));
                self.kept.remove(&key);
                stage.testmo.by_person(account, Method::Delete, &json!({"ids": [row.id]}));
                return;
            }
        };
        let mut body: Map<String, Value> =
            fields.iter().map(|(column, value)| ((*column).to_owned(), value.clone())).collect();
        body.insert("ids".into(), json!([row.id]));
        stage.testmo.by_person(account, Method::Patch, &Value::Object(body));
        let written = |(column, value): &(&'static str, Value)| (key.0.clone(), key.1, *column, text_of(value));
        self.all.extend(fields.iter().map(written));
        let columns = self.kept.entry(key).or_default();
        columns.extend(fields.into_iter().map(|(column, value)| (column, Edited { value, at: now })));
    }
}

/// Returns a content as a report of it shows it.
pub(super) fn text_of(content: &Value) -> String {
    content.as_str().map_or_else(|| content.to_string(), str::to_owned)
}

/// Returns what a name begins with that no generation and no person changes.
pub(super) fn prefix_of(name: &str) -> &str {
    let end = name.match_indices(' ').nth(1).map_or(name.len(), |(at, _)| at + 1);
    &name[..end]
}

/// Returns whether a case is one of a generation.
pub(super) fn is_generated(name: &str) -> bool {
    name.starts_with('s')
        && prefix_of(name).ends_with(' ')
        && name.split(' ').nth(1).is_some_and(|word| word.starts_with('c'))
}
