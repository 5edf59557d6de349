//! How does a batch in hand get into Testmo? One step after another, until it is stored as finished or has to wait.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::courier::{Courier, STORE_PATIENCE, STORE_PAUSE, reason_of_outcome};
use super::entry::{Entry, Step};
use super::retry;
use crate::batch::answer::{PushEnd, Pushed, Trouble};
use crate::batch::event;
use crate::batch::ledger::{BatchState, CaseState, OpenPush, Refusal, Target};
use crate::batch::message::FolderWish;
use crate::batch::reconcile::{Found, Wanted, find};
use crate::batch::verdict::{Next, Patience, after_failed_look, after_push, most_refusals, patience, reason_of};
use crate::batch::{Reason, RenderedCase, push_body};
use crate::store::StoreError;
use crate::store::connections::Finding;
use crate::store::ledger::{Change, Changed, Claim, Claimed, PushEnded, Stored};
use crate::store::shelf::Until;

/// What a batch in hand came to.
pub(super) enum Done {
    /// It is stored as finished or shelved: its deliveries can be acknowledged.
    Stored,
    /// There is more to do, in its turn or after a pause.
    More { entry: Box<Entry>, after: Option<Duration> },
    /// Its account takes nothing for a while.
    Gated { entry: Box<Entry>, wait: Duration },
    /// Its connection has changed: it has to be resolved and rendered anew.
    Renew(Box<Entry>),
    /// The store does not answer: back to where it came from.
    GiveBack,
}

/// What follows a step.
#[derive(Debug)]
pub(super) enum Flow {
    /// The next step, at once.
    On,
    /// The next step, when it is the batch's turn again.
    Turn,
    /// The next step, after a pause.
    Pause(Duration),
    /// Nothing before the account's gate opens.
    Gate(Duration),
    /// Try again, for as long as patience lasts; not before a time.
    Again(Reason, Option<String>, Duration),
    /// Onto the shelf until the connection is mended.
    Park(Reason, Option<String>),
    /// Resolve anew.
    Renew,
    /// Read the record anew: somebody else has changed it.
    Reload,
    /// All is stored.
    Over,
}

impl Courier {
    /// Works on a batch until it is finished or has to wait.
    pub(super) async fn deliver(&self, mut entry: Box<Entry>) -> Done {
        loop {
            match self.step(&mut entry).await {
                Ok(Flow::On) => {}
                Ok(flow) => {
                    entry.store_failing_since = None;
                    // A look is worth something only if the push follows at once.
                    entry.looked = false;
                    match self.follow(&mut entry, flow).await {
                        Ok(Followed::Stored) => return Done::Stored,
                        Ok(Followed::On) => {}
                        Ok(Followed::More(after)) => return Done::More { entry, after },
                        Ok(Followed::Gated(wait)) => return Done::Gated { entry, wait },
                        Ok(Followed::Renew) => return Done::Renew(entry),
                        Err(error) => return store_failed(entry, &error),
                    }
                }
                Err(error) => return store_failed(entry, &error),
            }
        }
    }

    async fn step(&self, entry: &mut Entry) -> Result<Flow, StoreError> {
        match entry.next_step(&self.config.push) {
            Step::Locate => self.locate(entry).await,
            Step::Look => self.look(entry).await,
            Step::Push(positions) => self.push(entry, &positions).await,
            Step::Settle => {
                let state = entry.record.outcome().unwrap_or(BatchState::Open);
                let reason = reason_of_outcome(entry, state);
                let changed = self.settle(entry, state, reason, Change::default()).await?;
                Ok(if changed == Changed::Done { Flow::Over } else { Flow::Reload })
            }
        }
    }

    async fn follow(&self, entry: &mut Entry, flow: Flow) -> Result<Followed, StoreError> {
        match flow {
            Flow::On => Ok(Followed::On),
            Flow::Over => Ok(Followed::Stored),
            Flow::Turn => Ok(Followed::More(None)),
            Flow::Pause(pause) => Ok(Followed::More(Some(pause))),
            Flow::Gate(wait) => Ok(Followed::Gated(wait)),
            Flow::Renew => Ok(Followed::Renew),
            Flow::Park(reason, detail) => {
                self.park(entry, reason, detail, Until::Connection).await?;
                Ok(Followed::Stored)
            }
            Flow::Again(reason, detail, least) => self.again(entry, reason, detail, least).await,
            Flow::Reload => match self.store.batch_at(&entry.identity.key).await? {
                (Some(stored), now) => {
                    let flow = self.catch_up(entry, stored, now).await?;
                    // Boxed, as catching up can lead here again.
                    Box::pin(self.follow(entry, flow)).await
                }
                (None, _) => Ok(Followed::More(Some(STORE_PAUSE))),
            },
        }
    }

