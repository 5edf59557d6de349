//! What does the worker hold of a batch while it is in hand?

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::sample::UnclearPush;
use crate::batch::ledger::BatchRecord;
use crate::batch::message::{FolderWish, Source};
use crate::batch::{Batch, BatchKey, RenderedCase, batch_tag, fingerprint, raw_hash, render, size_in_push};
use crate::lane::{Class, Ticket, Work};
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
    /// How often it was tried apart from others, this time included, if it is a suspect.
    pub(super) tried_apart: u32,
    /// Its row on the shelf, if it came from there.
    pub(super) lease: Option<(ShelfId, i64)>,
    /// Whether workers have stopped over it: its row then has no name, and goes when the batch gets one.
    pub(super) suspect: bool,
    /// Whether its row on the shelf has no name of a batch, and goes when the batch gets one of its own.
    pub(super) nameless: bool,
    /// Whether a person or a failure has it tried again.
    pub(super) again: bool,
}

impl Parcel {
    /// Counts time in which nothing was tried, or Testmo asked for a pause, as no time of failing.
    pub(super) fn rested(&mut self, ms: i64) {
        self.failing_since = self.failing_since.map(|since| since.saturating_add(ms.max(0)));
    }

    /// The row to be removed when the batch is shelved under its own name.
    pub(super) fn suspect_lease(&self) -> Option<(i64, i64)> {
        self.lease.filter(|_| self.nameless).map(|(id, generation)| (id.0, generation))
    }
}

impl fmt::Display for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", raw_hash(&self.body))
    }
}

/// What makes two deliveries the same work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) key: BatchKey,
    pub(super) fingerprint: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with fingerprint {}", self.key, self.fingerprint)
    }
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
    /// What is known of its last push, for when the end of that is unclear.
    pub(super) doubt: UnclearPush,
    /// Rows of Testmo that may be cases which are not found: for a person to look at.
    pub(super) candidates: Vec<u64>,
    /// Positions of cases that were refused when they were sent alone, since a case last arrived: perhaps not they are
    /// to blame.
    pub(super) refused_alone: Vec<usize>,
    /// Since when its requests have been answered with a status that does not tell their outcome, without a case of it
    /// having arrived.
    pub(super) suspected_since: Option<Instant>,
    /// Since when its folder has been looked for again, because it had vanished, in milliseconds on the store's clock.
    pub(super) relocated: Option<i64>,
    /// How often it failed in a row in this process.
    pub(super) tries: u32,
    /// How often work on it panicked in this process.
    pub(super) panics: u32,
    /// Since when the store has been failing.
    pub(super) store_failing_since: Option<Instant>,
    /// Since when it has been in hand.
    pub(super) in_hand_since: Instant,
}

impl Entry {
    pub(super) fn new(batch: &Batch, parcel: Parcel, connection: Arc<Connection>) -> Self {
        let identity = Identity { key: batch.key.clone(), fingerprint: fingerprint(batch) };
        let record = BatchRecord::fresh(batch.key.clone(), identity.fingerprint.clone(), batch.case_keys());
        // Nothing has to be asked for a batch that goes to the tenant's own folder. Where the ledger knows another one,
        // the claim finds that out.
        let folder = (batch.folder == FolderWish::Tenant).then_some(connection.folder);
        Self {
            identity,
            parcel,
            source: batch.source.clone(),
            wish: batch.folder.clone(),
            cases: render::render(batch, &connection.mapping),
            connection,
            folder,
            record,
            stored_epoch: 0,
            claimed_at: 0,
            doubt: UnclearPush::default(),
            candidates: Vec::new(),
            refused_alone: Vec::new(),
            suspected_since: None,
            relocated: None,
            tries: 0,
            panics: 0,
            store_failing_since: None,
            in_hand_since: Instant::now(),
        }
    }

    pub(super) fn account(&self) -> &str {
        self.connection.access.origin.as_str()
    }

    /// The tag of its cases, unless the tenant has switched that off.
    pub(super) fn batch_tag(&self) -> Option<String> {
        self.connection.mapping.mark.then(|| batch_tag(&self.identity.key))
    }

    /// Forgets what is believed of it, as after a panic in the middle of work on it: the ledger says how far it is.
    pub(super) fn start_over(&mut self) {
        let (Identity { key, fingerprint }, keys) = (&self.identity, self.cases.iter().map(|case| case.key.clone()));
        self.record = BatchRecord::fresh(key.clone(), fingerprint.clone(), keys);
        self.stored_epoch = 0;
        self.doubt = UnclearPush::default();
        self.candidates.clear();
        self.refused_alone.clear();
    }

    /// What a lane has to know of it.
    pub(super) fn ticket(&self) -> Ticket {
        let suspicious = self.parcel.suspect || self.panics > 0;
        let again = self.parcel.again || self.tries > 0 || self.parcel.failing_since.is_some() || self.panics > 0;
        // A version of its own keeps it apart from others: a panic over it must be its own.
        let version: Arc<str> = match suspicious {
            true => format!("{} {}", self.connection.version, self.identity).into(),
            false => self.connection.version.as_str().into(),
        };
        let rendered: usize = self.cases.iter().map(|case| case.entry.len() + case.name.len() + case.key.len()).sum();
        Ticket {
            account: self.account().into(),
            tenant: self.identity.key.tenant.clone(),
            version,
            work: self.work(),
            apart: self.record.apart(),
            class: if again { Class::Again } else { Class::First },
            arrived_at: self.parcel.arrived_at,
            since: self.in_hand_since,
            in_window: self.parcel.lease.is_none(),
            bytes: self.parcel.body.len() + rendered,
        }
    }

    /// What is to be done with it: cases go out together with those of other batches, anything else it does alone.
    fn work(&self) -> Work {
        match self.folder {
            Some(folder) if self.record.outcome().is_none() => {
                let open = self.record.next_up().into_iter();
                Work::Cases(open.map(|position| size_in_push(folder, &self.cases[position])).collect())
            }
            Some(_) | None => Work::Alone,
        }
    }
}
