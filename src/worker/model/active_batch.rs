//! Holds everything that the worker knows of a batch while it is in hand.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::case_folders::CaseFolders;
use super::generation::Generation;
use super::inbound::InboundMessage;
use super::trial::Trial;
use super::unclear::UnclearPush;
use crate::batch::ledger::{BatchRecord, Target};
use crate::batch::message::{Case, Source};
use crate::batch::render::left_out::{LeftOut, left_out};
use crate::batch::{Batch, BatchKey, Reason, RenderedCase, batch_tag, fingerprint, render, size_in_push};
use crate::lane::{QueueClass, Ticket, Work};
use crate::store::history::{self, Happening, HistoryEntry};
use crate::tenants::Connection;
use crate::trace::{Spans, TraceContext};

/// The most entries of the history of a batch that wait for a change to be stored with.
const MOST_NOTES: usize = 20;

/// The identity by which two deliveries are the same work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) struct WorkKey {
    pub(in crate::worker) batch: BatchKey,
    pub(in crate::worker) fingerprint: String,
}

impl fmt::Display for WorkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with fingerprint {}", self.batch, self.fingerprint)
    }
}

/// A batch in hand.
#[derive(Debug)]
pub(in crate::worker) struct ActiveBatch {
    pub(in crate::worker) key: WorkKey,
    pub(in crate::worker) message: InboundMessage,
    pub(in crate::worker) source: Source,
    pub(in crate::worker) connection: Arc<Connection>,
    /// The folders that its cases go to.
    pub(in crate::worker) folders: CaseFolders,
    pub(in crate::worker) cases: Vec<RenderedCase>,
    /// How far it has come with cases that earlier batches wrote.
    pub(in crate::worker) generation: Generation,
    /// What is not sent of each case.
    pub(in crate::worker) left_out: Vec<Vec<LeftOut>>,
    /// The ledger's record, as far as this worker knows it.
    pub(in crate::worker) record: BatchRecord,
    /// The trace of its earlier outcome, if it is worked on again.
    pub(in crate::worker) former_trace: Option<TraceContext>,
    /// The epoch of the stored record.
    pub(in crate::worker) stored_epoch: u64,
    /// When the open push was claimed, in milliseconds on the store's clock.
    pub(in crate::worker) claimed_at: i64,
    /// What is known of its last push, if the outcome of that is unknown.
    pub(in crate::worker) unclear: UnclearPush,
    /// Rows of Testmo that may be cases which were not found: shown to a person.
    pub(in crate::worker) candidates: Vec<u64>,
    /// Positions of cases that were refused when they were sent alone, since a case was last created: the connection
    /// may be to blame, not these cases.
    pub(in crate::worker) refused_alone: Vec<usize>,
    /// Since when its requests have been answered with a status that leaves the outcome unknown, without a case having
    /// been created.
    pub(in crate::worker) suspected_since: Option<Instant>,
    /// Since when its folder has been searched for again because it had vanished, in milliseconds on the store's clock.
    pub(in crate::worker) relocated: Option<i64>,
    /// How often in a row it failed in this process.
    pub(in crate::worker) tries: u32,
    /// How it last failed in this process.
    pub(in crate::worker) failure: Option<(Reason, Option<String>)>,
    /// Until when a request that writes fields of its cases may still be carried out, in milliseconds on the store's clock.
    pub(in crate::worker) written_until: i64,
    /// What a person is asked about it.
    pub(in crate::worker) question: Option<String>,
    /// What happened to it that is stored with its next change.
    pub(in crate::worker) notes: Vec<HistoryEntry>,
    /// How often work on it panicked in this process.
    pub(in crate::worker) panics: u32,
    /// Since when the store has been failing.
    pub(in crate::worker) store_failing_since: Option<Instant>,
    /// Since when it has been in hand.
    pub(in crate::worker) in_hand_since: Instant,
    /// Since when nothing has been done for it.
    pub(in crate::worker) waiting_since: Instant,
}

