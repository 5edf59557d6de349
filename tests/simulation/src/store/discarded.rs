//! What has a person edited, discarded or put back?

use testmo_courier::batch::{BatchKey, Reason};
use testmo_courier::store::audit::AuditAction;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{Action, EditedMessage, ShelfId, ShelfIdentity, ShelfState};

use super::replays::Note;
use super::shelf::is_same;
use super::tables::{Tables, is_of, tenant_of};

impl Tables {
    /// Whether an edited message can take the place of the one on the shelf.
    pub(crate) fn may_be_edited(&self, edited: &EditedMessage, now: i64) -> bool {
        let row = self.shelf.get(&edited.id.0).filter(|row| row.generation == edited.generation);
        let is_elsewhere =
            self.shelf.iter().any(|(id, row)| *id != edited.id.0 && is_same(&row.content.identity, &edited.identity));
        row.is_some_and(|row| !row.is_leased(now) && row.replay.is_none()) && !is_elsewhere
    }

    pub(crate) fn put_edited(&mut self, edited: &EditedMessage, now: i64) {
        let Some(row) = self.shelf.get_mut(&edited.id.0) else { return };
        let (by, action, entry) = (self.caller, AuditAction::EditEntry, edited.id);
        self.journal.push(Note::Acted { by, action, entry, at: now });
        if let ShelfIdentity::Batch(batch, before) = row.content.identity.clone() {
            let was_dead = row.state == ShelfState::Dead;
            self.journal.push(Note::Edited { entry, batch, before, was_dead });
        }
        row.generation += 1;
        row.person_epoch += 1;
        row.lease_until = None;
        row.content.identity = edited.identity.clone();
        row.content.connection = None;
        row.content.headers = edited.headers.clone();
        row.content.body = edited.body.clone();
    }

    /// Keeps what a person is about to take off the shelf.
    pub(crate) fn keep_discarded(&mut self, change: &Commit, now: i64) {
        let Some(action) =
            change.operator_action.as_ref().filter(|action| action.action == Action::Discard && !change.forget)
        else {
            return;
        };
        if change.audit.iter().any(|entry| entry.action == AuditAction::DiscardEntry)
            && let Some(mut row) = self.shelf.get(&action.id.0).cloned()
        {
            (row.lease_until, row.replay) = (None, None);
            self.discarded.insert(action.id.0, (row, now));
        }
    }

    pub(crate) fn may_be_restored(&self, id: ShelfId) -> bool {
        let Some((discarded, _)) = self.discarded.get(&id.0) else { return false };
        !self.shelf.values().any(|row| is_same(&row.content.identity, &discarded.content.identity))
    }

    pub(crate) fn put_back(&mut self, id: ShelfId, now: i64) {
        if let Some((mut row, _)) = self.discarded.remove(&id.0) {
            row.generation += 1;
            row.person_epoch += 1;
            let waits_for_pause = row.state == ShelfState::Parked && row.content.reason == Reason::Paused;
            let account = row.content.account.as_deref();
            if waits_for_pause && !self.is_ordered_to_pause(tenant_of(&row.content.identity), account) {
                row.due_at = row.due_at.min(now);
            }
            self.shelf.insert(id.0, row);
            let (by, action) = (self.caller, AuditAction::RestoreEntry);
            self.journal.push(Note::Acted { by, action, entry: id, at: now });
        }
    }

    pub(crate) fn is_discarded(&self, key: &BatchKey) -> bool {
        self.discarded.values().any(|(row, _)| is_of(&row.content.identity, key))
    }

    /// Removes the oldest of what was discarded before a time, and returns how many.
    pub(crate) fn remove_discarded(&mut self, before: i64, most: usize) -> u64 {
        let mut old: Vec<(i64, i64)> =
            self.discarded.iter().filter(|(_, (_, at))| *at < before).map(|(id, (_, at))| (*at, *id)).collect();
        old.sort_unstable();
        old.truncate(most);
        old.iter().for_each(|(_, id)| drop(self.discarded.remove(id)));
        old.len() as u64
    }
}
