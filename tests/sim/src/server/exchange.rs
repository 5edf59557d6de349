//! Carries out one request to an account, while time passes and callers disconnect.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::answer_body::{AnswerBody, Cut};
use super::clock::now;
use super::shared::Shared;
use crate::faults::{CommitTime, Delivery, Hold};
use crate::request::Request;
use crate::world::{Ticket, no_such_account};

/// Answers a request, or returns the order to cut its connection.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    account: String,
    request: Request,
) -> Result<hyper::Response<AnswerBody>, Cut> {
    match begin(&shared, &account, &request) {
        Begun::Unknown => Ok(AnswerBody::of_whole(no_such_account())),
        Begun::Done(delivery) => AnswerBody::of(delivery),
        Begun::Waiting(ticket) => {
            // The caller's connection may end and drop this future; the request takes effect nevertheless.
            let (answer, answered) = oneshot::channel();
            let tasks = shared.tasks.clone();
            tasks.spawn(walk(shared, account, request, ticket, answer));
            AnswerBody::of(answered.await.map_err(|_| Cut)?)
        }
    }
}

enum Begun {
    Unknown,
    Done(Delivery),
    Waiting(Ticket),
}

/// Records a request, and finishes it at once if it does not wait.
fn begin(shared: &Shared, account: &str, request: &Request) -> Begun {
    let mut world = shared.world();
    let Some(station) = world.station_mut(account) else { return Begun::Unknown };
    let ticket = station.begin(request, now());
    let begun = if ticket.course.is_immediate() {
        let honest = station.commit(request, &ticket, now());
        let delivery = ticket.course.deliver(honest);
        station.finish(&ticket, &delivery, now());
        Begun::Done(delivery)
    } else {
        Begun::Waiting(ticket)
    };
    drop(world);
    shared.changed.notify_waiters();
    begun
}

/// Carries out the steps of a request that takes time.
async fn walk(
    shared: Arc<Shared>,
    account: String,
    request: Request,
    ticket: Ticket,
    answer: oneshot::Sender<Delivery>,
) {
    let is_held = |commit| ticket.course.hold.filter(|hold| hold.commit == commit);
    if !has_passed(&shared, ticket.course.before_commit_ms).await {
        return;
    }
    if !is_released(&shared, &account, is_held(CommitTime::AfterDelay)).await {
        return;
    }
    let honest = {
        let mut world = shared.world();
        let Some(station) = world.station_mut(&account) else { return };
        station.commit(&request, &ticket, now())
    };
    shared.changed.notify_waiters();
    if !has_passed(&shared, ticket.course.before_answer_ms).await {
        return;
    }
    if !is_released(&shared, &account, is_held(CommitTime::BeforeDelay)).await {
        return;
    }
    hand_over(&shared, &account, &ticket, ticket.course.deliver(honest), answer);
    shared.changed.notify_waiters();
}

fn hand_over(shared: &Shared, account: &str, ticket: &Ticket, delivery: Delivery, answer: oneshot::Sender<Delivery>) {
    let mut world = shared.world();
    let Some(station) = world.station_mut(account) else { return };
    station.finish(ticket, &delivery, now());
    if answer.send(delivery).is_err() {
        station.abandon(ticket, now());
    }
}

/// Waits; returns false if the server stopped meanwhile.
async fn has_passed(shared: &Shared, ms: u64) -> bool {
    if ms == 0 {
        return true;
    }
    tokio::select! {
        () = shared.stop.cancelled() => false,
        () = tokio::time::sleep(Duration::from_millis(ms)) => true,
    }
}

/// Waits until a request is no longer held; returns false if the server stopped meanwhile or the account is gone.
async fn is_released(shared: &Shared, account: &str, hold: Option<Hold>) -> bool {
    let Some(hold) = hold else { return true };
    loop {
        let mut change = std::pin::pin!(shared.changed.notified());
        change.as_mut().enable();
        match shared.world().station(account).map(|station| station.faults.hold(hold)) {
            None => return false,
            Some(false) => return true,
            Some(true) => {}
        }
        tokio::select! {
            () = shared.stop.cancelled() => return false,
            () = change => {}
        }
    }
}
