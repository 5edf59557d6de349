//! How do many concurrent pushes share one commit? A queue whose waiting requests go into one transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AnyConnection, AnyPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::ledger::{self, Change, Changed, Claim, Claimed};
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
        let (mut claims, mut changes) = (Vec::new(), Vec::new());
        for request in waiting.drain(..) {
            match request {
                Request::Claim(claim, answer) => claims.push((*claim, answer)),
                Request::Change(change, answer) => changes.push((*change, answer)),
            }
        }
        settle_group(&pool, &clock, claims, changes).await;
    }
}

/// Carries out the whole group in one transaction; if that fails by a request, each alone, so that one bad request
/// does not fail its neighbours.
async fn settle_group(
    pool: &AnyPool,
    clock: &Clock,
    claims: Vec<(Claim, Answer<Claimed>)>,
    changes: Vec<(Change, Answer<Changed>)>,
) {
    let (claims, claim_answers): (Vec<_>, Vec<_>) = claims.into_iter().unzip();
    let (changes, change_answers): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    match transact(pool, clock, &claims, &changes).await {
        Ok((claimed, changed)) => {
            answer_all(claim_answers, claimed.into_iter().map(Ok));
            answer_all(change_answers, changed.into_iter().map(Ok));
        }
        Err(error) if claims.len() + changes.len() == 1 || !error.is_of_request() => {
            answer_all(claim_answers, std::iter::repeat_with(|| Err(error.clone())));
            answer_all(change_answers, std::iter::repeat_with(|| Err(error.clone())));
        }
        Err(_) => {
            for (change, answer) in changes.into_iter().zip(change_answers) {
                let alone = transact(pool, clock, &[], std::slice::from_ref(&change)).await;
                answer_all([answer], [alone.and_then(|(_, changed)| only(changed))]);
            }
            for (claim, answer) in claims.into_iter().zip(claim_answers) {
                let alone = transact(pool, clock, std::slice::from_ref(&claim), &[]).await;
                answer_all([answer], [alone.and_then(|(claimed, _)| only(claimed))]);
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

async fn transact(
    pool: &AnyPool,
    clock: &Clock,
    claims: &[Claim],
    changes: &[Change],
) -> Result<(Vec<Claimed>, Vec<Changed>), StoreError> {
    for tries in 1..=MOST_RETRIES {
        match attempt(pool, clock, claims, changes).await {
            Err(error) if error.is_contention() => {
                tracing::debug!(%error, "replicas got into each other's way");
                tokio::time::sleep(PAUSE * tries).await;
            }
            end => return end,
        }
    }
    attempt(pool, clock, claims, changes).await
}

async fn attempt(
    pool: &AnyPool,
    clock: &Clock,
    claims: &[Claim],
    changes: &[Change],
) -> Result<(Vec<Claimed>, Vec<Changed>), StoreError> {
    let mut transaction = Transaction::begin(pool, clock).await?;
    let now = transaction.now;
    match carry_out(transaction.conn()?, now, claims, changes).await {
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

async fn carry_out(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Claim],
    changes: &[Change],
) -> Result<(Vec<Claimed>, Vec<Changed>), StoreError> {
    ledger::lock(conn, now, claims, changes).await?;
    let changed = ledger::change(conn, now, changes).await?;
    let claimed = ledger::claim(conn, now, claims).await?;
    Ok((claimed, changed))
}
