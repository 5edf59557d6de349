//! Consumes one queue through lost connections, pauses and deleted queues.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ack::{AckHandle, OfChannel};
use super::address::Address;
use super::call::{CallError, limited};
use super::careful::Careful;
use super::declare::{Mismatch, declare, short};
use super::delivery::{Delivery, Event, Generation, Mode, Subscription};
use super::guard::Marker;
use super::in_hand::{InHand, OfSubscription};
use super::link::{Change, Changes, Link, connect_once};
use super::login::Login;
use super::message::Message;
use super::prefetch::{Load, Prefetch};
use super::reconnect::{End, Reconnect};
use super::status::{Status, StatusBoard};
use super::topology::topology;
use crate::config::Amqp;
use crate::guard::{Count, Panic, guarded, guarded_now, may_panic};

/// The task behind an intake.
pub(super) struct Consumption {
    config: Amqp,
    subscription: Subscription,
    events: Option<mpsc::Sender<Event>>,
    mode: watch::Receiver<Mode>,
    one_by_one: watch::Receiver<bool>,
    login: Login,
    close: CancellationToken,
    board: StatusBoard,
    careful: Careful,
    prefetch: Prefetch,
    in_hand: InHand,
    /// The last logged findings about the topology, so that they are not logged again at each reconnect.
    findings: Vec<Mismatch>,
    panics: Count,
}

/// One channel and what is known about it.
struct Session {
    channel: Channel,
    marker: Marker,
    generation: Generation,
    broken: CancellationToken,
    consumer: Option<Consumer>,
    /// Whether the subscription has been cancelled, and what was sent ahead is still handed over.
    is_ending: bool,
    /// How many messages the broker sends ahead on the subscription.
    prefetch: u16,
    of_subscription: OfSubscription,
    in_hand: InHand,
    handed_over: u64,
    limit: Duration,
}

impl Consumption {
    pub(super) fn new(
        config: Amqp,
        subscription: Subscription,
        events: mpsc::Sender<Event>,
        (mode, one_by_one, login): (watch::Receiver<Mode>, watch::Receiver<bool>, Login),
        close: CancellationToken,
    ) -> Self {
        let target = Address::parse(&config.url).map_or_else(String::new, |a| a.target());
        let board = StatusBoard::new(format!("consume {}", subscription.queue), target);
        let prefetch = Prefetch::new(subscription.prefetch, subscription.memory);
        Self {
            config,
            subscription,
            prefetch,
            in_hand: InHand::default(),
            events: Some(events),
            mode,
            one_by_one,
            login,
            close,
            board,
            careful: Careful::default(),
            findings: Vec::new(),
            panics: Count::default(),
        }
    }

    pub(super) fn panics(&self) -> Count {
        self.panics.clone()
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.board.watch()
    }

    /// Keeps a session open until the intake is closed; begins once `after` is up, if it is given.
    pub(super) async fn run(mut self, after: Option<watch::Receiver<Status>>) {
        if let Some(mut other) = after {
            tokio::select! {
                biased;
                () = self.close.cancelled() => {
                    self.board.closed();
                    return;
                }
                // If the other connection ends without having been up, the worker is closing, and this intake is closed
                // soon, too.
                _ = other.wait_for(Status::is_up) => {}
            }
        }
        let mut reconnect = Reconnect::new(&self.config, self.close.clone());
        loop {
            let opened = Instant::now();
            let end = self.serve().await;
            if let End::Failed(error) = &end
                && error.is_unreadable()
            {
                self.careful.begin(Instant::now());
            }
            if reconnect.after(end, opened, &self.board).await.is_break() {
                break;
            }
        }
        self.board.closed();
    }

    /// Serves one connection from opening to end.
    async fn serve(&mut self) -> End {
        let purpose = format!("consume {}", self.subscription.queue);
        let config = self.login.applied_to(&self.config);
        let opening = tokio::select! {
            () = self.close.cancelled() => return End::Stopped,
            opening = connect_once(&config, &purpose) => opening,
        };
        let link = match opening {
            Ok(link) => link,
            Err(error) => return End::NotOpened(error),
        };
        let end = match self.open(&link).await {
            Ok(mut session) => {
                let end = match guarded(self.consume(&link, &mut session)).await {
                    Ok(end) => end,
                    Err(panic) => Err(self.panicked(panic)),
                };
                if let Err(error) = &end {
                    // A delivery that is reported as lost cannot be acknowledged, although the connection is still
                    // closing.
                    session.broken.cancel();
                    // Before the loss is reported, so that nobody takes the old state for a new session.
                    self.board.down(error.to_string(), error.remedy());
                }
                self.report_loss(&session).await;
                end
            }
            Err(error) => Err(error),
        };
        link.close().await;
        end.map_or_else(End::Failed, |()| End::Stopped)
    }

