//! Keeps the queues of an in-memory broker.
//!
//! The queues behave like quorum queues of RabbitMQ 3.10 to 4.2: a message that is given back, or that was in hand when
//! its connection was lost, returns to the front of its queue with its delivery count raised, and goes to the dead
//! letters once the count exceeds the limit.

mod events;
mod pump;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use testmo_courier::amqp::{AckLost, Acknowledge, DeliveryEnd};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::events::{EventsOf, Heard};
pub(crate) use self::pump::intake;
use crate::diary::{Diary, lock};
use crate::fuse::Fuse;
use crate::mutation::Mutation;
use crate::weather::Weather;

/// A queue of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Cases,
    Dead,
    Unrouted,
}

/// The only broker of a run.
#[derive(Debug)]
pub(crate) struct Broker {
    state: Mutex<State>,
    /// Notified whenever a message may be ready or the broker becomes reachable or unreachable. The waiting tasks are
    /// woken in the order in which they began to wait, which a watch channel does not promise.
    changed: Notify,
    /// Whether the broker can be reached.
    up: AtomicBool,
    delivery_limit: u64,
    mutation: Option<Mutation>,
    diary: Arc<Diary>,
    weather: Arc<Weather>,
    under_way: TaskTracker,
}

#[derive(Debug, Default)]
struct State {
    queues: [Letters; 3],
    last_letter: u64,
    last_session: u64,
    sessions: BTreeMap<u64, Session>,
    heard: Vec<Heard>,
}

#[derive(Debug, Default)]
struct Letters {
    ready: VecDeque<Letter>,
    /// The session that holds the message, and the message, by its number.
    unacked: BTreeMap<u64, (u64, Letter)>,
}

#[derive(Debug)]
struct Session {
    of: u64,
    over: CancellationToken,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) number: u64,
    pub(crate) body: Arc<Vec<u8>>,
    pub(crate) exchange: &'static str,
    pub(crate) returned: u64,
}

impl Broker {
    pub(crate) fn new(
        delivery_limit: u64,
        mutation: Option<Mutation>,
        diary: Arc<Diary>,
        weather: Arc<Weather>,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Notify::new(),
            up: AtomicBool::new(true),
            delivery_limit,
            mutation,
            diary,
            weather,
            under_way: TaskTracker::new(),
        })
    }

    /// Stores a message.
    pub(crate) fn publish(&self, queue: Queue, exchange: &'static str, body: Vec<u8>) {
        let mut state = lock(&self.state);
        state.last_letter += 1;
        let letter = Letter { number: state.last_letter, body: Arc::new(body), exchange, returned: 0 };
        state.queues[queue as usize].ready.push_back(letter);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends every connection of a worker, or of all workers.
    pub(crate) fn cut(&self, worker: Option<u64>) {
        let state = lock(&self.state);
        for session in state.sessions.values().filter(|session| worker.is_none_or(|worker| session.of == worker)) {
            session.over.cancel();
        }
    }

    /// Makes the broker reachable, or unreachable.
    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
        if !up {
            self.cut(None);
        }
        self.changed.notify_waiters();
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Returns how many messages are in the queues, including those in hand.
    pub(crate) fn left(&self) -> usize {
        let state = lock(&self.state);
        state.queues.iter().map(|queue| queue.ready.len() + queue.unacked.len()).sum()
    }

    /// Returns every stored event, in order.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        lock(&self.state).heard.clone()
    }

    fn open(&self, of: u64) -> (u64, CancellationToken) {
        let mut state = lock(&self.state);
        state.last_session += 1;
        let (number, over) = (state.last_session, CancellationToken::new());
        state.sessions.insert(number, Session { of, over: over.clone() });
        (number, over)
    }

    /// Ends a session; the messages that it held return to their queues in order.
    fn end(&self, session: u64) {
        let mut state = lock(&self.state);
        if let Some(session) = state.sessions.remove(&session) {
            session.over.cancel();
        }
        for queue in [Queue::Cases, Queue::Dead, Queue::Unrouted] {
            let unacked = &state.queues[queue as usize].unacked;
            let held: Vec<u64> = unacked.iter().filter(|(_, (of, _))| *of == session).map(|(n, _)| *n).collect();
            for number in held.into_iter().rev() {
                self.put_back(&mut state, queue, number);
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn put_back(&self, state: &mut State, queue: Queue, number: u64) {
        let Some((_, mut letter)) = state.queues[queue as usize].unacked.remove(&number) else { return };
        letter.returned += 1;
        if queue == Queue::Cases && letter.returned > self.delivery_limit {
            self.diary.note(|| format!("broker: message {number} goes to the dead letters"));
            letter.returned = 0;
            state.queues[Queue::Dead as usize].ready.push_back(letter);
        } else {
            state.queues[queue as usize].ready.push_front(letter);
        }
    }

    /// Takes the next message for a session that may hold at most `prefetch` messages.
    fn take(&self, queue: Queue, session: u64, prefetch: usize) -> Option<Letter> {
        let mut state = lock(&self.state);
        if !state.sessions.contains_key(&session) {
            return None;
        }
        let prefetch = if self.mutation == Some(Mutation::TakeOneByOne) { 1 } else { prefetch };
        let letters = &mut state.queues[queue as usize];
        if letters.unacked.values().filter(|(of, _)| *of == session).count() >= prefetch {
            return None;
        }
        let letter = letters.ready.pop_front()?;
        if self.mutation != Some(Mutation::AckEarly) {
            letters.unacked.insert(letter.number, (session, letter.clone()));
        }
        Some(letter)
    }

    fn settle(&self, queue: Queue, session: u64, number: u64, end: DeliveryEnd) {
        let mut state = lock(&self.state);
        let is_there = state.queues[queue as usize].unacked.get(&number).is_some_and(|(of, _)| *of == session);
        if !is_there || !state.sessions.contains_key(&session) {
            return;
        }
        match end {
            DeliveryEnd::Done => {
                state.queues[queue as usize].unacked.remove(&number);
            }
            DeliveryEnd::GivenBack => self.put_back(&mut state, queue, number),
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// The right to acknowledge one delivery, or to give it back.
struct Handle {
    broker: Arc<Broker>,
    queue: Queue,
    session: u64,
    number: u64,
    over: CancellationToken,
    fuse: Fuse,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.number)
    }
}

#[async_trait]
impl Acknowledge for Handle {
    /// Reports the end of the delivery. A written acknowledgement may not arrive: if the connection is lost meanwhile,
    /// so is the acknowledgement.
    async fn tell(&self, end: DeliveryEnd) -> Result<(), AckLost> {
        self.fuse.cross().await;
        let lost = || AckLost { cause: "the session has ended".to_owned() };
        if self.over.is_cancelled() {
            return Err(lost());
        }
        let (broker, weather) = (self.broker.clone(), &self.broker.weather);
        let (queue, session, number) = (self.queue, self.session, self.number);
        broker.diary.note(|| format!("broker: message {number} is settled as {end:?}"));
        if weather.chance(weather.rates().ack) {
            self.over.cancel();
            return if weather.flip() { Err(lost()) } else { Ok(()) };
        }
        let takes = if weather.is_calm() { std::time::Duration::ZERO } else { weather.ms(0..5) };
        if takes.is_zero() {
            broker.settle(queue, session, number, end);
        } else {
            let over = self.over.clone();
            self.broker.under_way.spawn(async move {
                tokio::select! {
                    biased;
                    () = over.cancelled() => {}
                    () = tokio::time::sleep(takes) => broker.settle(queue, session, number, end),
                }
            });
        }
        self.fuse.cross().await;
        Ok(())
    }
}