    /// One more failure: in this process, on the shelf, or given up.
    async fn again(
        &self,
        entry: &mut Entry,
        reason: Reason,
        detail: Option<String>,
        least: Duration,
    ) -> Result<Followed, StoreError> {
        entry.tries += 1;
        let now = self.store.now();
        let since = *entry.parcel.failing_since.get_or_insert(now);
        let failing = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
        match patience(entry.tries, entry.parcel.parks, failing, &self.patience_limits()) {
            Patience::InProcess => {
                let pause = retry::pause(&self.config.retry, entry.tries).max(least);
                tracing::info!(batch = %entry.identity.key, %reason, detail, ?pause, "trying again");
                Ok(Followed::More(Some(pause)))
            }
            Patience::Shelf(wait) => {
                entry.parcel.parks += 1;
                self.park(entry, reason, detail, Until::After(wait.max(least))).await?;
                Ok(Followed::Stored)
            }
            Patience::Exhausted => {
                let arrived = |case: &crate::batch::ledger::CaseRecord| {
                    matches!(case.state, CaseState::Created(_) | CaseState::Adopted(_))
                };
                let partly = entry.record.cases.iter().any(arrived);
                let state = if partly { BatchState::Partial } else { BatchState::Failed };
                let changed = self.settle(entry, state, Some(Reason::RetriesExhausted), Change::default()).await?;
                Ok(if changed == Changed::Done { Followed::Stored } else { Followed::More(Some(STORE_PAUSE)) })
            }
        }
    }

    /// Looks into Testmo for the cases of which it is not known whether they are there.
    async fn look(&self, entry: &mut Entry) -> Result<Flow, StoreError> {
        let Some(target) = entry.record.target().cloned() else { return Ok(Flow::Renew) };
        if target.account != entry.account() {
            entry.record.give_up_doubtful();
            let changed = self.store_revised(entry, Change::default()).await?;
            return Ok(if changed == Changed::Done { Flow::On } else { Flow::Reload });
        }
        if let Some(wait) = self.store.gate(&target.account).await? {
            return Ok(Flow::Gate(wait));
        }
        let since = entry.record.doubt_since.unwrap_or(entry.claimed_at);
        let look = match self.client.look(&entry.connection.access, target.project, target.folder, since).await {
            Ok(look) => look,
            Err(trouble) => return self.call_failed(entry, &trouble, after_failed_look(&trouble)).await,
        };
        let ids: Vec<u64> = look.rows.iter().map(|row| row.id).collect();
        let held = self.store.held_ids(&target.account, &ids).await?;
        let mark = entry.record.open_push.as_ref().map_or_else(|| entry.mark(), |push| push.mark.clone());
        let doubtful: Vec<usize> = entry.record.doubtful().collect();
        let cases: Vec<(usize, &str)> = doubtful.iter().map(|i| (*i, entry.cases[*i].name.as_str())).collect();
        let wanted =
            Wanted { cases: &cases, mark: mark.as_deref(), folder: target.folder, not_before: look.since, held: &held };
        let Found { cases: found, left_over } = find(&wanted, &look.rows);
        let (doubted, adopted) = (cases.len(), found.len());
        tracing::info!(batch = %entry.identity.key, doubted, adopted, ?left_over, "looked into Testmo");
        let push = entry.record.open_push.as_ref().map(|push| push.id.clone());
        entry.record.looked(&found, false);
        let twice = self.note_duplicates(&mut entry.record, mark.as_deref(), &held, &look.rows);
        let (events, twice) = twice.map_or((Vec::new(), 0), |(event, count)| (vec![event], count));
        let ended = push.zip(span(found.iter().map(|(_, id)| *id))).map(|(push, ids)| PushEnded {
            push,
            answer: "adopted",
            ids: Some(ids),
        });
        if self.store_revised(entry, Change { ended, events, ..Change::default() }).await? == Changed::Fenced {
            return Ok(Flow::Reload);
        }
        self.count_duplicates(&entry.identity.key, twice);
        self.metrics.cases.with_label_values(&["adopted"]).inc_by(adopted as u64);
        entry.looked = true;
        entry.candidates = left_over;
        Ok(Flow::On)
    }

