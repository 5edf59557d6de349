//! Delivers messages from a queue to a worker, across lost connections and pauses.

use std::pin::pin;
use std::sync::Arc;

use testmo_courier::amqp::{AckHandle, Delivery, Event, Generation, Intake, IntakeControl, Message, Mode, Status};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Broker, Handle, Letter, Queue};
use crate::fuse::Fuse;

/// Creates the intake of a worker from one queue; the intake ends with `close`, or with the worker.
pub(crate) fn intake(
    broker: &Arc<Broker>,
    queue: Queue,
    prefetch: usize,
    worker: (u64, Fuse),
    links: &TaskTracker,
    close: CancellationToken,
) -> Intake {
    let (sender, events) = mpsc::channel(1);
    let (status, seen) = watch::channel(Status::Connecting);
    let intake = Intake::of(events, seen);
    let (worker, fuse) = worker;
    let pump = Pump {
        broker: broker.clone(),
        queue,
        prefetch,
        worker,
        fuse,
        close,
        mode: intake.control(),
        events: Some(sender),
        status,
    };
    links.spawn(pump.run());
    intake
}

struct Pump {
    broker: Arc<Broker>,
    queue: Queue,
    prefetch: usize,
    worker: u64,
    fuse: Fuse,
    close: CancellationToken,
    mode: IntakeControl,
    events: Option<mpsc::Sender<Event>>,
    status: watch::Sender<Status>,
}

/// Why a session ended.
#[derive(PartialEq, Eq)]
enum End {
    /// The connection was lost; another session follows.
    Lost,
    /// The worker has ended, or has closed the session.
    Over,
}

impl Pump {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.close.cancelled() => return,
                () = self.fuse.blown() => return,
                () = self.broker.reachable() => {}
            }
            let (session, over) = self.broker.open(self.worker);
            let generation = Generation::fresh();
            self.status.send_replace(Status::Up);
            let (end, handed) = self.serve(session, generation, &over).await;
            over.cancel();
            self.broker.end(session);
            if end == End::Over {
                return;
            }
            self.broker.diary.note(|| format!("w{} lost its {:?} session", self.worker, self.queue));
            self.status.send_replace(Status::Down { cause: "cut".into(), remedy: None });
            if let Some(events) = self.events.as_ref().filter(|_| handed) {
                tokio::select! {
                    biased;
                    () = self.close.cancelled() => return,
                    () = self.fuse.blown() => return,
                    // If the intake is no longer read, nobody misses this event.
                    sent = events.send(Event::Lost(generation)) => drop(sent),
                }
            }
            let pause = self.broker.weather.ms(10..1_500);
            tokio::time::sleep(pause).await;
        }
    }

    /// Delivers until the session ends; also returns whether any message was delivered.
    async fn serve(&mut self, session: u64, generation: Generation, over: &CancellationToken) -> (End, bool) {
        let (broker, mut mode, mut handed) = (self.broker.clone(), self.mode.mode(), false);
        loop {
            let mut changed = pin!(broker.changed.notified());
            changed.as_mut().enable();
            let wanted = *mode.borrow_and_update();
            if wanted == Mode::Stopped {
                self.events = None;
            }
            let events = self.events.clone().filter(|_| wanted == Mode::Taking);
            tokio::select! {
                biased;
                () = self.close.cancelled() => return (End::Over, handed),
                () = self.fuse.blown() => return (End::Over, handed),
                () = over.cancelled() => return (End::Lost, handed),
                Ok(()) = mode.changed() => {}
                room = reserve(events) => {
                    // The intake is no longer read, but messages in hand can still be acknowledged.
                    let Some(room) = room else {
                        self.events = None;
                        continue;
                    };
                    let prefetch = if *self.mode.one_by_one().borrow() { 1 } else { self.prefetch };
                    match self.broker.take(self.queue, session, prefetch) {
                        Some(letter) => {
                            handed = true;
                            room.send(self.event_of(letter, session, generation, over));
                        }
                        None => tokio::select! {
                            biased;
                            () = self.close.cancelled() => return (End::Over, handed),
                            () = self.fuse.blown() => return (End::Over, handed),
                            () = over.cancelled() => return (End::Lost, handed),
                            Ok(()) = mode.changed() => {}
                            () = changed => {}
                        },
                    }
                }
            }
        }
    }

    fn event_of(&self, letter: Letter, session: u64, generation: Generation, over: &CancellationToken) -> Event {
        let number = letter.number;
        self.broker.diary.note(|| format!("w{} is handed message {number}, again {}", self.worker, letter.returned));
        let handle = Handle {
            broker: self.broker.clone(),
            queue: self.queue,
            session,
            number,
            over: over.clone(),
            fuse: self.fuse.clone(),
        };
        let message = Message {
            body: letter.body.as_ref().clone(),
            exchange: letter.exchange.to_owned(),
            routing_key: "batch".to_owned(),
            headers: [("x-delivery-count".to_owned(), letter.returned.to_string())].into(),
            first_death_reason: (self.queue == Queue::Dead).then(|| "delivery_limit".to_owned()),
            ..Message::default()
        };
        let redelivered = letter.returned > 0;
        Event::Delivery(Box::new(Delivery { message, redelivered, generation, handle: AckHandle::new(handle) }))
    }
}

impl Broker {
    async fn reachable(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_up() {
                return;
            }
            changed.await;
        }
    }
}

/// Reserves room for one event; waits forever if no events are wanted.
async fn reserve(events: Option<mpsc::Sender<Event>>) -> Option<mpsc::OwnedPermit<Event>> {
    match events {
        Some(events) => events.reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}
