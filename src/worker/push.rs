//! How does one request go out? ClaimOutcome with all its batches, sent in time, and recorded for each batch.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use super::courier::{Courier, STORE_PAUSE, reason_of_outcome};
use super::crash::{self, Point};
use super::deliver::{Flow, Job, Learnt, News, Part};
use super::entry::Entry;
use super::look::span;
use super::sample::Sample;
use super::suspects::Asked;
use crate::account::Signal;
use crate::batch::ledger::{OpenPush, Refusal, Target};
use crate::batch::message::FolderWish;
use crate::batch::verdict::answer::{ApiError, CreateOutcome, CreateResult, FieldRefusal};
use crate::batch::verdict::{DEFAULT_GATE, Next, after_push, reason_of, signal_of};
use crate::batch::{BatchKey, Reason, RenderedCase, push_body};
use crate::guard::may_panic;
use crate::lane::{PushOutcome, PushReport};
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, Pause};
use crate::store::ledger::{Claim, ClaimOutcome, Commit, KnownIds, PushEnded, RecordUpdate};
use crate::tenants::Connection;

/// A batch's share of a request.
struct Share<'a> {
    part: &'a mut Part,
    /// Positions of its cases that go.
    positions: Vec<usize>,
    target: Target,
    /// The push as the batch's record has it once it is granted.
    open: OpenPush,
}

/// A request that was granted.
struct Request<'a> {
    push: String,
    connection: &'a Connection,
    /// When its claim was asked for.
    asked: Instant,
    last_try: bool,
    /// What was known of the account's ids when it was granted.
    ids: KnownIds,
}

impl Share<'_> {
    /// The record with these cases claimed, to be stored where it is still as it is believed to be.
    fn claimed(&self) -> RecordUpdate {
        let entry = &self.part.entry;
        let mut record = entry.record.clone();
        record.claim(&self.positions, self.open.clone(), &self.target);
        RecordUpdate { record, from_epoch: entry.stored_epoch }
    }
}

impl Courier {
    /// Claims the cases, sends them in one request, and records what came of it.
    pub(super) async fn push(&self, job: &mut Job) -> Result<(), StoreError> {
        // In order of time, so that a database finds the latest ones side by side.
        let push = Uuid::now_v7().simple().to_string();
        let mut learnt = std::mem::take(&mut job.learnt);
        let last_try = job.last_try;
        let mut keys = HashSet::new();
        job.open().for_each(|part| may_panic("claim", &part.entry.identity));
        let shares: Vec<Share<'_>> = job.open().filter_map(|part| share(part, &push, &mut keys)).collect();
        let Some(first) = shares.first() else {
            job.learnt = learnt;
            return Ok(());
        };
        let connection = first.part.entry.connection.clone();
        let asked = Instant::now();
        let answer = self.store.claim(self.claim(&push, &connection, &shares)).await;
        let worked = match answer {
            Ok(ClaimOutcome::Granted { at, limit, ids, stale, contested, unreadable }) => {
                learnt.news.push(News::Limit(limit));
                let mut granted = Vec::new();
                for share in shares {
                    let key = &share.part.entry.identity.key;
                    if let Some(stored) = stale.iter().find(|stored| stored.record.key == *key) {
                        share.part.flow = Some(self.catch_up(&mut share.part.entry, stored.clone(), at).await?);
                    } else if let Some((_, row)) = unreadable.iter().find(|(unreadable, _)| unreadable == key) {
                        share.part.flow = Some(Flow::Held(row.clone()));
                    } else if contested.contains(key) {
                        share.part.flow = Some(Flow::Pause(STORE_PAUSE));
                    } else {
                        granted.push(take_over(share, at, ids));
                    }
                }
                let request = Request { push, connection: &connection, asked, last_try, ids };
                self.send(granted, request, &mut learnt).await
            }
            Ok(ClaimOutcome::Stale { stored, now }) => {
                for share in shares {
                    let key = &share.part.entry.identity.key;
                    share.part.flow = Some(match stored.iter().find(|stored| stored.record.key == *key) {
                        Some(stored) => self.catch_up(&mut share.part.entry, stored.clone(), now).await?,
                        None => Flow::Pause(STORE_PAUSE),
                    });
                }
                Ok(())
            }
            Ok(ClaimOutcome::Full { limit }) => {
                learnt.news.push(News::Full(limit));
                end_all(shares, &Flow::Turn);
                Ok(())
            }
            Ok(ClaimOutcome::Wait(Pause { wait, broken })) => {
                learnt.close(wait, if broken { Reason::ServerError } else { Reason::Throttled });
                end_all(shares, &Flow::Turn);
                Ok(())
            }
            Ok(ClaimOutcome::Probe) => {
                let probed = self.probe(&connection, &mut learnt).await;
                probed.map(|()| end_all(shares, &Flow::Turn))
            }
            Ok(ClaimOutcome::Unreadable(row)) => {
                end_all(shares, &Flow::Held(row));
                Ok(())
            }
            Ok(ClaimOutcome::Paused) => {
                end_all(shares, &Flow::Paused);
                Ok(())
            }
            Ok(ClaimOutcome::ConnectionChanged) => {
                // What is remembered of it would lead here again.
                self.tenants.forget(&connection.tenant);
                end_all(shares, &Flow::Renew);
                Ok(())
            }
            Err(error) => Err(error),
        };
        job.learnt = learnt;
        worked
    }

