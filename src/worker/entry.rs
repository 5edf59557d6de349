//! What does the worker hold of a batch while it is in hand?

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::bisect::Bisection;
use crate::batch::ledger::BatchRecord;
use crate::batch::message::{FolderWish, Source};
use crate::batch::{Batch, BatchKey, RenderedCase, fingerprint, fitting, mark, render};
use crate::config;
use crate::store::shelf::ShelfId;
use crate::tenants::Connection;

/// A message as it came from the broker or off the shelf.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) body: Arc<Vec<u8>>,
    /// Headers and properties that are kept.
    pub(super) headers: BTreeMap<String, String>,
    /// When it was published, in milliseconds since 1970.
    pub(super) published_at: Option<i64>,
    /// When it first arrived, in milliseconds on the store's clock.
    pub(super) arrived_at: i64,
    /// How often it was parked while failing, and since when.
    pub(super) parks: u32,
    pub(super) failing_since: Option<i64>,
    /// Its row on the shelf, if it came from there.
    pub(super) lease: Option<(ShelfId, i64)>,
    /// Whether workers have stopped over it: its row then has no name, and goes when the batch gets one.
    pub(super) suspect: bool,
}

impl Parcel {
    /// Counts time in which nothing was tried, or Testmo asked for a pause, as no time of failing.
    pub(super) fn rested(&mut self, ms: i64) {
        self.failing_since = self.failing_since.map(|since| since.saturating_add(ms.max(0)));
    }

    /// The row to be removed when the batch is shelved under its own name.
    pub(super) fn suspect_lease(&self) -> Option<(i64, i64)> {
        self.lease.filter(|_| self.suspect).map(|(id, generation)| (id.0, generation))
    }
}

/// What makes two deliveries the same work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) key: BatchKey,
    pub(super) fingerprint: String,
}

/// A batch in hand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) parcel: Parcel,
    pub(super) source: Source,
    pub(super) wish: FolderWish,
    pub(super) connection: Arc<Connection>,
    /// The folder its cases go to, once that is known.
    pub(super) folder: Option<u64>,
    pub(super) cases: Vec<RenderedCase>,
    /// What the ledger is believed to hold.
    pub(super) record: BatchRecord,
    /// The epoch that is stored.
    pub(super) stored_epoch: u64,
    /// When the open push was claimed, in milliseconds on the store's clock.
    pub(super) claimed_at: i64,
    /// Whether Testmo was just looked at for what is in doubt.
    pub(super) looked: bool,
    /// Rows of Testmo that may be cases which are not found: for a person to look at.
    pub(super) candidates: Vec<u64>,
    /// The most cases in the next push; halves when a request is refused as a whole.
    pub(super) most_cases: usize,
    /// The search for what is refused, when requests are refused as a whole.
    pub(super) bisection: Bisection,
    /// Whether its folder was looked for anew, because it had vanished.
    pub(super) relocated: bool,
    /// How often it failed in a row in this process.
    pub(super) tries: u32,
    /// Since when the store has been failing.
    pub(super) store_failing_since: Option<Instant>,
    /// Since when it has been in hand.
    pub(super) in_hand_since: Instant,
}

/// What is to be done next with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Find out which folder it goes to.
    Locate,
    /// Look into Testmo for what is in doubt.
    Look,
    /// Push the cases at these positions.
    Push(Vec<usize>),
    /// Every case has an end.
    Settle,
}

impl Entry {
    pub(super) fn new(batch: &Batch, parcel: Parcel, connection: Arc<Connection>, config: &config::Push) -> Self {
        let identity = Identity { key: batch.key.clone(), fingerprint: fingerprint(batch) };
        let record = BatchRecord::fresh(batch.key.clone(), identity.fingerprint.clone(), batch.case_keys());
        Self {
            identity,
            parcel,
            source: batch.source.clone(),
            wish: batch.folder.clone(),
            cases: render::render(batch, &connection.mapping),
            connection,
            folder: None,
            record,
            stored_epoch: 0,
            claimed_at: 0,
            looked: false,
            candidates: Vec::new(),
            most_cases: config.max_cases,
            bisection: Bisection::default(),
            relocated: false,
            tries: 0,
            store_failing_since: None,
            in_hand_since: Instant::now(),
        }
    }

    pub(super) fn account(&self) -> &str {
        self.connection.access.origin.as_str()
    }

    /// The tag of its cases, unless the tenant has switched that off.
    pub(super) fn mark(&self) -> Option<String> {
        self.connection.mapping.mark.then(|| mark(&self.identity.key))
    }

    pub(super) fn next_step(&self, config: &config::Push) -> Step {
        if self.record.outcome().is_some() {
            return Step::Settle;
        }
        if !self.looked && self.record.doubtful().next().is_some() {
            return Step::Look;
        }
        let Some(folder) = self.folder else { return Step::Locate };
        let waiting: Vec<usize> = self.record.waiting().take(self.most_cases).collect();
        let fits = fitting(folder, waiting.iter().map(|i| &self.cases[*i]), self.most_cases, config.max_bytes);
        Step::Push(waiting.into_iter().take(fits).collect())
    }
}