    pub(super) async fn close_gate(&self, entry: &Entry, wait: Option<Duration>) -> Result<Flow, StoreError> {
        let wait = wait.unwrap_or(DEFAULT_GATE);
        let gate = Some((entry.account().to_owned(), wait));
        self.store.change(Change { gate, ..Change::default() }).await?;
        Ok(Flow::Gate(wait))
    }

    /// Claims the cases, sends them, and records what came of it.
    async fn push(&self, entry: &mut Entry, positions: &[usize]) -> Result<Flow, StoreError> {
        let Some(folder) = entry.folder else { return Ok(Flow::Turn) };
        let connection = entry.connection.clone();
        let target = Target { account: entry.account().to_owned(), project: connection.project, folder };
        let push = Uuid::new_v4().simple().to_string();
        let open =
            OpenPush { id: push.clone(), connection: connection.version.clone(), mark: entry.mark(), committed: false };
        let mut claimed = entry.record.clone();
        claimed.claim(positions, open, &target);
        let asked = Instant::now();
        let claim = Claim {
            push: push.clone(),
            tenant: connection.tenant.clone(),
            connection: connection.version.clone(),
            target: target.clone(),
            cases: positions.len(),
            holder: self.holder.clone(),
            lease: self.config.testmo.lease(),
            batches: vec![crate::store::ledger::Revised { record: claimed.clone(), from_epoch: entry.stored_epoch }],
        };
        match self.store.claim(claim).await? {
            Claimed::Granted { at } => {
                if entry.stored_epoch == 0 {
                    claimed.first_seen_at = at;
                }
                entry.stored_epoch = claimed.epoch;
                entry.record = claimed;
                entry.claimed_at = at;
                entry.looked = false;
            }
            Claimed::Gated { until, now } => return Ok(Flow::Gate(milliseconds(until - now))),
            Claimed::ConnectionChanged => return Ok(Flow::Renew),
            Claimed::Stale { stored, now } => {
                return match stored.into_iter().next() {
                    Some(stored) => self.catch_up(entry, stored, now).await,
                    None => Ok(Flow::Pause(STORE_PAUSE)),
                };
            }
        }
        // Whoever starts writing later could still be writing when the lease is over.
        let testmo = &self.config.testmo;
        if asked.elapsed() > testmo.lease() - testmo.connect_timeout - testmo.request_timeout - testmo.margin {
            entry.record.not_created(vec![]);
            let changed = self.store_revised(entry, Change::default()).await?;
            return Ok(if changed == Changed::Done { Flow::Turn } else { Flow::Reload });
        }
        let body = push_body(folder, positions.iter().map(|i| &entry.cases[*i]));
        let started = Instant::now();
        self.metrics.pushes_in_flight.inc();
        let Pushed { end, differing } =
            self.client.create_cases(&connection.access, connection.project, body, positions.len()).await;
        self.metrics.pushes_in_flight.dec();
        self.metrics.push_seconds.observe(started.elapsed().as_secs_f64());
        self.tell_differences(&differing, |index| {
            format!("{} {}", entry.identity.key, entry.cases[positions[index]].key)
        });
        self.record(entry, positions, push, end).await
    }

    /// Records the end of a push; if it was the batch's last one, settles in the same transaction.
    async fn record(
        &self,
        entry: &mut Entry,
        positions: &[usize],
        push: String,
        end: PushEnd,
    ) -> Result<Flow, StoreError> {
        let answer = end.as_ref().err().map_or("2xx", Trouble::class);
        self.metrics.pushes.with_label_values(&[answer]).inc();
        let ids: Vec<(usize, u64)> = match &end {
            Ok(ids) => positions.iter().zip(ids).filter_map(|(at, id)| Some((*at, (*id)?))).collect(),
            Err(_) => Vec::new(),
        };
        let ended = Some(PushEnded { push, answer, ids: span(ids.iter().map(|(_, id)| *id)) });
        let mut change = Change { ended, ..Change::default() };
        let (flow, refused) = self.apply(entry, positions, &ids, &end, &mut change);
        if let (Some(state), Flow::Turn) = (entry.record.outcome(), &flow) {
            let reason = reason_of_outcome(entry, state);
            if self.settle(entry, state, reason, change).await? == Changed::Fenced {
                return Ok(Flow::Reload);
            }
            self.count_cases(ids.len(), refused);
            return Ok(Flow::Over);
        }
        if self.store_revised(entry, change).await? == Changed::Fenced {
            return Ok(Flow::Reload);
        }
        self.count_cases(ids.len(), refused);
        if let Flow::Park(reason, detail) = flow {
            return self.connection_failed(entry, reason, detail).await;
        }
        Ok(flow)
    }