    /// Ends a session because of a panic. Its messages are delivered again and are then taken one by one, so that only
    /// the message that causes the panic counts as delivered again.
    fn panicked(&mut self, panic: Panic) -> CallError {
        self.panics.add();
        self.careful.begin(Instant::now());
        tracing::error!(queue = self.subscription.queue, %panic, "a defect ended a session with the broker");
        CallError::Lost { cause: format!("a defect: {panic}") }
    }

    async fn open(&mut self, link: &Link) -> Result<Session, CallError> {
        if self.config.declare_topology {
            let findings = declare(link, &topology(&self.config)).await?;
            if findings != self.findings {
                for finding in &findings {
                    tracing::warn!(%finding, remedy = finding.remedy(), "topology");
                }
                self.findings = findings;
            }
        }
        Ok(Session {
            channel: link.channel().await?,
            marker: link.marker().clone(),
            generation: Generation::fresh(),
            broken: CancellationToken::new(),
            consumer: None,
            is_ending: false,
            prefetch: 0,
            of_subscription: OfSubscription::default(),
            in_hand: self.in_hand.clone(),
            handed_over: 0,
            limit: self.config.rpc_timeout,
        })
    }

    /// Consumes until closed (`Ok`) or until the session can no longer be used.
    async fn consume(&mut self, link: &Link, session: &mut Session) -> Result<(), CallError> {
        let mut changes = link.changes();
        let (broken, close) = (session.broken.clone(), self.close.clone());
        loop {
            // A broker that does not answer must not hold up the closing, which gives back what was not handed over.
            let Some(adjusted) = close.run_until_cancelled(self.adjust(session)).await else { return Ok(()) };
            adjusted?;
            tokio::select! {
                biased;
                () = self.close.cancelled() => return Ok(()),
                () = broken.cancelled() => {
                    let cause = "an acknowledgement could not be sent".to_owned();
                    return Err(CallError::Lost { cause });
                }
                error = ended(&mut changes) => return Err(error),
                _ = self.mode.changed(), if self.events.is_some() => {}
                _ = self.one_by_one.changed(), if self.events.is_some() => {}
                () = self.careful.lasted() => {}
                () = self.in_hand.released(), if self.prefetch.is_exhausted(session.load()) => {}
                handed = session.hand_over(self.events.as_ref(), &self.panics) => {
                    if let Some(bytes) = handed? {
                        self.prefetch.note(bytes);
                    }
                    may_panic("session", &self.subscription.queue);
                }
            }
        }
    }

    /// Adjusts the subscription to the requested mode.
    async fn adjust(&mut self, session: &mut Session) -> Result<(), CallError> {
        self.careful.relax(session.handed_over, Instant::now());
        let is_one_by_one = self.careful.is_on() || *self.one_by_one.borrow_and_update();
        match self.wanted() {
            Mode::Taking if is_one_by_one => session.renew(&self.subscription.queue, 1).await?,
            Mode::Taking if session.is_ending => {}
            Mode::Taking => self.subscribe(session).await?,
            Mode::Paused => session.unsubscribe().await?,
            Mode::Stopped => {
                session.unsubscribe().await?;
                self.events = None;
            }
        }
        self.board.up();
        Ok(())
    }

    /// Subscribes, or ends a subscription that takes too many or too few messages at once. What the broker has sent
    /// ahead on it is handed over before the next one begins: to give it back would count as a failed delivery. Only
    /// what is on its way from the broker at that moment is taken back by it, and comes again first.
    async fn subscribe(&mut self, session: &mut Session) -> Result<(), CallError> {
        if session.consumer.is_none() {
            return session.renew(&self.subscription.queue, self.prefetch.present()).await;
        }
        let next = self.prefetch.next(session.load());
        if let Some(next) = next {
            self.prefetch.change(next);
        }
        if next.is_some() || session.prefetch != self.prefetch.present() {
            session.cancel().await?;
        }
        Ok(())
    }

    fn wanted(&mut self) -> Mode {
        let unread = self.events.as_ref().is_none_or(mpsc::Sender::is_closed);
        if unread || self.mode.has_changed().is_err() {
            return Mode::Stopped;
        }
        *self.mode.borrow_and_update()
    }

