//! Stores each step of an undo together with the record of its batch, what is remembered of its cases, and its event.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::error::UndoError;
use super::subject::Subject;
use super::window::Window;
use crate::batch::event;
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::undo::{ItemKind, ItemMemory, ItemState, Undo, UndoItem, UndoKind};
use crate::batch::written::{CaseIdentity, WrittenCase};
use crate::store::UndoStorage;
use crate::store::audit::AuditEntry;
use crate::store::ledger::{Commit, RecordUpdate};
use crate::store::undos::{UndoBegin, UndoStep};

/// What is stored of an undo, and what it has come to since.
pub(super) struct Journal<'a> {
    store: &'a dyn UndoStorage,
    subject: &'a Subject,
    record: BatchRecord,
    /// The epoch that the next step starts from.
    epoch: u64,
    stored: Vec<UndoItem>,
    /// The undo as it is now.
    pub(super) undo: Undo,
    /// What is kept of the rows that are being changed.
    pub(super) window: Option<Window>,
    /// Until when nobody else changes the batch, or takes its sources.
    leased_until: Option<Instant>,
}

/// What goes with a step.
#[derive(Default)]
struct Extra {
    begins: Option<UndoBegin>,
    ends: bool,
    audit: Vec<AuditEntry>,
    events: Vec<event::Event>,
}

