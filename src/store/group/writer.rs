//! Takes what waits in a queue, commits it in one transaction, and answers each request.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::StoreError;
use super::super::ledger::{ClaimOutcome, CommitOutcome};
use super::super::sql::Transaction;
use super::work::{GroupOutcome, GroupWork, carry_out};
use super::{Reply, Request, Written};
use crate::clock::Clock;
use crate::guard::{self, Count, Task};

/// The most requests in one transaction.
pub(super) const LARGEST_GROUP: usize = 256;
/// How often a group is retried because replicas blocked each other.
const MOST_RETRIES: u32 = 5;
/// How many groups may follow each other before others have a turn at the connection that writes to a file.
const MOST_IN_A_ROW: u32 = 16;
/// The pause before the first of these; each further one is that much longer.
const PAUSE: Duration = Duration::from_millis(20);
/// How long what the broker has confirmed waits for other changes to share a commit with.
const LINGER: Duration = Duration::from_millis(20);

/// Who waits for an answer, in the order of the work.
#[derive(Default)]
struct Replies {
    claims: Vec<Reply<ClaimOutcome>>,
    changes: Vec<Reply<CommitOutcome>>,
    sent: Vec<Reply<()>>,
}

/// What groups are written by.
pub(super) struct Writer {
    pub(super) pool: AnyPool,
    pub(super) clock: Clock,
    /// The connection of the group before.
    pub(super) held: Option<PoolConnection<Any>>,
    pub(super) panics: Count,
    pub(super) written: Written,
}

/// Runs the loop of a writer; if a panic ends it, `broken` is cancelled.
pub(super) async fn watched(serving: impl Future<Output = ()>, broken: CancellationToken) {
    let broken = broken.drop_guard();
    tokio::select! {
        biased;
        () = guard::ordered_end(Task::Store) => {}
        () = serving => drop(broken.disarm()),
    }
}

pub(super) async fn serve(mut writer: Writer, mut requests: mpsc::Receiver<Request>) {
    let mut waiting = Vec::with_capacity(LARGEST_GROUP);
    let mut in_a_row = 0;
    while requests.recv_many(&mut waiting, LARGEST_GROUP).await > 0 {
        if waiting.iter().all(|request| matches!(request, Request::Sent(..))) {
            // Nobody is in a hurry for these; they can go along with what comes next.
            let more = requests.recv_many(&mut waiting, LARGEST_GROUP);
            drop(tokio::time::timeout(LINGER, more).await);
        }
        let (mut work, mut answers) = (GroupWork::default(), Replies::default());
        for request in waiting.drain(..) {
            match request {
                Request::Claim(claim, answer) => {
                    work.claims.push(*claim);
                    answers.claims.push(answer);
                }
                Request::Commit(change, answer) => {
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
    async fn settle_group(&mut self, work: GroupWork, answers: Replies) {
        let Replies { claims, changes, sent } = answers;
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
                    let alone = self.transact(&GroupWork { sent: vec![events], ..GroupWork::default() }).await;
                    answer_all([answer], [alone.map(|_| ())]);
                }
                for (change, answer) in work.changes.into_iter().zip(changes) {
                    let alone = self.transact(&GroupWork { changes: vec![change], ..GroupWork::default() }).await;
                    answer_all([answer], [alone.and_then(|done| only(done.changes))]);
                }
                for (claim, answer) in work.claims.into_iter().zip(claims) {
                    let alone = self.transact(&GroupWork { claims: vec![claim], ..GroupWork::default() }).await;
                    answer_all([answer], [alone.and_then(|done| only(done.claims))]);
                }
            }
        }
    }

    async fn transact(&mut self, work: &GroupWork) -> Result<GroupOutcome, StoreError> {
        for tries in 1..=MOST_RETRIES {
            match self.guarded_attempt(work).await {
                Err(error) if error.is_contention() => {
                    tracing::debug!(%error, "a transaction conflicted with one of another worker; it is repeated");
                    tokio::time::sleep(PAUSE * tries).await;
                }
                end => return end,
            }
        }
        self.guarded_attempt(work).await
    }

    /// A panic fails the transaction, whose connection is closed, and so undoes what was not committed.
    async fn guarded_attempt(&mut self, work: &GroupWork) -> Result<GroupOutcome, StoreError> {
        let end = guard::guarded(self.attempt(work)).await.unwrap_or_else(|panic| {
            self.panics.add();
            tracing::error!(%panic, requests = %work, "a defect stopped a transaction");
            Err(panic.into())
        });
        self.written.note(end.as_ref().map(drop), Instant::now());
        end
    }

    async fn attempt(&mut self, work: &GroupWork) -> Result<GroupOutcome, StoreError> {
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
                    // SQLite may have undone it already, as it does when the disk is full.
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
    answers: impl IntoIterator<Item = Reply<T>>,
    results: impl IntoIterator<Item = Result<T, StoreError>>,
) {
    for (answer, result) in answers.into_iter().zip(results) {
        // The caller may have stopped waiting; the result is stored all the same.
        drop(answer.send(result));
    }
}
