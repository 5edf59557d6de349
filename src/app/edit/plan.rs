//! Applies the same settings to the messages of a selection: first as a plan, then for real.

use super::super::actor::{Actor, Role, require};
use super::super::plan::PlannedEntry;
use super::{Change, EditError, Setting, open};
use crate::store::shelf::ShelfId;
use crate::store::{Store, StoreError};

/// Of so many entries the changes are kept, to be shown.
const SAMPLES: usize = 20;

/// What settings change in the messages of entries.
#[derive(Debug, Default)]
pub struct EditPlan {
    settings: Vec<Setting>,
    /// The entries whose message changes, and the generation of each as it was planned.
    edits: Vec<(ShelfId, i64)>,
    /// How many changes there are in all.
    pub changes: usize,
    /// What changes in the first entries.
    pub samples: Vec<PlannedEdit>,
    /// The entries in which nothing would change.
    pub unaffected: Vec<PlannedEntry>,
    /// The entries that cannot be edited so.
    pub refused: Vec<RefusedEdit>,
}

/// What changes in an entry.
#[derive(Debug)]
pub struct PlannedEdit {
    /// The entry.
    pub entry: PlannedEntry,
    /// The changes.
    pub changes: Vec<Change>,
}

/// An entry that cannot be edited.
#[derive(Debug)]
pub struct RefusedEdit {
    /// The entry.
    pub entry: PlannedEntry,
    /// Why.
    pub why: EditError,
}

/// What was done with the entries of a plan.
#[derive(Debug, Default)]
pub struct EditOutcome {
    /// The entries whose edited message is stored.
    pub done: Vec<PlannedEntry>,
    /// The entries that were not edited: those of the plan, and those that changed since.
    pub refused: Vec<RefusedEdit>,
    /// The entries that have left the shelf since.
    pub gone: Vec<ShelfId>,
}

/// Plans settings for entries; a worker takes messages of at most `most_bytes`. Entries that have left the shelf are not
/// part of the plan.
///
/// # Errors
/// When the store does not answer.
pub async fn plan(
    store: &Store,
    ids: &[ShelfId],
    settings: Vec<Setting>,
    most_bytes: usize,
) -> Result<EditPlan, StoreError> {
    let mut plan = EditPlan { settings, ..EditPlan::default() };
    for id in ids {
        let draft = match open(store, *id, most_bytes).await {
            Ok(draft) => draft,
            Err(EditError::Store(error)) => return Err(error),
            Err(EditError::Gone) => continue,
            Err(why) => {
                let Some(row) = store.shelved(*id).await? else { continue };
                plan.refused.push(RefusedEdit { entry: PlannedEntry::of(&row), why });
                continue;
            }
        };
        match draft.set(&plan.settings) {
            Err(why) => plan.refused.push(RefusedEdit { entry: draft.entry, why }),
            Ok(edited) if edited.changes.is_empty() => plan.unaffected.push(draft.entry),
            Ok(edited) => {
                plan.edits.push((*id, draft.row.generation));
                plan.changes += edited.changes.len();
                if plan.samples.len() < SAMPLES {
                    plan.samples.push(PlannedEdit { entry: draft.entry, changes: edited.changes });
                }
            }
        }
    }
    Ok(plan)
}

impl EditPlan {
    /// Returns how many entries change.
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Stores the edited messages one by one, each only if its entry is as it was planned.
    ///
    /// # Errors
    /// When the person may not, or the store does not answer; some messages may then be stored.
    pub async fn carry_out(
        self,
        store: &Store,
        actor: &Actor,
        because: Option<&str>,
        most_bytes: usize,
    ) -> Result<EditOutcome, EditError> {
        require(actor, Role::Operator)?;
        let mut outcome = EditOutcome { refused: self.refused, ..EditOutcome::default() };
        for (id, generation) in self.edits {
            let draft = match open(store, id, most_bytes).await {
                Ok(draft) => draft,
                Err(error @ EditError::Store(_)) => return Err(error),
                Err(why) => {
                    match store.shelved(id).await? {
                        Some(row) => outcome.refused.push(RefusedEdit { entry: PlannedEntry::of(&row), why }),
                        None => outcome.gone.push(id),
                    }
                    continue;
                }
            };
            let stored = match draft.set(&self.settings) {
                _ if draft.row.generation != generation => Err(EditError::Changed),
                Ok(edited) => draft.store(&edited, store, actor, because).await,
                Err(why) => Err(why),
            };
            match stored {
                Ok(()) => outcome.done.push(draft.entry),
                Err(error @ EditError::Store(_)) => return Err(error),
                Err(why) => outcome.refused.push(RefusedEdit { entry: draft.entry, why }),
            }
        }
        Ok(outcome)
    }
}