    fn claim(&self, push: &str, connection: &Connection, shares: &[Share<'_>]) -> Claim {
        Claim {
            push: push.to_owned(),
            tenant: connection.tenant.clone(),
            connection: connection.version.clone(),
            account: connection.access.origin.as_str().to_owned(),
            ceiling: self.config.push.account_limit,
            holder: self.holder.clone(),
            lease: self.config.testmo.lease(),
            batches: shares.iter().map(Share::claimed).collect(),
        }
    }

    async fn send(&self, shares: Vec<Share<'_>>, request: Request<'_>, learnt: &mut Learnt) -> Result<(), StoreError> {
        let Request { push, connection, asked, last_try, ids } = request;
        if shares.is_empty() {
            return Ok(());
        }
        crash::after(Point::Claim);
        // What a request that began later created could still be unsettled when the lease is over.
        if asked.elapsed() > self.config.testmo.latest_start() {
            return self.let_go(shares).await;
        }
        let sent = sent_by(&shares);
        let body = push_body(sent.iter().copied());
        let started = Instant::now();
        learnt.requests += 1;
        let under_way = self.metrics.push_begins();
        let CreateOutcome { mut end, differing, offset } =
            self.client.create_cases(&connection.access, connection.project, body, sent.len()).await;
        drop(under_way);
        crash::after(Point::Push);
        shares.iter().for_each(|share| may_panic("push", &share.part.entry.identity));
        let account = connection.access.origin.as_str();
        if let Ok(answered) = &mut end {
            self.sift_ids(account, ids, answered).await;
        }
        if let Some(offset) = offset {
            self.samples.note_offset(account, offset);
        }
        let took = started.elapsed();
        self.metrics.push_seconds.observe(took.as_secs_f64());
        self.metrics.cases_per_push.observe(f64::from(u32::try_from(sent.len()).unwrap_or(u32::MAX)));
        let answer = end.as_ref().err().map_or("2xx", ApiError::class);
        self.metrics.pushes.with_label_values(&[answer]).inc();
        self.tell_differences(&differing, |index| name_of(&shares, index));
        let cases: Vec<&RenderedCase> = sent.iter().map(|(_, case)| *case).collect();
        let sent = cases.len();
        let next = judged(after_push(&end, &cases), shares.len(), last_try);
        let outcome = match &next {
            Next::Created => PushOutcome::Created,
            Next::Halve { reason, .. } => PushOutcome::RefusedWhole { counts: *reason == Reason::CaseRefused },
            Next::TakeOut(_)
            | Next::Refuse(_)
            | Next::Look
            | Next::Suspect { .. }
            | Next::Again(_)
            | Next::Gate(_)
            | Next::Park(_)
            | Next::ParkUnclear(_) => PushOutcome::Other,
        };
        if next == Next::Created {
            self.keep_sample(&shares, &end, started);
            self.note_created(connection);
        }
        learnt.push = Some(PushReport { cases: sent, took, end: outcome });
        self.record(shares, push, &end, &next, connection, learnt).await
    }

    /// Keeps the last case of a request as one that Testmo has to show.
    fn keep_sample(&self, shares: &[Share<'_>], end: &CreateResult, sent_at: Instant) {
        let (Some(share), Some(id)) = (shares.last(), end.as_ref().ok().and_then(|ids| *ids.last()?)) else { return };
        let tag = share.part.entry.record.open_push.as_ref().and_then(|push| push.batch_tag.clone());
        self.samples.keep(share.target.clone(), Sample { tag, id, sent_at });
    }

    /// Gives claims back that were not used.
    async fn let_go(&self, shares: Vec<Share<'_>>) -> Result<(), StoreError> {
        for share in shares {
            share.part.entry.record.not_created(vec![]);
            let changed = self.store_revised(&mut share.part.entry, Commit::default()).await?;
            share.part.flow = Some(if changed.is_done() { Flow::Turn } else { Flow::Reload });
        }
        Ok(())
    }

    /// Records the end of a push for each of its batches; a batch of which it was the last push is settled in the same
    /// transaction.
    async fn record(
        &self,
        mut shares: Vec<Share<'_>>,
        push: String,
        end: &CreateResult,
        next: &Next,
        connection: &Connection,
        learnt: &mut Learnt,
    ) -> Result<(), StoreError> {
        let answer = end.as_ref().err().map_or("2xx", ApiError::class);
        let ids = span(end.iter().flatten().flatten().copied());
        let ended = PushEnded { push, answer, ids };
        let signal = signal_of(end.as_ref().err());
        let mut observation = signal.map(|signal| self.observation(connection, signal));
        if let Next::Gate(wait) = next {
            learnt.close(wait.unwrap_or(DEFAULT_GATE), Reason::Throttled);
            self.metrics.throttled.inc();
        }
        let mut recordings = Vec::new();
        let sent = shares.iter().map(|share| share.positions.len()).sum();
        let mut first = 0;
        for share in &mut shares {
            let count = share.positions.len();
            let of_share = Slice { end, first, positions: &share.positions, sent };
            let (flow, refused) = self.apply(&mut share.part.entry, &of_share, next);
            first += count;
            let created = of_share.created().count();
            let lease = share.part.entry.record.open_push.is_some().then(|| self.lease_after(end));
            let change =
                Commit { ended: Some(ended.clone()), observation: observation.take(), lease, ..Commit::default() };
            recordings.push((share, flow, created, refused, change));
        }
        let stored = recordings.into_iter().map(|(share, flow, created, refused, change)| async move {
            let flow = self.store_end(&mut share.part.entry, flow, change).await?;
            if !matches!(flow, Flow::Reload) {
                self.count_cases(created, refused);
            }
            share.part.flow = Some(flow);
            Ok::<(), StoreError>(())
        });
        // At once, so that they share a transaction; each is stored by itself all the same.
        if let Err(error) = join_all(stored).await.into_iter().collect::<Result<(), _>>() {
            // Nothing is parked for a connection that was not found to fail.
            shares.iter_mut().for_each(|share| share.part.flow = share.part.flow.take().filter(|flow| !flow.is_park()));
            return Err(error);
        }
        crash::after(Point::Record);
        if let Next::Suspect { status } = next {
            let parts = shares.into_iter().map(|share| share.part).collect();
            return self.find_cause(parts, Asked { connection, status: *status }, learnt).await;
        }
        let parts = shares.into_iter().map(|share| share.part).collect();
        self.blame_connection(parts, learnt).await
    }

    /// Stores a batch's record, settled if it has an outcome.
    async fn store_end(&self, entry: &mut Entry, flow: Flow, change: Commit) -> Result<Flow, StoreError> {
        if let (Some(state), Flow::Turn) = (entry.record.outcome(), &flow) {
            let reason = reason_of_outcome(entry, state);
            let changed = self.settle(entry, state, reason, change).await?;
            return Ok(if changed.is_done() { Flow::Over } else { Flow::Reload });
        }
        let changed = self.store_revised(entry, change).await?;
        Ok(if changed.is_done() { flow } else { Flow::Reload })
    }

    /// Finds out once for all batches whether the connection is to blame, where the answer said so.
    pub(super) async fn blame_connection(&self, parts: Vec<&mut Part>, learnt: &mut Learnt) -> Result<(), StoreError> {
        let mut verdict: Option<(Reason, Flow)> = None;
        let mut blaming = Vec::new();
        for part in parts {
            match part.flow.take() {
                Some(Flow::Park(reason, detail)) => blaming.push((part, reason, detail)),
                other => part.flow = other,
            }
        }
        // Where that fails for one of them, nothing follows for those after it: they are not parked for a connection that
        // was not found to fail.
        for (part, reason, detail) in blaming {
            let entry = &mut part.entry;
            let own = entry.wish != FolderWish::Tenant;
            let flow = match &verdict {
                Some((known, flow)) if *known == reason && !own => flow.clone(),
                Some(_) | None => self.connection_failed(entry, reason, detail, learnt).await?,
            };
            if !own {
                verdict = Some((reason, flow.clone()));
            }
            part.flow = Some(flow);
        }
        Ok(())
    }

    /// Applies an end to a batch's record, and tells what follows and how many cases were refused by it.
    fn apply(&self, entry: &mut Entry, share: &Slice<'_>, next: &Next) -> (Flow, usize) {
        let positions = share.positions;
        let detail = share.end.as_ref().err().map(ToString::to_string);
        let refusal = |reason, said| Refusal { reason, said };
        match next {
            Next::Created => {
                let ids: Vec<(usize, u64)> = share.created().collect();
                entry.record.created(&ids);
                (entry.tries, entry.parcel.failing_since, entry.parcel.parks) = (0, None, 0);
                entry.refused_alone.clear();
                entry.suspected_since = None;
                self.free_if_done(entry);
                if ids.len() == positions.len() {
                    return (Flow::Turn, 0);
                }
                if share.end.iter().flatten().any(Option::is_some) {
                    entry.record.carried_out();
                }
                entry.record.unclear(entry.claimed_at);
                (Flow::Pause(self.settle_time(share.end)), 0)
            }
            Next::TakeOut(refusals) => {
                let refused: Vec<_> = positions
                    .iter()
                    .enumerate()
                    .filter_map(|(at, position)| {
                        let said = refusals.entries.get(&(share.first + at))?;
                        Some((*position, refusal(Reason::CaseRefused, said.clone())))
                    })
                    .collect();
                let count = refused.len();
                entry.record.not_created(refused);
                (Flow::Turn, count)
            }
            Next::Halve { reason, said } if share.sent == 1 => {
                if *reason == Reason::CaseRefused {
                    entry.refused_alone.push(positions[0]);
                }
                entry.record.not_created(vec![(positions[0], refusal(*reason, said.clone()))]);
                (Flow::Turn, 1)
            }
            Next::Halve { .. } => {
                entry.record.not_created(vec![]);
                (Flow::Turn, 0)
            }
            Next::Refuse(reason) => {
                let said = vec![FieldRefusal { field: String::new(), message: detail.unwrap_or_default() }];
                let refused = positions.iter().map(|at| (*at, refusal(*reason, said.clone()))).collect();
                entry.record.not_created(refused);
                (Flow::Turn, positions.len())
            }
            Next::Look | Next::Suspect { .. } => {
                if let Next::Suspect { status } = next {
                    entry.record.suspect(*status);
                }
                entry.record.unclear(entry.claimed_at);
                let trouble = share.end.as_ref().err();
                entry.doubt.ended_at = trouble.filter(|trouble| trouble.has_ended()).map(|_| Instant::now());
                if let Some(push) = &entry.record.open_push {
                    self.samples.note_doubt(&push.id, entry.doubt);
                }
                let settle = self.settle_time(share.end);
                (Flow::Again(trouble.map_or(Reason::Unclear, reason_of), detail, settle), 0)
            }
            Next::Again(reason) => {
                entry.record.not_created(vec![]);
                (Flow::Again(*reason, detail, Duration::ZERO), 0)
            }
            Next::Gate(_) => {
                entry.record.not_created(vec![]);
                (Flow::Turn, 0)
            }
            Next::Park(reason) => {
                if !share.is_blamed() {
                    entry.record.not_created(vec![]);
                    return (Flow::Turn, 0);
                }
                // Where the connection is to blame, the cases that were refused alone were not.
                entry.record.reprieve(&std::mem::take(&mut entry.refused_alone));
                entry.record.not_created(vec![]);
                (Flow::Park(*reason, detail), 0)
            }
            Next::ParkUnclear(reason) => {
                entry.record.unclear(entry.claimed_at);
                (Flow::Park(*reason, detail), 0)
            }
        }
    }

    /// How long after such an end nothing more can come of the request.
    fn settle_time(&self, end: &CreateResult) -> Duration {
        let testmo = &self.config.testmo;
        end.as_ref().err().map_or(testmo.settle_unanswered, |trouble| {
            trouble.settle_time(testmo.settle_answered, testmo.settle_unanswered)
        })
    }

    /// For how long after such an end nobody else may go on with a batch. Where the request may still be at work, that
    /// allows for a jump of the store's clock.
    fn lease_after(&self, end: &CreateResult) -> Duration {
        let has_ended = end.as_ref().err().is_some_and(ApiError::has_ended);
        let margin = if has_ended { Duration::ZERO } else { self.config.testmo.margin };
        self.settle_time(end) + margin
    }

    fn count_cases(&self, created: usize, refused: usize) {
        self.metrics.cases.with_label_values(&["created"]).inc_by(created as u64);
        self.metrics.cases.with_label_values(&["refused"]).inc_by(refused as u64);
    }

    pub(super) fn observation(&self, connection: &Connection, signal: Signal) -> AccountObservation {
        let account = connection.access.origin.as_str().to_owned();
        AccountObservation { account, signal, ceiling: self.config.push.account_limit }
    }
}

/// Requests that are refused without a word about which case is to blame are halved, until that has gone on for so long
/// that not a case but the connection must be to blame. A refusal of an unknown kind counts against a single batch only.
fn judged(next: Next, batches: usize, last_try: bool) -> Next {
    match next {
        Next::Halve { reason: Reason::CaseRefused, .. } if last_try => Next::Park(Reason::ConnectionRejected),
        Next::Refuse(reason) if batches > 1 => Next::Halve { reason, said: Vec::new() },
        next @ (Next::Created
        | Next::TakeOut(_)
        | Next::Halve { .. }
        | Next::Refuse(_)
        | Next::Look
        | Next::Suspect { .. }
        | Next::Again(_)
        | Next::Gate(_)
        | Next::Park(_)
        | Next::ParkUnclear(_)) => next,
    }
}

/// The part of an answer that is about one batch.
struct Slice<'a> {
    end: &'a CreateResult,
    /// Where its cases begin in the request.
    first: usize,
    /// Their positions in the batch.
    positions: &'a [usize],
    /// How many cases the whole request had.
    sent: usize,
}

impl Slice<'_> {
    /// Positions and ids of the cases that have one.
    fn created(&self) -> impl Iterator<Item = (usize, u64)> {
        let ids = self.end.iter().flatten().skip(self.first);
        self.positions.iter().zip(ids).filter_map(|(at, id)| Some((*at, (*id)?)))
    }

