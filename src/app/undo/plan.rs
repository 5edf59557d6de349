//! Plans what is taken back of a batch, by what Testmo shows of it now. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use super::caller::Caller;
use super::error::UndoError;
use super::run::{Pacing, Run};
use super::subject::{Subject, reversed_items};
use super::tools::Tools;
use crate::app::case_pages::{CasePages, PATIENCE};
use crate::batch::ledger::BatchState;
use crate::batch::undo::{ItemKind, ItemState, Left, Undo, UndoItem, UndoKind, duplicates_of, rows_left, rows_of};
use crate::batch::{BatchKey, event};
use crate::testmo::Shows;
use crate::trace::{Scope, within};

/// What is to be taken back of a batch.
#[derive(Debug)]
pub struct Plan {
    /// The batch.
    pub key: BatchKey,
    /// What becomes of each row, as far as Testmo shows it now.
    pub forecast: Undo,
    /// Whether it was begun before and did not come to its end.
    pub is_begun: bool,
    pub(super) subject: Subject,
    /// What is stored, or will be.
    pub(super) undo: Undo,
    /// What an undo did that is taken back.
    pub(super) base: Option<Undo>,
}

/// Plans what is taken back. Each request needs a permit, as every request does.
///
/// # Errors
/// When there is nothing to take back, Testmo cannot be read, or the store does not answer.
pub async fn plan(tools: &Tools<'_>, key: &BatchKey, kind: UndoKind, deletes: bool) -> Result<Plan, UndoError> {
    let subject = Subject::read(tools, key).await?;
    let undos = tools.store.undos(key).await?;
    let begun = undos.first().filter(|undo| !undo.is_done);
    if let Some(begun) = begun.filter(|begun| begun.kind != kind) {
        return Err(UndoError::Begun { begun: command(begun.kind), key: key.clone() });
    }
    if begun.is_some() || subject.record().open_push.is_some() || subject.record().is_writing() {
        under_way(&subject)?;
    }
    let base = match kind {
        UndoKind::Restore => Some(undone(tools, &subject, &undos).await?),
        UndoKind::Undo | UndoKind::Duplicates => None,
    };
    let undo = match begun {
        Some(begun) => Undo { items: tools.store.undo_items(key, begun.number).await?, ..begun.clone() },
        None if kind == UndoKind::Undo && subject.record().can_be_undone_again() => {
            again(&subject, deletes, &undone(tools, &subject, &undos).await?)?
        }
        None => fresh(&subject, kind, deletes, base.as_ref())?,
    };
    let mut forecast = undo.clone();
    let others = originals(&subject, &undo);
    let caller = caller(tools, &subject, &undo);
    let pacing = Pacing::of(tools.config);
    let mut run = Run::new(&subject, caller, base.as_ref(), pacing);
    let scope = Scope::of([subject.record().trace.as_ref()]);
    let seen = within(scope, run.forecast(&mut forecast, &others)).await?;
    if kind == UndoKind::Duplicates {
        keep_only_rows(&subject, &mut forecast, &seen);
    }
    Ok(Plan { key: key.clone(), forecast, is_begun: begun.is_some(), subject, undo, base })
}

/// Returns the sender of the requests of an undo.
pub(super) fn caller<'a>(tools: &Tools<'a>, subject: &'a Subject, undo: &Undo) -> Caller<'a> {
    let permits = tools.tenants.permits(&subject.connection.origin, PATIENCE).of_tenant(&subject.key.tenant);
    let project = subject.connection.project;
    let tenant = &subject.key.tenant;
    let pages = CasePages { client: tools.client, access: &subject.access, project, tenant, permits };
    Caller { pages, shows: if undo.how.deletes { Shows::Uses } else { Shows::Edits } }
}

/// Checks that no request for the batch may be under way.
fn under_way(subject: &Subject) -> Result<(), UndoError> {
    let left = subject.stored.lease_until.unwrap_or_default() - subject.read_at;
    match u64::try_from(left).ok().filter(|left| *left > 0) {
        Some(left) => Err(UndoError::UnderWay { wait: std::time::Duration::from_millis(left) }),
        None => Ok(()),
    }
}