    /// Applies an end to the record, and tells what follows and how many cases were refused by it.
    fn apply(
        &self,
        entry: &mut Entry,
        positions: &[usize],
        ids: &[(usize, u64)],
        end: &PushEnd,
        change: &mut Change,
    ) -> (Flow, usize) {
        let sent = positions.len();
        let detail = end.as_ref().err().map(ToString::to_string);
        let refusal = |reason, said| Refusal { reason, said };
        let cases: Vec<&RenderedCase> = positions.iter().map(|at| &entry.cases[*at]).collect();
        match after_push(end, &cases) {
            Next::Created => {
                entry.record.created(ids);
                (entry.tries, entry.parcel.failing_since, entry.parcel.parks) = (0, None, 0);
                entry.refusals = 0;
                entry.most_cases = (entry.most_cases * 2).min(self.config.push.max_cases);
                if ids.len() == sent {
                    return (Flow::Turn, 0);
                }
                entry.record.unclear(entry.claimed_at);
                (Flow::Pause(self.config.testmo.settle_unanswered), 0)
            }
            Next::TakeOut(refusals) => {
                let of_entry =
                    |(at, said): (usize, Vec<_>)| Some((*positions.get(at)?, refusal(Reason::CaseRefused, said)));
                let refused: Vec<_> = refusals.entries.into_iter().filter_map(of_entry).collect();
                let count = refused.len();
                entry.record.not_created(refused);
                if count == 0 { (halve(entry, sent), 0) } else { (Flow::Turn, count) }
            }
            Next::Halve { .. } if entry.refusals >= most_refusals(self.config.push.max_cases) => {
                entry.record.not_created(vec![]);
                (Flow::Park(Reason::ConnectionRejected, detail), 0)
            }
            Next::Halve { reason, said } if sent == 1 => {
                entry.refusals += 1;
                entry.record.not_created(vec![(positions[0], refusal(reason, said))]);
                entry.most_cases = (entry.most_cases * 2).min(self.config.push.max_cases);
                (Flow::Turn, 1)
            }
            Next::Halve { .. } => {
                entry.refusals += 1;
                entry.record.not_created(vec![]);
                (halve(entry, sent), 0)
            }
            Next::Refuse(reason) => {
                let said = vec![crate::batch::answer::FieldRefusal {
                    field: String::new(),
                    message: detail.unwrap_or_default(),
                }];
                let refused = positions.iter().map(|at| (*at, refusal(reason, said.clone()))).collect();
                entry.record.not_created(refused);
                (Flow::Turn, sent)
            }
            Next::Look => {
                entry.record.unclear(entry.claimed_at);
                let testmo = &self.config.testmo;
                let trouble = end.as_ref().err();
                let settle = trouble.map_or(testmo.settle_unanswered, |trouble| {
                    trouble.settle_time(testmo.settle_answered, testmo.settle_unanswered)
                });
                (Flow::Again(trouble.map_or(Reason::Unclear, reason_of), detail, settle), 0)
            }
            Next::Again(reason) => {
                entry.record.not_created(vec![]);
                (Flow::Again(reason, detail, Duration::ZERO), 0)
            }
            Next::Gate(wait) => {
                entry.record.not_created(vec![]);
                let wait = wait.unwrap_or(DEFAULT_GATE);
                change.gate = Some((entry.account().to_owned(), wait));
                (Flow::Gate(wait), 0)
            }
            Next::Park(reason) => {
                if end.as_ref().err().is_some_and(Trouble::may_have_committed) {
                    entry.record.unclear(entry.claimed_at);
                } else {
                    entry.record.not_created(vec![]);
                }
                (Flow::Park(reason, detail), 0)
            }
        }
    }

    fn count_cases(&self, created: usize, refused: usize) {
        self.metrics.cases.with_label_values(&["created"]).inc_by(created as u64);
        self.metrics.cases.with_label_values(&["refused"]).inc_by(refused as u64);
    }

