//! What follows a step for a batch: its turn again, a pause, the shelf, or the end?

use std::time::Duration;

use jiff::Timestamp;

use super::courier::{Courier, STORE_PAUSE, held_by};
use super::deliver::{Flow, Followed, Part};
use super::dispatch::PAUSED;
use super::entry::Entry;
use super::retry;
use crate::batch::Reason;
use crate::batch::ledger::{BatchState, CaseRecord, CaseState};
use crate::batch::verdict::{Patience, is_given_up, patience};
use crate::store::ledger::{Commit, StoredBatch};
use crate::store::shelf::ShelvedUntil;
use crate::store::{StoreError, UnreadableRow};

impl Courier {
    /// The jittered pause for all batches that failed in one piece of work.
    pub(super) fn pause_of(&self, parts: &[Part]) -> Duration {
        let failed = parts.iter().filter(|part| matches!(part.flow, Some(Flow::Again(..))));
        let tries = failed.map(|part| part.entry.tries + 1).max();
        tries.map_or(Duration::ZERO, |tries| retry::pause(&self.config.retry, tries))
    }

    /// Does what follows; `pause` is how long a batch that is tried again in this process waits at least.
    pub(super) async fn follow(&self, entry: &mut Entry, flow: Flow, pause: Duration) -> Result<Followed, StoreError> {
        match flow {
            Flow::Over => Ok(Followed::Settled),
            Flow::Turn => Ok(Followed::More(None)),
            Flow::Pause(pause) => Ok(Followed::More(Some(pause))),
            Flow::Renew => Ok(Followed::Renew),
            Flow::Park(reason, detail) => {
                self.park(entry, reason, detail, ShelvedUntil::Connection).await?;
                Ok(Followed::Shelved)
            }
            Flow::Held(row) => {
                self.park_held(entry, &row).await?;
                Ok(Followed::Shelved)
            }
            Flow::Hold(reason, detail, expected) => {
                let retry = &self.config.retry;
                let doubled = retry.first_park.saturating_mul(2_u32.saturating_pow(entry.parcel.parks.min(20)));
                let wait = doubled.min(retry.longest_park);
                entry.parcel.parks += 1;
                let expected = ShelvedUntil::After(expected.max(wait));
                self.park_expecting(entry, reason, detail, ShelvedUntil::After(wait), expected).await?;
                Ok(Followed::Shelved)
            }
            Flow::Paused => {
                self.park(entry, Reason::Paused, None, ShelvedUntil::After(PAUSED)).await?;
                Ok(Followed::Shelved)
            }
            Flow::Again(reason, detail, least) => self.again(entry, reason, detail, least, pause).await,
            Flow::Reload => match self.store.batch_at(&entry.identity.key).await? {
                (Some(stored), now) => {
                    let flow = self.catch_up(entry, stored, now).await?;
                    // Boxed, as catching up can lead here again.
                    Box::pin(self.follow(entry, flow, pause)).await
                }
                (None, _) => Ok(Followed::More(Some(STORE_PAUSE))),
            },
        }
    }

    /// Shelves a batch for a while, as a row of the store that decides about it cannot be read.
    pub(super) async fn park_held(&self, entry: &Entry, row: &UnreadableRow) -> Result<(), StoreError> {
        let until = ShelvedUntil::After(self.held_for());
        self.park(entry, Reason::StoreRowUnreadable, Some(held_by(row)), until).await
    }

    /// One more failure: in this process, on the shelf, or given up.
    async fn again(
        &self,
        entry: &mut Entry,
        reason: Reason,
        detail: Option<String>,
        least: Duration,
        pause: Duration,
    ) -> Result<Followed, StoreError> {
        entry.tries += 1;
        let now = self.store.now();
        let since = *entry.parcel.failing_since.get_or_insert(now);
        let failing = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
        match patience(entry.tries, entry.parcel.parks, failing, &self.patience_limits()) {
            Patience::InProcess => {
                let pause = pause.max(least);
                tracing::info!(batch = %entry.identity.key, %reason, detail, ?pause, "trying again");
                Ok(Followed::More(Some(pause)))
            }
            Patience::Shelf(wait) => {
                entry.parcel.parks += 1;
                self.park(entry, reason, detail, ShelvedUntil::After(wait.max(least))).await?;
                Ok(Followed::Shelved)
            }
            Patience::Exhausted if !is_given_up(reason) => {
                entry.parcel.parks = entry.parcel.parks.saturating_add(1);
                self.park(entry, reason, detail, ShelvedUntil::After(self.config.retry.longest_park.max(least)))
                    .await?;
                Ok(Followed::Shelved)
            }
            Patience::Exhausted => {
                let arrived = |case: &CaseRecord| matches!(case.state, CaseState::Created(_) | CaseState::Adopted(_));
                let partly = entry.record.cases.iter().any(arrived);
                let state = if partly { BatchState::Partial } else { BatchState::Failed };
                let changed = self.settle(entry, state, Some(Reason::RetriesExhausted), Commit::default()).await?;
                Ok(if changed.is_done() { Followed::Settled } else { Followed::More(Some(STORE_PAUSE)) })
            }
        }
    }

    /// The store knows the batch otherwise than this worker: as settled, as other work, or further on.
    pub(super) async fn catch_up(&self, entry: &mut Entry, stored: StoredBatch, now: i64) -> Result<Flow, StoreError> {
        let StoredBatch { record, claimed_at, lease_until } = stored;
        if record.fingerprint != entry.identity.fingerprint {
            let key = entry.identity.key.clone();
            let whose = Some((key.tenant.clone(), Some(key)));
            let detail = match Timestamp::from_millisecond(record.first_seen_at) {
                Ok(at) => format!("the first batch of this id arrived at {at:.0}"),
                Err(_) => "the first batch of this id arrived before".into(),
            };
            self.shelve_message(entry.parcel.clone(), Reason::BatchConflict, whose, vec![], detail).await?;
            return Ok(Flow::Over);
        }
        if record.state != BatchState::Open {
            return self.tell_again(&record, &entry.parcel).await.map(|()| Flow::Over);
        }
        let leased = lease_until.map_or(0, |until| until - now);
        if record.open_push.is_some() && leased > 0 {
            return Ok(Flow::Pause(Duration::from_millis(u64::try_from(leased).unwrap_or(0))));
        }
        entry.stored_epoch = record.epoch;
        entry.claimed_at = claimed_at.unwrap_or(now);
        entry.doubt = record.open_push.as_ref().map(|push| self.samples.doubt(&push.id)).unwrap_or_default();
        entry.record = record;
        // The folder is fixed once a push of the batch was claimed.
        let connection = &entry.connection;
        let fixed = entry.record.target().filter(|target| {
            target.account == connection.access.origin.as_str() && target.project == connection.project
        });
        entry.folder = fixed.map(|target| target.folder).or(entry.folder);
        if entry.record.open_push.is_some() {
            entry.record.unclear(entry.claimed_at);
        }
        Ok(Flow::Turn)
    }
}
