//! Lets people edit, move and delete cases that are known to be created.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use testmo_courier::store::Store;
use testmo_sim::Time;
use testmo_sim::model::Case;
use testmo_sim::server::AccountHandle;

use super::{Edit, Generation, prefix_of};

/// The id of the user who edits cases; nobody has it.
const PERSON: u64 = 99;

/// What people did; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Edits(Arc<Mutex<Kept>>);

/// What people did, by the id of the case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// The columns that were edited, each with its value and the time, in milliseconds since 1970.
    pub(crate) columns: BTreeMap<u64, BTreeMap<&'static str, (Value, i64)>>,
    /// What was deleted: what the names begin with.
    pub(crate) deleted: BTreeSet<String>,
}

impl Edits {
    pub(crate) fn kept(&self) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Edits one of the cases; nothing while the store does not answer.
pub(crate) async fn edit(
    (store, account, edits): (Store, AccountHandle, Edits),
    generations: Vec<Generation>,
    (edit, pick, folder): (Edit, usize, u64),
    now: i64,
) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    for generation in &generations {
        // What cannot be read now is edited another time.
        let Ok(stored) = store.batch(&generation.key()?).await else { return Ok(()) };
        for record in stored.iter().map(|stored| &stored.record) {
            known.extend(record.target().into_iter().flat_map(|target| record.known_ids_at(&target.account)));
        }
    }
    let mut kept = edits.0.lock().unwrap_or_else(PoisonError::into_inner);
    let cases: Vec<_> = account.cases().into_iter().filter(|case| known.contains(&case.id)).collect();
    let Some(case) = pick.checked_rem(cases.len()).map(|at| &cases[at]) else { return Ok(()) };
    if edit == Edit::Delete {
        account.delete_case(case.id);
        kept.deleted.insert(prefix_of(&case.name).to_owned());
        kept.columns.remove(&case.id);
        return Ok(());
    }
    let (column, value): (&str, Value) = match edit {
        Edit::Rename => ("name", format!("{}mine {now}", prefix_of(&case.name)).into()),
        Edit::Describe => ("custom_description", format!("<p>mine {now}</p>").into()),
        Edit::Move | Edit::Delete => ("folder_id", folder.into()),
    };
    account.change_case(case.id, |case| set(case, column, &value, now));
    kept.columns.entry(case.id).or_default().insert(column, (value, now));
    Ok(())
}

fn set(case: &mut Case, column: &str, value: &Value, now: i64) {
    match (column, value.as_str(), value.as_u64()) {
        ("name", Some(name), _) => name.clone_into(&mut case.name),
        ("folder_id", _, Some(folder)) => case.folder_id = folder,
        (column, ..) => drop(case.custom.insert(column.to_owned(), value.clone())),
    }
    (case.updated_at, case.updated_by) = (Some(Time(now)), Some(PERSON));
}