    /// Something that the tenant has to mend: a refused key is asked about once more before the tenant is stopped.
    pub(super) async fn connection_failed(
        &self,
        entry: &mut Entry,
        reason: Reason,
        detail: Option<String>,
    ) -> Result<Flow, StoreError> {
        let connection = entry.connection.clone();
        let own_folder = matches!(reason, Reason::ConnectionRejected | Reason::TargetMissing);
        if own_folder && entry.wish != FolderWish::Tenant && !entry.relocated {
            // The folder of this batch may have vanished: it is looked for anew, once.
            (entry.folder, entry.relocated) = (None, true);
            return Ok(Flow::Turn);
        }
        if reason == Reason::KeyRefused && self.client.user(&connection.access).await != Err(Trouble::KeyRefused) {
            return Ok(Flow::Again(Reason::KeyRefused, detail, Duration::ZERO));
        }
        let of_this_batch = reason == Reason::ConnectionRejected || entry.wish != FolderWish::Tenant;
        if !of_this_batch || reason == Reason::KeyRefused {
            let finding = Finding::Fails { reason, detail: detail.clone().unwrap_or_default() };
            self.store.note_finding(&connection.tenant, &connection.version, &finding).await?;
            self.tenants.forget(&connection.tenant);
            tracing::warn!(tenant = %connection.tenant, %reason, detail, "the tenant's connection does not work");
        }
        Ok(Flow::Park(reason, detail))
    }

    /// The store knows the batch otherwise than this worker: as settled, as other work, or further on.
    async fn catch_up(&self, entry: &mut Entry, stored: Stored, now: i64) -> Result<Flow, StoreError> {
        let Stored { record, claimed_at, lease_until } = stored;
        if record.fingerprint != entry.identity.fingerprint {
            let key = entry.identity.key.clone();
            let whose = Some((key.tenant.clone(), Some(key)));
            let detail = format!("the first batch of this id arrived at {}", record.first_seen_at);
            self.shelve_message(entry.parcel.clone(), Reason::BatchConflict, whose, vec![], detail).await?;
            return Ok(Flow::Over);
        }
        if record.state != BatchState::Open {
            if let Some(event) = event::settlement_id(&record) {
                self.store.announce_event_again(&event).await?;
            }
            if let Some((id, generation)) = entry.parcel.lease {
                self.store.change(Change { unshelve: Some((id.0, generation)), ..Change::default() }).await?;
            }
            self.announce.notify_one();
            self.metrics.batches.with_label_values(&["duplicate"]).inc();
            tracing::info!(batch = %entry.identity.key, state = record.state.name(), "duplicate of a settled batch");
            return Ok(Flow::Over);
        }
        let leased = lease_until.map_or(0, |until| until - now);
        if record.open_push.is_some() && leased > 0 {
            return Ok(Flow::Pause(milliseconds(leased)));
        }
        entry.stored_epoch = record.epoch;
        entry.claimed_at = claimed_at.unwrap_or(now);
        entry.record = record;
        entry.looked = false;
        if entry.record.open_push.is_some() {
            entry.record.unclear(entry.claimed_at);
        }
        Ok(Flow::On)
    }
}

/// How long an account is left alone after a 429 that names no time, as Testmo's documentation asks for.
pub(super) const DEFAULT_GATE: Duration = Duration::from_secs(60);

enum Followed {
    On,
    Stored,
    More(Option<Duration>),
    Gated(Duration),
    Renew,
}

fn halve(entry: &mut Entry, sent: usize) -> Flow {
    entry.most_cases = (sent / 2).max(1);
    Flow::Turn
}

fn store_failed(mut entry: Box<Entry>, error: &StoreError) -> Done {
    let since = *entry.store_failing_since.get_or_insert_with(Instant::now);
    tracing::warn!(batch = %entry.identity.key, %error, "the store does not answer");
    if since.elapsed() > STORE_PATIENCE || matches!(error, StoreError::Closed) {
        Done::GiveBack
    } else {
        // What was not stored is not believed: the ledger says how far the batch is.
        entry.stored_epoch = 0;
        Done::More { entry, after: Some(STORE_PAUSE) }
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn span(ids: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    ids.fold(None, |span, id| Some(span.map_or((id, id), |(low, high): (u64, u64)| (low.min(id), high.max(id)))))
}