    /// Whether the refusal names a case of this batch, or no case at all.
    fn is_blamed(&self) -> bool {
        match self.end {
            Err(ApiError::Invalid(refusals)) if !refusals.entries.is_empty() => {
                let own = self.first..self.first + self.positions.len();
                refusals.entries.keys().any(|at| own.contains(at))
            }
            Ok(_) | Err(_) => true,
        }
    }
}

/// What of a batch goes into the request that is made up, which has the batches `keys` so far. Two messages in conflict
/// over the id of one batch never go together, as the ledger has a single record for both: the second one waits until it
/// can see that of the first.
fn share<'a>(part: &'a mut Part, push: &str, keys: &mut HashSet<BatchKey>) -> Option<Share<'a>> {
    let entry = &part.entry;
    if !keys.insert(entry.identity.key.clone()) {
        part.flow = Some(Flow::Pause(STORE_PAUSE));
        return None;
    }
    let most = entry.record.apart().unwrap_or(usize::MAX);
    let positions: Vec<usize> = entry.record.waiting().take(part.count.min(most)).collect();
    let (Some(folder), false) = (entry.folder, positions.is_empty()) else {
        part.flow = Some(Flow::Turn);
        return None;
    };
    let connection = &entry.connection;
    let target = Target { account: entry.account().to_owned(), project: connection.project, folder };
    let open = OpenPush {
        id: push.to_owned(),
        connection: connection.version.clone(),
        batch_tag: entry.batch_tag(),
        committed: false,
    };
    Some(Share { part, positions, target, open })
}

