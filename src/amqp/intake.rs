//! Takes in the messages of a queue, and pauses, resumes and stops that.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::delivery::{Event, Mode, Subscription};
use super::session::Consumption;
use super::status::Status;
use crate::config::Amqp;
use crate::guard::{self, Count, Task};

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

    /// Returns the next event; `None` after [`IntakeControl::stop`] or closing, once all were given out.
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
    /// Returns the mode that is wanted, for a stand-in of a broker.
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
