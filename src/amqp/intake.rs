//! Receives the messages of a queue, and can be paused, resumed and stopped.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::delivery::{Event, Mode, Subscription};
use super::login::Login;
use super::session::Consumption;
use super::status::Status;
use crate::config::Amqp;
use crate::guard::{self, Count, Task};

/// The deliveries of one queue. An intake has a connection of its own, which is opened and kept open in the background:
/// a message that lapin cannot read ends its connection, and must not affect the other queues.
pub struct Intake {
    events: mpsc::Receiver<Event>,
    control: IntakeControl,
    login: Login,
    status: watch::Receiver<Status>,
    panics: Count,
}

/// Pauses, resumes and stops an [`Intake`].
#[derive(Clone, Debug)]
pub struct IntakeControl {
    mode: watch::Sender<Mode>,
    one_by_one: watch::Sender<bool>,
}

impl Intake {
    /// Starts consuming on `tasks`. The broker does not have to be available yet. When `close` is cancelled the
    /// connection is closed; messages that are not acknowledged by then are delivered again.
    pub fn start(config: &Amqp, subscription: Subscription, tasks: &TaskTracker, close: CancellationToken) -> Self {
        Self::begin(None, config, subscription, tasks, close)
    }

    /// Starts consuming like [`start`](Self::start), but opens no connection until `other`, the status of another
    /// connection, has been up.
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
        let control = IntakeControl::fresh();
        let login = Login::of(config);
        let orders = (control.mode(), control.one_by_one(), login.clone());
        let consumption = Consumption::new(config.clone(), subscription, sender, orders, close);
        let (status, panics) = (consumption.status(), consumption.panics());
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = guard::ordered_end(Task::Consumer) => {}
                () = consumption.run(after) => {}
            }
        });
        Self { events, control, login, status, panics }
    }

    /// Creates an intake whose events come from a channel in place of a broker.
    pub fn of(events: mpsc::Receiver<Event>, status: watch::Receiver<Status>) -> Self {
        let (control, login) = (IntakeControl::fresh(), Login::unused());
        Self { events, control, login, status, panics: Count::default() }
    }

    /// Returns the next event; `None` after [`IntakeControl::stop`] or closing, once all were given out. Cancelling the
    /// wait loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Returns a handle that can be kept elsewhere.
    pub fn control(&self) -> IntakeControl {
        self.control.clone()
    }

    /// Returns a handle that changes the password for the next connection.
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// Returns the count of panics that were caught in its task.
    pub fn panics(&self) -> Count {
        self.panics.clone()
    }

    /// Returns the state of the connection.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

impl IntakeControl {
    fn fresh() -> Self {
        Self { mode: watch::Sender::new(Mode::Taking), one_by_one: watch::Sender::new(false) }
    }

    /// Returns the requested mode, for the task behind the intake or a simulated broker.
    pub fn mode(&self) -> watch::Receiver<Mode> {
        self.mode.subscribe()
    }

    /// Returns whether one message at a time is requested, for the same readers.
    pub fn one_by_one(&self) -> watch::Receiver<bool> {
        self.one_by_one.subscribe()
    }

    /// Takes one message at a time, or as many as usual.
    pub fn take_one_by_one(&self, on: bool) {
        self.one_by_one.send_replace(on);
    }

    /// Takes no more messages, and gives back those that were not handed out. The session and its open deliveries
    /// remain.
    pub fn pause(&self) {
        self.switch(Mode::Taking, Mode::Paused);
    }

    /// Takes messages again after a pause.
    pub fn resume(&self) {
        self.switch(Mode::Paused, Mode::Taking);
    }

    /// Takes no more messages from now on. Open deliveries can still be acknowledged until the intake is closed.
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
