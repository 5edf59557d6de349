//! How do many concurrent pushes share one commit? A queue whose waiting requests go into one transaction.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::accounts::{AccountObservation, Known};
use super::ledger::{self, Change, Claim, ClaimOutcome, CommitOutcome};
use super::outbox::{self, Time};
use super::sql::{self, Dialect, Transaction};
use super::unreadable::UnreadableRows;
use crate::clock::Clock;
use crate::guard::{self, Count, Task};

/// The most requests in one transaction.
const LARGEST_GROUP: usize = 256;
/// How often a group is carried out again because replicas got into each other's way.
const MOST_RETRIES: u32 = 5;
/// How many groups may follow each other before others have a turn at the connection that writes to a file.
const MOST_IN_A_ROW: u32 = 16;
/// The pause before the first of these; each further one is that much longer.
const PAUSE: Duration = Duration::from_millis(20);

/// How long what the broker has confirmed waits for other changes to share a commit with.
const LINGER: Duration = Duration::from_millis(20);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
enum Request {
    Claim(Box<Claim>, Answer<ClaimOutcome>),
    Change(Arc<Change>, Answer<CommitOutcome>),
    Sent(Vec<Time>, Answer<()>),
}

/// What one transaction carries out.
#[derive(Debug, Default)]
struct Work {
    claims: Vec<Claim>,
    changes: Vec<Arc<Change>>,
    sent: Vec<Vec<Time>>,
}

impl Work {
    /// Without it, what the broker has confirmed is announced once more, which is allowed.
    fn is_only_sent(&self) -> bool {
        self.claims.is_empty() && self.changes.is_empty()
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claimed = self.claims.iter().flat_map(|claim| &claim.batches).map(|batch| batch.record.key.to_string());
        let changed = self.changes.iter().map(|change| match (&change.batch, &change.shelve) {
            (Some(batch), _) => batch.record.key.to_string(),
            (None, Some(shelving)) => format!("{:?}", shelving.identity),
            (None, None) => "another change".into(),
        });
        let sent = self.sent.iter().flatten().map(|time| format!("{time:?}"));
        let named: Vec<String> = claimed.chain(changed).chain(sent).collect();
        f.write_str(&named.join(", "))
    }
}

/// What came of it, in the same order.
struct Done {
    claims: Vec<ClaimOutcome>,
    changes: Vec<CommitOutcome>,
}

/// Who waits for it, in the same order.
#[derive(Default)]
struct Answers {
    claims: Vec<Answer<ClaimOutcome>>,
    changes: Vec<Answer<CommitOutcome>>,
    sent: Vec<Answer<()>>,
}

/// Where requests wait for their commit.
#[derive(Clone, Debug)]
struct Queues {
    claims: mpsc::Sender<Request>,
    changes: mpsc::Sender<Request>,
    sent: mpsc::Sender<Request>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    unreadable: UnreadableRows,
    queues: Arc<Mutex<Option<Queues>>>,
    no_room: Arc<AtomicBool>,
    tasks: TaskTracker,
    panics: Count,
    /// Cancelled when the loop of a writer has ended although nobody has closed the store.
    broken: CancellationToken,
}

impl Group {
    pub(super) fn start(dialect: Dialect, pool: AnyPool, clock: Clock, unreadable: UnreadableRows) -> Self {
        let (tasks, panics, broken) = (TaskTracker::new(), Count::default(), CancellationToken::new());
        let queue = || {
            let (queue, requests) = mpsc::channel(4 * LARGEST_GROUP);
            let (pool, clock, panics) = (pool.clone(), clock.clone(), panics.clone());
            tasks.spawn(watched(serve(Writer { pool, clock, held: None, panics }, requests), broken.clone()));
            queue
        };
        let claims = queue();
        let queues = match dialect {
            // One connection writes to a file, so whatever waits for it shares a commit.
            Dialect::Sqlite => Queues { changes: claims.clone(), sent: claims.clone(), claims },
            // Each of them is a chain of round trips, and none has to wait for the others.
            Dialect::Postgres => Queues { changes: queue(), sent: queue(), claims },
        };
        tasks.close();
        Self { unreadable, queues: Arc::new(Mutex::new(Some(queues))), no_room: Arc::default(), tasks, panics, broken }
    }

