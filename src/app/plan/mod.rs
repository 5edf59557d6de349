//! Plans a change of several entries of the shelf, then carries it out.

mod entry;
mod trace;

use futures_util::future::join_all;

pub use self::entry::{PlannedEntry, batch_label};
use self::trace::Trace;
pub(super) use self::trace::subject_of;
use super::actor::{ActionError, Actor, Role, require};
pub use crate::replay::NotReplayable;
use crate::store::ledger::{Commit, CommitOutcome};
use crate::store::shelf::{Action, OperatorAction, ShelfId, Shelved};
use crate::store::unfinished::Unfinished;
use crate::store::{LedgerStore, Store, StoreError};

/// How many changes are handed to the store at once, which stores them together.
const AT_ONCE: usize = 100;

/// A change of one entry that has been decided on.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What [`crate::store::LedgerStore::commit`] is to store.
    pub change: Commit,
    /// Whether the tenant has no verified connection, so that the batch then waits for one.
    pub waits: bool,
}

/// What is done with some entries, and which are left alone.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is left alone.
    pub skipped: Vec<Skipped>,
}

/// What is done with one entry.
#[derive(Debug)]
pub struct Step {
    /// The entry.
    pub entry: PlannedEntry,
    decision: Decision,
    trace: Trace,
}

/// An entry that is left alone.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The entry.
    pub entry: PlannedEntry,
    /// Why.
    pub why: NotReplayable,
}

/// What has been done with the entries of a plan.
#[derive(Debug, Default)]
pub struct PlanOutcome {
    /// The entries whose change is stored.
    pub done: Vec<DoneStep>,
    /// The entries that somebody else changed in between.
    pub changed: Vec<PlannedEntry>,
    /// The entries that were left alone.
    pub skipped: Vec<Skipped>,
}

/// A step whose change is stored.
#[derive(Clone, Debug)]
pub struct DoneStep {
    /// The entry.
    pub entry: PlannedEntry,
    /// Whether its batch waits until the connection is verified.
    pub waits: bool,
}

impl Plan {
    /// Decides on each entry that is still there.
    pub(super) async fn of(
        store: &Store,
        ids: &[ShelfId],
        decide: impl AsyncFn(&Shelved) -> Result<Result<Decision, NotReplayable>, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut plan = Self::default();
        for id in ids {
            let Some(row) = store.shelved(*id).await? else { continue };
            let entry = PlannedEntry::of(&row);
            match decide(&row).await? {
                Ok(decision) => plan.steps.push(Step { entry, decision, trace: Trace::of(&row) }),
                Err(why) => plan.skipped.push(Skipped { entry, why }),
            }
        }
        Ok(plan)
    }

    /// Stores every step with its entry of the audit, and returns which were stored and which somebody else had changed in
    /// between.
    ///
    /// # Errors
    /// When the person may not, or the store does not answer; some steps may then be stored.
    pub async fn carry_out(
        mut self,
        store: &Store,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<PlanOutcome, ActionError> {
        require(actor, Role::Operator)?;
        for Step { decision, trace, .. } in &mut self.steps {
            let entry = trace.entry(actor, &decision.change);
            decision.change.audit.extend(entry.map(|entry| entry.because(reason)));
        }
        Ok(self.carry_out_unasked(store).await?)
    }

    /// Stores every step as a worker does: without an entry of the audit.
    ///
    /// # Errors
    /// When the store does not answer; some steps may then be stored.
    pub(super) async fn carry_out_unasked(self, store: &Store) -> Result<PlanOutcome, StoreError> {
        let mut outcome = PlanOutcome { skipped: self.skipped, ..PlanOutcome::default() };
        let mut steps = self.steps.into_iter().peekable();
        while steps.peek().is_some() {
            let step = |Step { entry, decision, .. }| (DoneStep { entry, waits: decision.waits }, decision.change);
            let (done, changes): (Vec<_>, Vec<_>) = steps.by_ref().take(AT_ONCE).map(step).unzip();
            let answers = join_all(changes.into_iter().map(|change| store.commit(change.into()))).await;
            for (step, answer) in done.into_iter().zip(answers) {
                match answer? {
                    CommitOutcome::Done(_) => outcome.done.push(step),
                    CommitOutcome::Fenced => outcome.changed.push(step.entry),
                }
            }
        }
        Ok(outcome)
    }
}

/// Returns the change that carries out a person's action on an entry, unless a worker has the entry in hand.
pub(super) fn operator_change(row: &Shelved, action: Action) -> Result<Commit, NotReplayable> {
    if row.leased {
        return Err(Unfinished::InHand.into());
    }
    Ok(Commit {
        operator_action: Some(OperatorAction {
            id: row.id,
            generation: row.generation,
            action,
            batch: None,
            item: None,
        }),
        ..Commit::default()
    })
}