/// Believes a claim that was granted at `at`, when these ids were known.
fn take_over(share: Share<'_>, at: i64, ids: KnownIds) -> Share<'_> {
    let entry = &mut share.part.entry;
    if entry.stored_epoch == 0 {
        entry.record.first_seen_at = at;
    }
    entry.doubt.ended_at = None;
    let floor = entry.record.next_floor(&share.target.account, ids.floor());
    entry.record.claim(&share.positions, share.open.clone(), &share.target);
    entry.record.floor = floor;
    entry.stored_epoch = entry.record.epoch;
    entry.claimed_at = at;
    share
}

/// The batch and the key of a case, by its position in the request.
fn name_of(shares: &[Share<'_>], index: usize) -> String {
    let of = |share: &Share<'_>| {
        let entry = &share.part.entry;
        share.positions.iter().map(|at| format!("{} {}", entry.identity.key, entry.cases[*at].key)).collect::<Vec<_>>()
    };
    shares.iter().flat_map(of).nth(index).unwrap_or_default()
}

/// The cases that go, in order, each with its folder.
fn sent_by<'s>(shares: &'s [Share<'_>]) -> Vec<(u64, &'s RenderedCase)> {
    let of =
        |share: &'s Share<'_>| share.positions.iter().map(|at| (share.target.folder, &share.part.entry.cases[*at]));
    shares.iter().flat_map(of).collect()
}

fn end_all(shares: Vec<Share<'_>>, flow: &Flow) {
    shares.into_iter().for_each(|share| share.part.flow = Some(flow.clone()));
}
