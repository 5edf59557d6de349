//! How do messages of a queue come in, and how is that paused and stopped?

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ack::AckHandle;
use super::message::Message;
use super::session::Consumption;
use super::status::Status;
use crate::config::Amqp;
use crate::guard::{self, Count, Task};

/// What to consume.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The queue.
    pub queue: String,
    /// How many messages may be unacknowledged at once; the bound on what waits in memory.
    pub prefetch: u16,
}

/// One unbroken time with the broker. Numbers are unique in the process and grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

/// A message and the right to acknowledge it.
#[derive(Debug)]
pub struct Delivery {
    /// What came.
    pub message: Message,
    /// Whether the broker has handed it out before.
    pub redelivered: bool,
    /// The session it belongs to; see [`Event::Lost`].
    pub generation: Generation,
    /// To be used exactly once.
    pub handle: AckHandle,
}

/// News of an intake.
#[derive(Debug)]
pub enum Event {
    /// A message came.
    Delivery(Box<Delivery>),
    /// The session is over: its deliveries cannot be acknowledged any more and come again, here or
    /// at another worker. What was not started should be dropped.
    Lost(Generation),
}

/// What an intake is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Take messages.
    Taking,
    /// Take none for now.
    Paused,
    /// Take none any more.
    Stopped,
}

/// The deliveries of one queue. It has a connection of its own, which is opened and kept open in
/// the background: a message that lapin cannot read ends the connection it comes over, and must not
/// take the other queues with it.
pub struct Intake {
    events: mpsc::Receiver<Event>,
    control: IntakeControl,
    status: watch::Receiver<Status>,
    panics: Count,
}

/// Pauses, resumes and stops an [`Intake`].
#[derive(Clone)]
pub struct IntakeControl {
    mode: watch::Sender<Mode>,
}

impl Intake {
    /// Starts consuming on `tasks`. The broker does not have to be there yet. When `close` is
    /// cancelled the connection is closed; whatever is not acknowledged then comes again.
    pub fn start(config: &Amqp, subscription: Subscription, tasks: &TaskTracker, close: CancellationToken) -> Self {
        Self::begin(None, config, subscription, tasks, close)
    }

    /// The same, but opens no connection before another one, whose state this is, has been in use.
    pub fn start_after(
        other: watch::Receiver<Status>,
        config: &Amqp,
        subscription: Subscription,
        tasks: &TaskTracker,
        close: CancellationToken,
    ) -> Self {
        Self::begin(Some(other), config, subscription, tasks, close)
    }

    fn begin(
        after: Option<watch::Receiver<Status>>,
        config: &Amqp,
        subscription: Subscription,
        tasks: &TaskTracker,
        close: CancellationToken,
    ) -> Self {
        // One message waits here at most; the others stay where the prefetch limit counts them.
        let (sender, events) = mpsc::channel(1);
        let mode = watch::Sender::new(Mode::Taking);
        let consumption = Consumption::new(config.clone(), subscription, sender, mode.subscribe(), close);
        let (status, panics) = (consumption.status(), consumption.panics());
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = guard::ordered_end(Task::Consumer) => {}
                () = consumption.run(after) => {}
            }
        });
        Self { events, control: IntakeControl { mode }, status, panics }
    }

    /// An intake of what comes out of a channel in place of a broker.
    pub fn of(events: mpsc::Receiver<Event>, status: watch::Receiver<Status>) -> Self {
        let control = IntakeControl { mode: watch::Sender::new(Mode::Taking) };
        Self { events, control, status, panics: Count::default() }
    }

    /// The next news; `None` after [`IntakeControl::stop`] or closing, once all were given out.
    /// Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// A handle that can be kept elsewhere.
    pub fn control(&self) -> IntakeControl {
        self.control.clone()
    }

    /// Counts the panics that were caught behind it.
    pub fn panics(&self) -> Count {
        self.panics.clone()
    }

    /// The state of the connection.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

impl IntakeControl {
    /// What is wanted, for whoever stands in for a broker.
    pub fn mode(&self) -> watch::Receiver<Mode> {
        self.mode.subscribe()
    }

    /// Takes no more messages and gives back those not handed out. The session and its open
    /// deliveries stay. No effect after [`stop`](Self::stop).
    pub fn pause(&self) {
        self.switch(Mode::Taking, Mode::Paused);
    }

    /// Takes messages again after a pause.
    pub fn resume(&self) {
        self.switch(Mode::Paused, Mode::Taking);
    }

    /// Takes no more messages for good. Open deliveries can still be acknowledged until the intake
    /// is closed.
    pub fn stop(&self) {
        self.mode.send_replace(Mode::Stopped);
    }

    fn switch(&self, from: Mode, to: Mode) {
        self.mode.send_if_modified(|mode| {
            let fits = *mode == from;
            if fits {
                *mode = to;
            }
            fits
        });
    }
}

impl Generation {
    /// A number that no session has had.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