impl ActiveBatch {
    /// Renders a batch for its connection; nothing of it is known to be stored.
    pub(in crate::worker) fn new(batch: &Batch, message: InboundMessage, connection: Arc<Connection>) -> Self {
        let key = WorkKey { batch: batch.key.clone(), fingerprint: fingerprint(batch) };
        let fresh = BatchRecord::of_batch(batch, key.fingerprint.clone());
        let (published_at, arrived_at) = (message.published_at, Some(message.arrived_at));
        let record = BatchRecord { published_at, arrived_at, trace: message.trace(), ..fresh };
        let cases = render::render(batch, &connection.mapping, &connection.fields);
        let left_out_of = |(case, rendered): (&Case, &RenderedCase)| left_out(case, &connection.mapping, rendered);
        let now = Instant::now();
        Self {
            key,
            message,
            source: batch.source.clone(),
            folders: CaseFolders::of(batch, &connection),
            generation: Generation::of(batch, &connection.mapping),
            left_out: batch.cases.iter().zip(&cases).map(left_out_of).collect(),
            cases,
            connection,
            record,
            former_trace: None,
            stored_epoch: 0,
            claimed_at: 0,
            unclear: UnclearPush::default(),
            candidates: Vec::new(),
            refused_alone: Vec::new(),
            suspected_since: None,
            relocated: None,
            tries: 0,
            failure: None,
            written_until: 0,
            question: None,
            notes: Vec::new(),
            panics: 0,
            store_failing_since: None,
            in_hand_since: now,
            waiting_since: now,
        }
    }

    /// Notes what happened at `now`, until when it waits because of that, both in milliseconds on the store's clock.
    pub(in crate::worker) fn note(&mut self, what: Happening, now: i64, until: Option<i64>) {
        history::note(&mut self.notes, HistoryEntry::once(what, now, until), MOST_NOTES);
    }

    /// Returns the trace that its log lines, requests and events carry.
    pub(in crate::worker) fn trace(&self) -> Option<&TraceContext> {
        self.record.trace.as_ref()
    }

    /// Gives the batch a span of its own in its trace, if spans are recorded: in the one that is stored with it, or otherwise in the
    /// one that its message names.
    pub(in crate::worker) fn join_trace(&mut self, spans: &Spans) {
        let stored = self.record.trace.take().or_else(|| self.message.trace());
        let (key, revision) = (self.key.batch.to_string(), self.record.revision);
        self.record.trace = stored.as_ref().map(|stored| spans.of_batch(stored, &key, revision));
        self.former_trace = stored.filter(|stored| {
            self.stored_epoch > 0
                && revision > 1
                && spans.are_recorded(stored)
                && Some(stored) != self.record.trace.as_ref()
        });
    }

    /// Returns the origin of its account.
    pub(in crate::worker) fn account(&self) -> &str {
        self.connection.access.origin.as_str()
    }

    /// Returns whether some of its cases go to another folder than the tenant's present one.
    pub(in crate::worker) fn has_own_folder(&self) -> bool {
        self.folders.are_own(self.connection.folder)
    }

