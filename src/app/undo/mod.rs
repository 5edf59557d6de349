//! Takes back what a batch did in Testmo, as far as nobody has touched it since; and takes that back again.

mod caller;
mod error;
mod folders;
mod journal;
mod plan;
mod recreate;
mod requests;
mod run;
mod sources;
mod subject;
mod sweep;
mod tools;
mod window;

use serde_json::json;

pub use self::error::UndoError;
use self::folders::empty_folders;
use self::journal::Journal;
use self::plan::caller;
pub use self::plan::{Plan, plan};
pub use self::run::Interrupted;
use self::run::{Pacing, Run};
use self::sources::Sources;
pub use self::tools::Tools;
use crate::app::actor::{Actor, Role, require};
use crate::app::batches::source_key::source_of;
use crate::batch::undo::ItemState;
pub use crate::batch::undo::{Intent, ItemKind, Left, Undo, UndoItem, UndoKind};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::trace::{Scope, within};

/// What became of a plan.
#[derive(Debug)]
pub struct Outcome {
    /// What became of each row.
    pub undo: Undo,
    /// Folders that cases of the batch were in and that seem empty, with their addresses. Nobody but a person deletes them.
    pub empty_folders: Vec<(u64, String)>,
    /// Why it did not come to its end, if it did not: the same command goes on.
    pub interrupted: Option<Interrupted>,
}

/// Carries a plan out for a reason, or goes on with what was begun.
///
/// Only rows that the plan would change are changed, each after it was read again. What is about to be done is stored before
/// each request.
///
/// # Errors
/// When the person may not, the batch was changed since the plan was made, Testmo cannot be read, or the store does not answer.
pub async fn carry_out(tools: &Tools<'_>, plan: Plan, actor: &Actor, because: &str) -> Result<Outcome, UndoError> {
    require(actor, if plan.undo.how.deletes { Role::Admin } else { Role::Operator })?;
    if because.trim().is_empty() {
        return Err(UndoError::NoReason);
    }
    let (store, pacing) = (tools.store, Pacing::of(tools.config));
    let sources = match plan.undo.kind {
        UndoKind::Undo | UndoKind::Restore if !plan.subject.sources.is_empty() => {
            let claimed = Sources::of(store, plan.subject.sources.clone(), &plan.key).await?;
            Some(claimed.map_err(UndoError::SourceBusy)?)
        }
        UndoKind::Undo | UndoKind::Restore | UndoKind::Duplicates => None,
    };
    let entry = audit(&plan, actor).because(Some(because));
    let Plan { key, forecast, is_begun, mut subject, mut undo, base } = plan;
    // A later batch may have written cases since the plan was made.
    subject.remember_again(store).await?;
    for (item, planned) in undo.items.iter_mut().zip(&forecast.items).filter(|_| !is_begun) {
        if planned.done().is_none() && planned.again.is_none() {
            item.state = planned.state.clone();
        }
    }
    let scope = Scope::of([subject.record().trace.as_ref()]);
    let mut run = Run::new(&subject, caller(tools, &subject, &undo), base.as_ref(), pacing).with(sources);
    let mut journal = match is_begun {
        true => Journal::go_on(store, &subject, undo),
        false => Journal::begin(store, &subject, undo, (pacing.lease, entry)).await?,
    };
    let interrupted = within(scope.clone(), run.carry_out(&mut journal)).await?;
    if interrupted.is_some() {
        return Ok(Outcome { undo: journal.undo, empty_folders: Vec::new(), interrupted });
    }
    let mut caller = caller(tools, &subject, &journal.undo);
    let empty = within(scope, empty_folders(&mut caller, &subject, &journal.undo)).await;
    let ids: Vec<u64> = empty.iter().map(|(id, _)| *id).collect();
    journal.end(&ids, &source_of(store, &key).await?).await?;
    Ok(Outcome { undo: journal.undo, empty_folders: empty, interrupted: None })
}

/// Describes what is begun, as the audit keeps it.
fn audit(plan: &Plan, actor: &Actor) -> AuditEntry {
    let action = match plan.undo.kind {
        UndoKind::Undo => AuditAction::UndoBatch,
        UndoKind::Restore => AuditAction::RestoreBatch,
        UndoKind::Duplicates => AuditAction::RemoveDuplicates,
    };
    let left = plan.forecast.items.iter().filter(|item| matches!(item.state, ItemState::Left(_))).count();
    let before = json!({"state": plan.subject.record().state.name()});
    let after = json!({
        "retired": plan.forecast.count("retired"), "deleted": plan.forecast.count("deleted"),
        "restored": plan.forecast.count("restored"), "left": left,
    });
    let subject = AuditSubject::batch(&plan.key).traced(plan.subject.record().trace.as_ref());
    AuditEntry::new(actor, action, subject).change(Some(before), Some(after))
}