    async fn report_loss(&self, session: &Session) {
        let Some(events) = self.events.as_ref().filter(|_| session.handed_over > 0) else {
            return;
        };
        tokio::select! {
            biased;
            () = self.close.cancelled() => {}
            // If nobody reads the intake any more, nobody misses this event either.
            sent = events.send(Event::Lost(session.generation)) => drop(sent),
        }
    }
}

impl Session {
    fn load(&self) -> Load {
        Load {
            bytes: self.in_hand.bytes(),
            messages: self.in_hand.messages(),
            of_subscription: self.of_subscription.messages(),
        }
    }

    /// Makes sure that there is a subscription with this prefetch; gives back what an earlier one has prefetched.
    async fn renew(&mut self, queue: &str, prefetch: u16) -> Result<(), CallError> {
        if self.consumer.is_some() && !self.is_ending && self.prefetch == prefetch {
            return Ok(());
        }
        self.unsubscribe().await?;
        let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
        limited("basic.qos", self.limit, qos).await?;
        let consume =
            self.channel.basic_consume(short(queue), short(""), BasicConsumeOptions::default(), FieldTable::default());
        self.consumer = Some(limited("basic.consume", self.limit, consume).await?);
        self.prefetch = prefetch;
        self.of_subscription = OfSubscription::default();
        tracing::debug!(queue, prefetch, "subscribed");
        Ok(())
    }

    /// Ends the subscription. What was prefetched can still be handed over.
    async fn cancel(&mut self) -> Result<(), CallError> {
        if let Some(consumer) = self.consumer.as_ref().filter(|_| !self.is_ending) {
            let cancel = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            limited("basic.cancel", self.limit, cancel).await?;
            self.is_ending = true;
        }
        Ok(())
    }

    /// Ends the subscription and gives back what was prefetched but not handed over.
    async fn unsubscribe(&mut self) -> Result<(), CallError> {
        self.cancel().await?;
        self.is_ending = false;
        let Some(mut consumer) = self.consumer.take() else {
            return Ok(());
        };
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery.map_err(|source| failed("basic.cancel", source))?;
            let requeue = BasicNackOptions { requeue: true, ..Default::default() };
            limited("basic.nack", self.limit, delivery.acker.nack(requeue)).await?;
        }
        Ok(())
    }

    /// Hands over one message, and returns the bytes of its body; waits while there is no message, or no reader to take
    /// it. `None` where there is no reader any more, or a subscription has ended on purpose.
    async fn hand_over(
        &mut self,
        events: Option<&mpsc::Sender<Event>>,
        panics: &Count,
    ) -> Result<Option<u64>, CallError> {
        let (Some(events), Some(consumer)) = (events, self.consumer.as_mut()) else {
            return std::future::pending().await;
        };
        let Ok(room) = events.reserve().await else {
            return Ok(None);
        };
        match consumer.next().await {
            Some(Ok(mut delivery)) => {
                self.handed_over += 1;
                let message = guarded_now(|| Message::read(&mut delivery, &self.marker)).unwrap_or_else(|panic| {
                    panics.add();
                    tracing::error!(
                        tag = delivery.delivery_tag, %panic,
                        "the properties of a message could not be read; they are ignored"
                    );
                    Message { body: std::mem::take(&mut delivery.data), ..Message::default() }
                });
                let bytes = u64::try_from(message.body.len()).unwrap_or(u64::MAX);
                let held = self.in_hand.hold(bytes, &self.of_subscription);
                room.send(Event::Delivery(Box::new(Delivery {
                    message,
                    redelivered: delivery.redelivered,
                    generation: self.generation,
                    handle: AckHandle::new(OfChannel::new(
                        delivery.acker,
                        self.channel.clone(),
                        self.limit,
                        self.broken.clone(),
                        held,
                    )),
                })));
                Ok(Some(bytes))
            }
            Some(Err(source)) => Err(failed("consuming", source)),
            None if self.is_ending => {
                (self.consumer, self.is_ending) = (None, false);
                Ok(None)
            }
            None => Err(CallError::Cancelled),
        }
    }
}

fn failed(call: &'static str, source: lapin::Error) -> CallError {
    CallError::Failed { call, source }
}

/// Waits for the end of a connection.
async fn ended(changes: &mut Changes) -> CallError {
    loop {
        match changes.next().await {
            Change::Lost(error) => return error,
            // This concerns only connections that publish.
            Change::Blocked { .. } | Change::Unblocked => {}
        }
    }
}
