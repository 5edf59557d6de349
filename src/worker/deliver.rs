//! How do batches in hand get into Testmo? The steps of one piece of work, until each batch is stored as finished or has
//! to wait.

use std::time::Duration;

use tokio::time::Instant;

use super::courier::{Courier, STORE_PATIENCE, STORE_PAUSE, reason_of_outcome};
use super::entry::{Entry, Identity};
use super::suspects::arrived_of;
use crate::batch::Reason;
use crate::batch::ledger::BatchState;
use crate::guard::{Task, may_panic};
use crate::lane::{Pack, PushReport, Report};
use crate::store::ledger::Commit;
use crate::store::{StoreError, UnreadableRow};

/// So often work on a batch may panic in one process; then it is a suspect.
const MOST_PANICS: u32 = 3;
/// The pause after the first panic; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What a batch in hand came to.
pub(super) enum Done {
    /// It is stored as finished: its deliveries can be acknowledged, and nothing of it is left on the shelf.
    Settled(Identity),
    /// It is on the shelf: its deliveries can be acknowledged.
    Shelved(Identity),
    /// There is more to do, in its turn or after a pause.
    More { entry: Box<Entry>, after: Option<Duration> },
    /// Its connection has changed: it has to be resolved and rendered anew.
    Renew(Box<Entry>),
    /// The store does not answer: back to where it came from.
    GiveBack(Identity),
}

/// What follows a step for a batch.
#[derive(Clone, Debug)]
pub(super) enum Flow {
    /// The next step, when it is the batch's turn again.
    Turn,
    /// The next step, after a pause.
    Pause(Duration),
    /// Try again, for as long as patience lasts; not before a time.
    Again(Reason, Option<String>, Duration),
    /// Onto the shelf until the connection is mended.
    Park(Reason, Option<String>),
    /// Onto the shelf for a while that grows each time, for as long as it takes; it is expected to last so long.
    Hold(Reason, Option<String>, Duration),
    /// Onto the shelf for a while, as a row of the store that decides about it cannot be read.
    Held(UnreadableRow),
    /// Onto the shelf until a person lets it go on.
    Paused,
    /// Resolve anew.
    Renew,
    /// Read the record anew: somebody else has changed it.
    Reload,
    /// All is stored.
    Over,
}

impl Flow {
    /// Whether it goes onto the shelf until the connection is corrected.
    pub(super) fn is_park(&self) -> bool {
        matches!(self, Self::Park(..))
    }
}

/// What was learnt about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It bears so many requests at once.
    Limit(u32),
    /// It bears no more than are under way.
    Full(u32),
    /// It takes nothing for so long, for this reason.
    Closed(Duration, Reason),
}

/// Everything that came of a piece of work.
#[derive(Default)]
pub(super) struct Worked {
    pub(super) done: Vec<Done>,
    pub(super) report: Report,
    pub(super) news: Vec<News>,
}

/// A batch in hand.
pub(super) struct Part {
    pub(super) entry: Box<Entry>,
    /// How many of its cases are to go.
    pub(super) count: usize,
    /// What follows, once the work on it has ended.
    pub(super) flow: Option<Flow>,
}

/// A piece of work under way. Its batches stay in it whatever fails, so that none is forgotten.
pub(super) struct Job {
    pub(super) parts: Vec<Part>,
    /// What was learnt, and what it took.
    pub(super) learnt: Learnt,
    /// Whether one more refusal as a whole puts the blame on the connection.
    pub(super) last_try: bool,
}

/// What was learnt by a piece of work, and what it took.
#[derive(Default)]
pub(super) struct Learnt {
    pub(super) news: Vec<News>,
    pub(super) requests: u32,
    pub(super) push: Option<PushReport>,
}

impl Job {
    /// Names its batches in the log.
    fn name(&self) -> String {
        let batches: Vec<String> = self.parts.iter().map(|part| part.entry.identity.key.to_string()).collect();
        batches.join(", ")
    }

    /// The batches that are still worked on.
    pub(super) fn open(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut().filter(|part| part.flow.is_none())
    }
}

impl Learnt {
    /// Nothing may go to the account for a while.
    pub(super) fn close(&mut self, wait: Duration, reason: Reason) {
        self.news.push(News::Closed(wait, reason));
    }
}

impl Courier {
    /// Works on batches of one connection until each is finished or has to wait.
    pub(super) async fn deliver(&self, pack: Pack<Box<Entry>>) -> Worked {
        let alone = pack.parts.iter().all(|(_, count)| *count == 0);
        let parts = pack.parts.into_iter().map(|(entry, count)| Part { entry, count, flow: None }).collect();
        let mut job = Job { parts, learnt: Learnt::default(), last_try: pack.last_try };
        let what = job.name();
        let work = async { if alone { self.prepare(&mut job).await } else { self.push_all(&mut job).await } };
        let worked = self.unit(Task::Dispatcher, &what, work).await;
        self.finish(job, worked.err()).await
    }