    /// Returns the targets of the cases whose outcome is unknown, each once; `None` if they are not in the present account.
    pub(in crate::worker) fn unclear_targets(&self) -> Option<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for position in self.record.unclear_cases() {
            let target = self.present_target(position).filter(|target| target.account == self.account())?;
            if !targets.contains(target) {
                targets.push(target.clone());
            }
        }
        Some(targets)
    }

    /// Returns the target to which the case at a position goes by the ledger.
    pub(in crate::worker) fn present_target(&self, position: usize) -> Option<&Target> {
        let places = self.folders.places();
        self.record.present_targets(places.requested().len())?.get(places.of_case(position))
    }

    /// Returns the batch tag of its cases, unless the tenant has switched that off.
    pub(in crate::worker) fn batch_tag(&self) -> Option<String> {
        self.connection.mapping.batch_tag.then(|| batch_tag(&self.key.batch))
    }

    /// Returns when the first of the cases of unknown outcome was claimed, in milliseconds on the store's clock.
    pub(in crate::worker) fn unclear_since(&self) -> i64 {
        self.record.unclear_since.unwrap_or(self.claimed_at)
    }

    /// Forgets what is known of it, as after a panic in the middle of work on it: the next claim reads the ledger.
    pub(in crate::worker) fn start_over(&mut self) {
        self.record = self.record.restarted();
        self.stored_epoch = 0;
        self.unclear = UnclearPush::default();
        self.candidates.clear();
        self.refused_alone.clear();
        self.generation.restart();
    }

    /// Returns when its present connection was last blamed for it, in milliseconds on the store's clock.
    pub(in crate::worker) fn blamed_at(&self) -> Option<i64> {
        let (at, version) = self.message.blamed.as_ref()?;
        (*version == self.connection.version).then_some(*at)
    }

    /// Returns its trial, if it is a suspect.
    pub(in crate::worker) fn trial(&self) -> Option<Trial> {
        let trial = Trial { since: self.in_hand_since, waiting_since: self.waiting_since };
        self.message.suspect.then_some(trial)
    }

    /// Returns what a lane has to know of the batch.
    pub(in crate::worker) fn ticket(&self) -> Ticket {
        let suspicious = self.message.suspect || self.panics > 0 || self.blamed_at().is_some();
        let is_updating = self.generation.progress.known.is_some();
        let again = is_updating
            || self.message.again
            || self.tries > 0
            || self.message.failing_since.is_some()
            || self.panics > 0;
        // A version of its own keeps it apart from other batches: if work on it panics, or if the connection is blamed for
        // it again, no other batch suffers from that.
        let version: Arc<str> = match suspicious {
            true => format!("{} {}", self.connection.version, self.key).into(),
            false => self.connection.version.as_str().into(),
        };
        let rendered: usize = self.cases.iter().map(|case| case.entry.len() + case.name.len() + case.key.len()).sum();
        Ticket {
            account: self.account().into(),
            tenant: self.key.batch.tenant.clone(),
            version,
            work: self.work(),
            apart: self.record.apart(),
            class: if again { QueueClass::Again } else { QueueClass::First },
            arrived_at: self.message.arrived_at,
            since: self.in_hand_since,
            in_window: self.message.lease.is_none(),
            bytes: self.message.body.len() + rendered,
        }
    }

    /// Returns whether nothing is left to do for its cases, and for those of its source that it does not have.
    pub(in crate::worker) fn is_decided(&self) -> bool {
        let is_left = self.generation.removal.is_some() && !self.generation.is_done;
        self.record.outcome().is_some() && !is_left
    }

    /// Returns what has to be done with it: cases are sent together with those of other batches, everything else is
    /// done for this batch alone.
    fn work(&self) -> Work {
        // What a request wrote is found out first, also where the mapping no longer has cases updated.
        let is_update_done = self.generation.is_done && self.record.writing().next().is_none();
        if !self.folders.are_found() || !is_update_done || self.record.outcome().is_some() {
            return Work::Alone;
        }
        let size = |position| Some(size_in_push(self.folders.of_case(position)?, &self.cases[position]));
        Work::Cases(self.record.next_up().into_iter().filter_map(size).collect())
    }
}