impl<'a> Journal<'a> {
    /// Begins an undo: from then on nothing more is sent for the batch.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn begin(
        store: &'a dyn UndoStorage,
        subject: &'a Subject,
        undo: Undo,
        (lease, entry): (Duration, AuditEntry),
    ) -> Result<Self, UndoError> {
        let record = subject.record().clone();
        let mut journal = Self {
            store,
            subject,
            epoch: record.epoch,
            record,
            stored: Vec::new(),
            undo,
            window: None,
            leased_until: None,
        };
        let (kind, how, before) = (journal.undo.kind, journal.undo.how.clone(), journal.undo.before);
        match kind {
            UndoKind::Undo => journal.record.undo(store.now()),
            UndoKind::Restore | UndoKind::Duplicates => journal.record.undo_goes_on(),
        }
        journal.undo.number = journal.record.epoch;
        let begins = Some(UndoBegin { kind, how, before });
        journal.store(lease, Extra { begins, audit: vec![entry], ..Extra::default() }).await?;
        Ok(journal)
    }

    /// Goes on with an undo that was begun before.
    pub(super) fn go_on(store: &'a dyn UndoStorage, subject: &'a Subject, undo: Undo) -> Self {
        let record = subject.record().clone();
        Self {
            store,
            subject,
            epoch: record.epoch,
            record,
            stored: undo.items.clone(),
            undo,
            window: None,
            leased_until: None,
        }
    }

    /// Stores what the undo has come to. Nobody else changes the batch for `lease`.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn step(&mut self, lease: Duration) -> Result<(), UndoError> {
        self.record.undo_goes_on();
        self.store(lease, Extra::default()).await
    }

    /// Has nobody else change the batch, or take its sources, for at least half of `lease`; returns whether that had to be stored.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn hold(&mut self, lease: Duration) -> Result<bool, UndoError> {
        let is_held = self.leased_until.is_some_and(|until| until >= Instant::now() + lease / 2);
        if !is_held {
            self.step(lease).await?;
        }
        Ok(!is_held)
    }

    /// Notes that a request of which nothing is found may still be carried out: a check finds its rows later.
    pub(super) fn rows_may_appear(&mut self) {
        self.record.late_since.get_or_insert(self.store.now());
    }

    /// Stores what the undo has come to, if that is anything. Nobody else changes the batch for `lease`.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn step_if_changed(&mut self, lease: Duration) -> Result<(), UndoError> {
        if self.undo.items == self.stored { Ok(()) } else { self.step(lease).await }
    }

    /// Keeps nothing of rows that were certainly not changed, once it is known how the requests ended.
    pub(super) fn end_window(&mut self) {
        let may_be_changed = |item: &&UndoItem| matches!(item.state, ItemState::Writing(_) | ItemState::Done(_));
        let ids: HashSet<u64> = self.undo.items.iter().filter(may_be_changed).map(|item| item.id).collect();
        if let Some(window) = &mut self.window {
            window.end(|id| ids.contains(&id));
        }
    }

    /// Ends the undo, with its event; `source` is what an event of the batch says of its source.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn end(
        &mut self,
        empty_folders: &[u64],
        source: &crate::batch::message::Source,
    ) -> Result<(), UndoError> {
        let now = self.store.now();
        match self.undo.kind {
            UndoKind::Undo => self.record.undo_goes_on(),
            UndoKind::Restore => {
                let created = self.undo.items.iter().filter_map(|item| Some((item.position, item.new_id?)));
                self.record.created_again(created);
                self.record.undo_undone(self.undo.before, now);
            }
            UndoKind::Duplicates => {
                let gone: Vec<u64> = self
                    .undo
                    .items
                    .iter()
                    .filter(|item| !item.is_open() && is_done(item))
                    .map(|item| item.id)
                    .collect();
                self.record.duplicates_are_gone(&gone);
                self.record.undo_goes_on();
            }
        }
        self.undo.is_done = true;
        let input = event::EventInput { source, cases: &[], now, reason: None, detail: None, replay: None };
        let event = event::undone(&self.record, &self.undo, empty_folders, now)
            .or_else(|| event::of_settlement(&self.record, &input).filter(|_| self.record.state != BatchState::Undone));
        let events = event.into_iter().collect();
        self.store(Duration::ZERO, Extra { ends: true, events, ..Extra::default() }).await
    }

    async fn store(&mut self, lease: Duration, extra: Extra) -> Result<(), UndoError> {
        let (mut written, mut forgotten) = (Vec::new(), Vec::new());
        for place in 0..self.undo.items.len() {
            let was_done = self.stored.get(place).is_some_and(is_done);
            if is_done(&self.undo.items[place]) && !was_done {
                self.remember(place, &mut written, &mut forgotten);
            }
        }
        let changed = self.undo.items.iter().enumerate().filter(|(place, item)| self.stored.get(*place) != Some(*item));
        let items = changed.map(|(place, item)| (u32::try_from(place).unwrap_or(u32::MAX), item.clone())).collect();
        let Extra { begins, ends, audit, events } = extra;
        let window = self.window.as_mut().map(|window| window.step(&self.record.key, self.record.epoch));
        let change = Commit {
            batch: Some(RecordUpdate { record: self.record.clone(), from_epoch: self.epoch }),
            undo: Some(UndoStep { number: self.undo.number, begins, items, ends }),
            written,
            forgotten,
            audit,
            events,
            window,
            lease: Some(lease),
            ..Commit::default()
        };
        self.leased_until = Some(Instant::now() + lease);
        if !self.store.commit(change.into()).await?.is_done() {
            return Err(UndoError::Changed);
        }
        self.epoch = self.record.epoch;
        self.stored.clone_from(&self.undo.items);
        Ok(())
    }

    /// Decides what is remembered of a row that is done: of one that was taken back what was remembered before it, and of one
    /// that was brought back what was remembered before it was taken back.
    fn remember(&mut self, place: usize, written: &mut Vec<WrittenCase>, forgotten: &mut Vec<(CaseIdentity, u64)>) {
        let item = &mut self.undo.items[place];
        if self.undo.kind == UndoKind::Restore {
            let case = |case: WrittenCase| WrittenCase { testmo_id: item.new_id.unwrap_or(case.testmo_id), ..case };
            written.extend(item.memory.iter().filter_map(ItemMemory::case).map(case));
            return;
        }
        let subject = self.subject;
        for now in subject.memories(item).iter().filter(|case| case.testmo_id == item.id) {
            item.memory.push(ItemMemory::of(now));
            match item.kind {
                ItemKind::Created => forgotten.push((now.identity, item.id)),
                ItemKind::Updated | ItemKind::Dropped => written.extend(subject.remembered_before(item, now)),
                ItemKind::Duplicate => {}
            }
        }
    }
}

fn is_done(item: &UndoItem) -> bool {
    matches!(item.state, ItemState::Done(_))
}