/// Returns what would be begun.
fn fresh(subject: &Subject, kind: UndoKind, deletes: bool, base: Option<&Undo>) -> Result<Undo, UndoError> {
    let record = subject.record();
    let nothing = || UndoError::Nothing(subject.key.clone());
    let (items, how, before) = match (kind, base) {
        (UndoKind::Restore, Some(base)) => (reversed_items(base), base.how.clone(), base.before),
        (UndoKind::Restore, None) => return Err(nothing()),
        (UndoKind::Undo | UndoKind::Duplicates, _) if record.state == BatchState::Open => {
            return Err(UndoError::NotFinished(subject.key.clone()));
        }
        (UndoKind::Undo, _) if !record.can_be_undone() => return Err(nothing()),
        (UndoKind::Undo, _) if record.late_check_is_due() => return Err(UndoError::LateRows(subject.key.clone())),
        (UndoKind::Undo, _) => (rows_of(record), subject.how(deletes), record.state),
        (UndoKind::Duplicates, _) => (duplicates_of(record), subject.how(deletes), record.state),
    };
    // A batch that only left cases as they were can be taken back, too: those before it can be then.
    if items.is_empty() && kind != UndoKind::Undo {
        return Err(nothing());
    }
    let items = items.into_iter().map(|item| left_unread(subject, item)).collect();
    Ok(Undo { number: 0, kind, how, before, items, is_done: false })
}

/// Returns the item, left where its row is not read at all.
fn left_unread(subject: &Subject, item: UndoItem) -> UndoItem {
    match subject.left_unread(&item).filter(|_| item.is_open()) {
        Some(left) => UndoItem { state: ItemState::Left(left), ..item },
        None => item,
    }
}

/// Returns what would be begun with a batch that is undone: what was left is taken back where nothing is in its way any more.
fn again(subject: &Subject, deletes: bool, undone: &Undo) -> Result<Undo, UndoError> {
    let items: Vec<UndoItem> =
        rows_left(subject.record(), undone).into_iter().map(|item| left_unread(subject, item)).collect();
    if items.is_empty() {
        return Err(UndoError::Nothing(subject.key.clone()));
    }
    let (how, before) = (subject.how(deletes), undone.before);
    Ok(Undo { number: 0, kind: UndoKind::Undo, how, before, items, is_done: false })
}

/// Returns what was taken back of a batch that is undone, by all undos since it was restored.
async fn undone(tools: &Tools<'_>, subject: &Subject, undos: &[Undo]) -> Result<Undo, UndoError> {
    let mut all: Option<Undo> = None;
    let since = undos.iter().take_while(|undo| undo.kind != UndoKind::Restore);
    for undo in since.filter(|undo| undo.kind == UndoKind::Undo && undo.is_done) {
        let undo = Undo { items: tools.store.undo_items(&subject.key, undo.number).await?, ..undo.clone() };
        all = Some(match all {
            Some(later) => later.after(undo),
            None => undo,
        });
    }
    all.filter(|_| subject.record().state == BatchState::Undone).ok_or_else(|| UndoError::Nothing(subject.key.clone()))
}

/// Returns the ids of the rows that open duplicates are duplicates of.
fn originals(subject: &Subject, undo: &Undo) -> BTreeSet<u64> {
    if undo.kind != UndoKind::Duplicates {
        return BTreeSet::new();
    }
    let ids: BTreeMap<usize, u64> = subject.record().arrived().collect();
    undo.open().filter_map(|place| ids.get(&undo.items[place].position).copied()).collect()
}

/// Leaves duplicates whose case has no other row.
fn keep_only_rows(subject: &Subject, forecast: &mut Undo, seen: &BTreeSet<u64>) {
    let ids: BTreeMap<usize, u64> = subject.record().arrived().collect();
    for item in forecast.items.iter_mut().filter(|item| item.done().is_some()) {
        if !ids.get(&item.position).is_some_and(|id| seen.contains(id)) {
            item.state = ItemState::Left(Left::OnlyOne);
        }
    }
}

/// Returns the name of a command.
fn command(kind: UndoKind) -> &'static str {
    match kind {
        UndoKind::Undo => "undo",
        UndoKind::Restore => "restore",
        UndoKind::Duplicates => "remove-duplicates",
    }
}

impl Plan {
    /// Returns whether anything would be changed in Testmo, or is still to be brought to its end. What people have touched stays,
    /// and nothing else: such a batch is taken back as well, since those before it cannot be while it counts.
    pub fn changes_anything(&self) -> bool {
        let items = &self.forecast.items;
        let is_changed = |item: &UndoItem| item.done().is_some() || item.again.is_some();
        let is_of_people = |item: &UndoItem| item.left().is_some_and(Left::is_final);
        let is_undo = self.undo.kind == UndoKind::Undo;
        self.is_begun || items.iter().any(is_changed) || (is_undo && items.iter().all(is_of_people))
    }

    /// Returns what people call the case of a row.
    pub fn label(&self, item: &UndoItem) -> &str {
        match item.kind {
            ItemKind::Dropped => "(no longer generated)",
            ItemKind::Created | ItemKind::Updated | ItemKind::Duplicate => {
                self.subject.record().cases.get(item.position).map_or("", |case| case.key.as_str())
            }
        }
    }

    /// Returns the address of a row in Testmo's web pages.
    pub fn link(&self, item: &UndoItem) -> Option<String> {
        (item.id > 0).then(|| event::link_of_item(self.subject.record(), item))?
    }
}