#[cfg(test)]
pub(in crate::worker) mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::batch::message::decode::decode;
    use crate::config::{Sources, load};
    use crate::testmo::{Access, AddressPolicy};

    /// Returns a batch of acme with this many cases, with what differs from a fresh message.
    pub(in crate::worker) fn batch_of(cases: usize, differs: impl FnOnce(&mut InboundMessage)) -> ActiveBatch {
        let cases: Vec<_> = (1..=cases).map(|n| json!({"name": format!("case {n}"), "steps": []})).collect();
        let body = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": cases})
        .to_string();
        let policy = AddressPolicy::new(&load(&Sources::default()).unwrap().testmo);
        let connection = Connection {
            tenant: "acme".parse().unwrap(),
            version: "v1".into(),
            epoch: 1,
            access: Access { origin: policy.check("https://acme.testmo.net").unwrap(), key: "k".into() },
            project: 1,
            folder: 7,
            mapping: render::mapping::Mapping::default(),
            fields: Default::default(),
        };
        let batch = decode(body.as_bytes()).unwrap();
        let mut message = InboundMessage::fresh(Arc::new(body.into_bytes()), BTreeMap::new(), None, 5);
        differs(&mut message);
        ActiveBatch::new(&batch, message, Arc::new(connection))
    }

    #[test]
    fn only_a_batch_that_may_harm_others_is_kept_apart_from_them() {
        let version = |batch: &ActiveBatch| batch.ticket().version.to_string();
        let is_apart = |batch: &ActiveBatch| version(batch) != "v1";
        assert!(!is_apart(&batch_of(1, |_| {})));
        assert!(is_apart(&batch_of(1, |message| message.suspect = true)));
        assert!(is_apart(&batch_of(1, |message| message.blamed = Some((3, "v1".into())))));
        assert!(!is_apart(&batch_of(1, |message| message.blamed = Some((3, "v0".into())))), "another connection");
        let mut panicked = batch_of(1, |_| {});
        panicked.panics = 1;
        assert!(is_apart(&panicked));
        assert!(version(&panicked).contains("acme/b-1"), "by a version of its own");
    }

    #[test]
    fn a_batch_that_was_tried_before_waits_among_those_that_are_tried_again() {
        let class = |batch: &ActiveBatch| batch.ticket().class;
        assert_eq!(class(&batch_of(1, |_| {})), QueueClass::First);
        assert_eq!(class(&batch_of(1, |message| message.again = true)), QueueClass::Again);
        assert_eq!(class(&batch_of(1, |message| message.failing_since = Some(0))), QueueClass::Again);
        for change in [|batch: &mut ActiveBatch| batch.tries = 1, |batch: &mut ActiveBatch| batch.panics = 1] {
            let mut batch = batch_of(1, |_| {});
            change(&mut batch);
            assert_eq!(class(&batch), QueueClass::Again);
        }
    }

    #[test]
    fn a_ticket_has_the_size_of_each_open_case_and_the_memory_of_all() {
        let mut batch = batch_of(2, |_| {});
        let (rendered, body) = (&batch.cases, batch.message.body.len());
        let memory =
            rendered.iter().map(|case| case.entry.len() + case.name.len() + case.key.len()).sum::<usize>() + body;
        let ticket = batch.ticket();
        assert_eq!((ticket.bytes, ticket.arrived_at, ticket.in_window), (memory, 5, true));
        assert_eq!(ticket.work, Work::Cases(batch.cases.iter().map(|case| size_in_push(7, case)).collect()));
        batch.folders.forget();
        assert_eq!(batch.ticket().work, Work::Alone, "its folder has to be found");
        batch.folders.note(0, 7);
        batch.record.created(&[(0, 1), (1, 2)]);
        assert_eq!(batch.ticket().work, Work::Alone, "it is finished");
    }

    #[test]
    fn a_batch_is_blamed_on_its_present_connection_only() {
        let blamed = |version: &str| batch_of(1, |message| message.blamed = Some((42, version.into()))).blamed_at();
        assert_eq!((blamed("v1"), blamed("v0")), (Some(42), None));
    }

    #[test]
    fn a_batch_that_starts_over_knows_nothing_of_what_was_done() {
        let mut batch = batch_of(2, |_| {});
        batch.record.created(&[(0, 1)]);
        (batch.stored_epoch, batch.candidates, batch.refused_alone) = (3, vec![9], vec![1]);
        batch.unclear.ended_at = Some(Instant::now());
        batch.start_over();
        let fresh = batch_of(2, |_| {});
        assert_eq!((batch.record, batch.stored_epoch), (fresh.record, 0));
        assert_eq!((batch.unclear, batch.candidates, batch.refused_alone), (UnclearPush::default(), vec![], vec![]));
    }

    #[test]
    fn only_a_suspect_is_on_trial() {
        assert!(batch_of(1, |message| message.suspect = true).trial().is_some());
        assert!(batch_of(1, |_| {}).trial().is_none());
    }

    #[test]
    fn the_batch_tag_is_sent_unless_the_tenant_switched_it_off() {
        let batch = batch_of(1, |_| {});
        assert_eq!(batch.batch_tag(), Some(batch_tag(&batch.key.batch)));
    }
}