    pub(super) async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let claimed = self.ask(|queues| queues.claims, |answer| Request::Claim(Box::new(claim), answer)).await?;
        match &claimed {
            ClaimOutcome::Unreadable(row) => self.unreadable.note(row),
            ClaimOutcome::Granted { unreadable, .. } => {
                unreadable.iter().for_each(|(_, row)| self.unreadable.note(row))
            }
            ClaimOutcome::Full { .. }
            | ClaimOutcome::Wait(_)
            | ClaimOutcome::Probe
            | ClaimOutcome::Paused
            | ClaimOutcome::ConnectionChanged
            | ClaimOutcome::Stale { .. } => {}
        }
        Ok(claimed)
    }

    pub(super) async fn change(&self, change: Arc<Change>) -> Result<CommitOutcome, StoreError> {
        self.ask(|queues| queues.changes, |answer| Request::Change(change, answer)).await
    }

    pub(super) async fn sent(&self, sent: Vec<Time>) -> Result<(), StoreError> {
        self.ask(|queues| queues.sent, |answer| Request::Sent(sent, answer)).await
    }

    async fn ask<T>(
        &self,
        which: impl FnOnce(Queues) -> mpsc::Sender<Request>,
        request: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, StoreError> {
        let queues = self.queues.lock().ok().and_then(|queues| queues.clone()).ok_or(StoreError::Closed)?;
        let queue = which(queues);
        let (answer, answered) = oneshot::channel();
        queue.send(request(answer)).await.map_err(|_| StoreError::Closed)?;
        let answer = self.unreadable.noted(answered.await.map_err(|_| StoreError::Closed)?);
        if let Err(StoreError::NoRoom(_)) = &answer {
            self.no_room.store(true, Ordering::SeqCst);
        }
        answer
    }

    /// Returns how many transactions panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Waits until the loop of a writer has ended although the store was not closed. Its requests then fail as those of
    /// a closed store do.
    pub(super) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Whether something could not be stored for want of room, since there was some.
    pub(super) fn had_no_room(&self) -> bool {
        self.no_room.load(Ordering::SeqCst)
    }

    /// Notes that there is room.
    pub(super) fn has_room(&self) {
        self.no_room.store(false, Ordering::SeqCst);
    }

    pub(super) async fn close(&self) {
        if let Ok(mut queues) = self.queues.lock() {
            *queues = None;
        }
        self.tasks.wait().await;
    }
}

/// What groups are written by.
struct Writer {
    pool: AnyPool,
    clock: Clock,
    /// The connection of the group before.
    held: Option<PoolConnection<Any>>,
    panics: Count,
}

/// Runs the loop of a writer; if a panic ends it, `broken` is cancelled.
async fn watched(serving: impl Future<Output = ()>, broken: CancellationToken) {
    let broken = broken.drop_guard();
    tokio::select! {
        biased;
        () = guard::ordered_end(Task::Store) => {}
        () = serving => drop(broken.disarm()),
    }
}

async fn serve(mut writer: Writer, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(LARGEST_GROUP);
    let mut in_a_row = 0;
    while requests.recv_many(&mut waiting, LARGEST_GROUP).await > 0 {
        if waiting.iter().all(|request| matches!(request, Request::Sent(..))) {
            // Nobody is in a hurry for these; they can go along with what comes next.
            let more = requests.recv_many(&mut waiting, LARGEST_GROUP);
            drop(tokio::time::timeout(LINGER, more).await);
        }
        let (mut work, mut answers) = (Work::default(), Answers::default());
        for request in waiting.drain(..) {
            match request {
                Request::Claim(claim, answer) => {
                    work.claims.push(*claim);
                    answers.claims.push(answer);
                }
                Request::Change(change, answer) => {
                    work.changes.push(change);
                    answers.changes.push(answer);
                }
                Request::Sent(sent, answer) => {
                    work.sent.push(sent);
                    answers.sent.push(answer);
                }
            }
        }
        writer.settle_group(work, answers).await;
        in_a_row += 1;
        if requests.is_empty() || in_a_row >= MOST_IN_A_ROW {
            (writer.held, in_a_row) = (None, 0);
        }
    }
}