    /// Holds a batch back over which the worker panicked: in its lane, apart from others and each time for longer; then
    /// on the shelf, as a suspect.
    pub(super) async fn hold_back(&self, mut entry: Box<Entry>, panic: &str) -> Done {
        entry.panics += 1;
        entry.start_over();
        let pause = FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(entry.panics - 1)).min(LONGEST_PAUSE);
        if entry.parcel.suspect || entry.panics >= MOST_PANICS {
            let aside = self.put_aside(&entry.parcel, Some(panic));
            match self.unit(Task::Dispatcher, &entry.identity, aside).await {
                Ok(()) => return Done::Shelved(entry.identity),
                Err(StoreError::Panicked(_)) => {}
                Err(error) => return store_failed(entry, &error),
            }
        }
        tracing::warn!(batch = %entry.identity.key, ?pause, "a batch is held back");
        Done::More { entry, after: Some(pause) }
    }

    /// What a batch does alone: finding its folder, or being settled.
    async fn prepare(&self, job: &mut Job) -> Result<(), StoreError> {
        for part in &mut job.parts {
            may_panic("prepare", &part.entry.identity);
            part.flow = Some(if part.entry.record.outcome().is_some() {
                self.settle_known(&mut part.entry).await?
            } else {
                self.locate(&mut part.entry, &mut job.learnt).await?
            });
        }
        Ok(())
    }

    /// What batches do together: a look for what is in doubt, then one request.
    async fn push_all(&self, job: &mut Job) -> Result<(), StoreError> {
        let arrived = arrived_of(job);
        self.look_for_doubtful(job).await?;
        self.release_held(job, arrived).await?;
        if job.open().next().is_some() { self.push(job).await } else { Ok(()) }
    }

    /// Settles a batch each of whose cases has an end.
    pub(super) async fn settle_known(&self, entry: &mut Entry) -> Result<Flow, StoreError> {
        let state = entry.record.outcome().unwrap_or(BatchState::Open);
        let reason = reason_of_outcome(entry, state);
        let changed = self.settle(entry, state, reason, Commit::default()).await?;
        Ok(if changed.is_done() { Flow::Over } else { Flow::Reload })
    }

    /// Does what follows for each batch; where the store failed, nothing is known to follow.
    async fn finish(&self, job: Job, failed: Option<StoreError>) -> Worked {
        let Job { parts, learnt, .. } = job;
        // Batches that failed together come back together: one look then serves all of them.
        let pause = self.pause_of(&parts);
        let mut done = Vec::new();
        for mut part in parts {
            let followed = match (part.flow, &failed) {
                (Some(flow), _) => {
                    let identity = part.entry.identity.clone();
                    let following = self.follow(&mut part.entry, flow, pause);
                    self.unit(Task::Dispatcher, &identity, following).await
                }
                (None, Some(error)) => Err(error.clone()),
                (None, None) => Ok(Followed::More(None)),
            };
            let followed = match followed {
                Err(StoreError::Unreadable(row)) => self.follow(&mut part.entry, Flow::Held(row), pause).await,
                other => other,
            };
            done.push(match followed {
                Ok(followed) => {
                    part.entry.store_failing_since = None;
                    followed.of(part.entry)
                }
                Err(StoreError::Panicked(panic)) => self.hold_back(part.entry, &panic).await,
                Err(error) => store_failed(part.entry, &error),
            });
        }
        let Learnt { news, requests, push } = learnt;
        Worked { done, news, report: Report { requests, push } }
    }
}

/// What follows, before the batch itself is handed on.
pub(super) enum Followed {
    Settled,
    Shelved,
    More(Option<Duration>),
    Renew,
}

impl Followed {
    fn of(self, entry: Box<Entry>) -> Done {
        match self {
            Self::Settled => Done::Settled(entry.identity),
            Self::Shelved => Done::Shelved(entry.identity),
            Self::More(after) => Done::More { entry, after },
            Self::Renew => Done::Renew(entry),
        }
    }
}

fn store_failed(mut entry: Box<Entry>, error: &StoreError) -> Done {
    let since = *entry.store_failing_since.get_or_insert_with(Instant::now);
    tracing::warn!(batch = %entry.identity.key, %error, "the store does not answer");
    if since.elapsed() > STORE_PATIENCE || matches!(error, StoreError::Closed) {
        Done::GiveBack(entry.identity)
    } else {
        // What was not stored is not believed: the ledger says how far the batch is.
        entry.stored_epoch = 0;
        Done::More { entry, after: Some(STORE_PAUSE) }
    }
}
