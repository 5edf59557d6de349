//! How do many concurrent pushes share one commit? A queue whose waiting requests go into one transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AnyConnection, AnyPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::ledger::{self, Change, Changed, Claim, Claimed};
use super::outbox::{self, Time};
use super::sql::Transaction;
use crate::clock::Clock;

/// The most requests in one transaction.
const LARGEST_GROUP: usize = 256;
/// How often a group is carried out again because replicas got into each other's way.
const MOST_RETRIES: u32 = 5;
/// The pause before the first of these; each further one is that much longer.
const PAUSE: Duration = Duration::from_millis(20);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
enum Request {
    Claim(Box<Claim>, Answer<Claimed>),
    Change(Box<Change>, Answer<Changed>),
    Sent(Vec<Time>, Answer<()>),
}

/// What one transaction carries out.
#[derive(Debug, Default)]
struct Work {
    claims: Vec<Claim>,
    changes: Vec<Change>,
    sent: Vec<Vec<Time>>,
}

/// What came of it, in the same order.
struct Done {
    claims: Vec<Claimed>,
    changes: Vec<Changed>,
}

/// Who waits for it, in the same order.
#[derive(Default)]
struct Answers {
    claims: Vec<Answer<Claimed>>,
    changes: Vec<Answer<Changed>>,
    sent: Vec<Answer<()>>,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    queue: Arc<Mutex<Option<mpsc::Sender<Request>>>>,
    no_room: Arc<AtomicBool>,
    tasks: TaskTracker,
}

impl Group {
    pub(super) fn start(pool: AnyPool, clock: Clock) -> Self {
        let (queue, requests) = mpsc::channel(4 * LARGEST_GROUP);
        let tasks = TaskTracker::new();
        tasks.spawn(serve(pool, clock, requests));
        tasks.close();
        Self { queue: Arc::new(Mutex::new(Some(queue))), no_room: Arc::default(), tasks }
    }

    pub(super) async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.ask(|answer| Request::Claim(Box::new(claim), answer)).await
    }

    pub(super) async fn change(&self, change: Change) -> Result<Changed, StoreError> {
        self.ask(|answer| Request::Change(Box::new(change), answer)).await
    }

    pub(super) async fn sent(&self, sent: Vec<Time>) -> Result<(), StoreError> {
        self.ask(|answer| Request::Sent(sent, answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let queue = self.queue.lock().ok().and_then(|queue| queue.clone()).ok_or(StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(request(answer)).await.map_err(|_| StoreError::Closed)?;
        let answer = answered.await.map_err(|_| StoreError::Closed)?;
        if let Err(StoreError::NoRoom(_)) = &answer {
            self.no_room.store(true, Ordering::SeqCst);
        }
        answer
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
        if let Ok(mut queue) = self.queue.lock() {
            *queue = None;
        }
        self.tasks.wait().await;
    }
}

async fn serve(pool: AnyPool, clock: Clock, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(LARGEST_GROUP);
    while requests.recv_many(&mut waiting, LARGEST_GROUP).await > 0 {
        let (mut work, mut answers) = (Work::default(), Answers::default());
        for request in waiting.drain(..) {
            match request {
                Request::Claim(claim, answer) => {
                    work.claims.push(*claim);
                    answers.claims.push(answer);
                }
                Request::Change(change, answer) => {
                    work.changes.push(*change);
                    answers.changes.push(answer);
                }
                Request::Sent(sent, answer) => {
                    work.sent.push(sent);
                    answers.sent.push(answer);
                }
            }
        }
        settle_group(&pool, &clock, work, answers).await;
    }
}

/// Carries out the whole group in one transaction; if that fails by a request, each alone, so that one bad request
/// does not fail its neighbours.
async fn settle_group(pool: &AnyPool, clock: &Clock, work: Work, answers: Answers) {
    let Answers { claims, changes, sent } = answers;
    match transact(pool, clock, &work).await {
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
                let alone = transact(pool, clock, &Work { sent: vec![events], ..Work::default() }).await;
                answer_all([answer], [alone.map(|_| ())]);
            }
            for (change, answer) in work.changes.into_iter().zip(changes) {
                let alone = transact(pool, clock, &Work { changes: vec![change], ..Work::default() }).await;
                answer_all([answer], [alone.and_then(|done| only(done.changes))]);
            }
            for (claim, answer) in work.claims.into_iter().zip(claims) {
                let alone = transact(pool, clock, &Work { claims: vec![claim], ..Work::default() }).await;
                answer_all([answer], [alone.and_then(|done| only(done.claims))]);
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

async fn transact(pool: &AnyPool, clock: &Clock, work: &Work) -> Result<Done, StoreError> {
    for tries in 1..=MOST_RETRIES {
        match attempt(pool, clock, work).await {
            Err(error) if error.is_contention() => {
                tracing::debug!(%error, "replicas got into each other's way");
                tokio::time::sleep(PAUSE * tries).await;
            }
            end => return end,
        }
    }
    attempt(pool, clock, work).await
}

async fn attempt(pool: &AnyPool, clock: &Clock, work: &Work) -> Result<Done, StoreError> {
    let mut transaction = Transaction::begin(pool, clock).await?;
    let now = transaction.now;
    match carry_out(transaction.conn()?, now, work).await {
        Ok(done) => {
            transaction.commit().await?;
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

async fn carry_out(conn: &mut AnyConnection, now: i64, work: &Work) -> Result<Done, StoreError> {
    let Work { claims, changes, sent } = work;
    ledger::lock(conn, now, claims, changes).await?;
    // Before a change can have one of them announced again.
    outbox::sent(conn, now, sent.iter().flatten().cloned().collect()).await?;
    let changes = ledger::change(conn, now, changes).await?;
    let claims = ledger::claim(conn, now, claims).await?;
    Ok(Done { claims, changes })
}