impl Writer {
    /// Carries out the whole group in one transaction; if that fails by a request, each alone, so that one bad request
    /// does not fail its neighbours.
    async fn settle_group(&mut self, work: Work, answers: Answers) {
        let Answers { claims, changes, sent } = answers;
        match self.transact(&work).await {
            Ok(done) => {
                answer_all(claims, done.claims.into_iter().map(Ok));
                answer_all(changes, done.changes.into_iter().map(Ok));
                answer_all(sent, std::iter::repeat(Ok(())));
            }
            Err(error) if claims.len() + changes.len() + sent.len() == 1 || !error.is_of_request() => {
                answer_all(claims, std::iter::repeat_with(|| Err(error.clone())));
                answer_all(changes, std::iter::repeat_with(|| Err(error.clone())));
                answer_all(sent, std::iter::repeat_with(|| Err(error.clone())));
            }
            Err(_) => {
                for (events, answer) in work.sent.into_iter().zip(sent) {
                    let alone = self.transact(&Work { sent: vec![events], ..Work::default() }).await;
                    answer_all([answer], [alone.map(|_| ())]);
                }
                for (change, answer) in work.changes.into_iter().zip(changes) {
                    let alone = self.transact(&Work { changes: vec![change], ..Work::default() }).await;
                    answer_all([answer], [alone.and_then(|done| only(done.changes))]);
                }
                for (claim, answer) in work.claims.into_iter().zip(claims) {
                    let alone = self.transact(&Work { claims: vec![claim], ..Work::default() }).await;
                    answer_all([answer], [alone.and_then(|done| only(done.claims))]);
                }
            }
        }
    }

    async fn transact(&mut self, work: &Work) -> Result<Done, StoreError> {
        for tries in 1..=MOST_RETRIES {
            match self.guarded_attempt(work).await {
                Err(error) if error.is_contention() => {
                    tracing::debug!(%error, "replicas got into each other's way");
                    tokio::time::sleep(PAUSE * tries).await;
                }
                end => return end,
            }
        }
        self.guarded_attempt(work).await
    }

    /// A panic fails the transaction, whose connection is closed, and so undoes what was not committed.
    async fn guarded_attempt(&mut self, work: &Work) -> Result<Done, StoreError> {
        guard::guarded(self.attempt(work)).await.unwrap_or_else(|panic| {
            self.panics.add();
            tracing::error!(%panic, requests = %work, "a defect stopped a transaction");
            Err(panic.into())
        })
    }

    async fn attempt(&mut self, work: &Work) -> Result<Done, StoreError> {
        let conn = match self.held.take() {
            Some(conn) => conn,
            None => self.pool.acquire().await?,
        };
        let mut transaction = Transaction::begin_on(conn, &self.clock, work.is_only_sent()).await?;
        let now = transaction.now;
        match carry_out(transaction.conn()?, &self.clock, now, work).await {
            Ok(done) => {
                self.held = Some(transaction.commit_and_go_on().await?);
                Ok(done)
            }
            Err(error) => {
                if error.is_of_request() {
                    // SQLite may have undone it by itself, as it does where the disk is full.
                    drop(transaction.roll_back().await);
                }
                Err(error)
            }
        }
    }
}

fn only<T>(answers: Vec<T>) -> Result<T, StoreError> {
    answers.into_iter().next().ok_or(StoreError::Closed)
}

fn answer_all<T>(
    answers: impl IntoIterator<Item = Answer<T>>,
    results: impl IntoIterator<Item = Result<T, StoreError>>,
) {
    for (answer, result) in answers.into_iter().zip(results) {
        // Whoever asked may have given up waiting; what is stored is stored.
        drop(answer.send(result));
    }
}

async fn carry_out(conn: &mut AnyConnection, clock: &Clock, begun: i64, work: &Work) -> Result<Done, StoreError> {
    guard::may_panic("transaction", work);
    let Work { claims, changes, sent } = work;
    ledger::lock(conn, changes).await?;
    let observations: Vec<&AccountObservation> =
        changes.iter().filter_map(|change| change.observation.as_ref()).collect();
    let is_news = !claims.is_empty() || Known::is_news(conn, begun, &observations).await?;
    let observed: &[&AccountObservation] = if is_news { &observations } else { &[] };
    let claimed = claims.iter().map(|claim| &claim.account);
    let accounts: BTreeSet<&str> =
        observed.iter().map(|observation| &observation.account).chain(claimed).map(String::as_str).collect();
    let (mut known, mut now) = (Known::default(), begun);
    if !accounts.is_empty() {
        // Before anything else, and then the time: what is told of an account and what is granted for it is stored in
        // the order of its times.
        known = Known::keep(conn, accounts).await?;
        now = sql::time(conn, clock).await?;
    }
    // Before a change can have one of them announced again.
    outbox::sent(conn, now, sent.iter().flatten().cloned().collect()).await?;
    let changes = ledger::change(conn, now, changes).await?;
    // That is so whatever becomes of the change that told it.
    observed.iter().for_each(|observation| known.observe(observation, now));
    let mut granted = Vec::new();
    if !claims.is_empty() {
        known.count(conn, now).await?;
        granted = ledger::claim(conn, now, claims, &mut known).await?;
    }
    known.store(conn).await?;
    Ok(Done { claims: granted, changes })
}
