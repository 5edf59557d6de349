//! Runs the workers of one replica, one after another: starts, kills, freezes and stops them.

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::batch::restored::Restored;
use testmo_courier::http::Readiness;
use testmo_courier::metrics::Metrics;
use testmo_courier::testmo::Client;
use testmo_courier::worker::{Neighbours, Stopped, TaskEnded, work};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{EventsOf, Queue, intake};
use crate::fuse::Fuse;
use crate::stage::Stage;

/// How long a worker may take to end after its drain time, whatever its neighbours do.
const LONGEST_END: Duration = Duration::from_secs(5);

/// What is done to a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Kill,
    KillAfter(Option<u32>),
    Freeze(Duration),
    Cut,
    Restart,
    End,
}

/// A place in which one worker runs at a time.
pub(crate) struct Replica {
    stage: Arc<Stage>,
    index: u64,
    started: u64,
}

/// A running worker.
struct Running {
    number: u64,
    fuse: Fuse,
    stop: CancellationToken,
    close: CancellationToken,
    end: JoinHandle<Result<Stopped, TaskEnded>>,
}

impl Replica {
    pub(crate) fn new(stage: Arc<Stage>, index: u64) -> Self {
        Self { stage, index, started: 0 }
    }

    /// Runs workers, one after another, until one is asked to stop for good.
    pub(crate) async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let mut running = self.start();
            let last = loop {
                tokio::select! {
                    biased;
                    () = running.fuse.blown() => break None,
                    end = &mut running.end => {
                        self.stage.complain(format!("w{} ended by itself: {end:?}", running.number));
                        return;
                    }
                    order = orders.recv() => match order.unwrap_or(Order::End) {
                        Order::Kill => running.fuse.blow(),
                        Order::KillAfter(crossings) => running.fuse.blow_after(crossings),
                        Order::Freeze(time) => running.fuse.freeze(Instant::now() + time),
                        Order::Cut => self.stage.broker.cut(Some(running.number)),
                        Order::Restart => break Some(false),
                        Order::End => break Some(true),
                    },
                }
            };
            self.stage.show_lanes(running.number, None);
            if let Some(last) = last {
                running.stop.cancel();
                self.wind_down(&mut running).await;
                if last && !running.fuse.is_blown() {
                    return;
                }
            }
            // Tasks of a killed worker may still run in this process; they call no neighbour, so nothing waits for
            // them.
            running.fuse.blow();
            running.stop.cancel();
            running.close.cancel();
            running.end.abort();
            self.stage.diary.note(|| format!("w{} is gone", running.number));
            sleep(self.stage.weather.ms(100..8_000)).await;
            if last == Some(true) {
                return;
            }
        }
    }

    async fn wind_down(&self, running: &mut Running) {
        self.stage.diary.note(|| format!("w{} is asked to end", running.number));
        tokio::select! {
            biased;
            () = running.fuse.blown() => {}
            end = &mut running.end => {
                match end {
                    // What is cut is left as by a crash.
                    Ok(Ok(Stopped::Drained | Stopped::Cut(_))) => {}
                    Ok(Err(ended)) => self.stage.complain(format!("w{}: {ended}", running.number)),
                    Err(error) => self.stage.complain(format!("w{}: {error}", running.number)),
                }
            }
            () = sleep(self.stage.config.worker.drain_timeout + LONGEST_END) => {
                self.stage.complain(format!("w{} does not end", running.number));
            }
        }
    }

    fn start(&mut self) -> Running {
        self.started += 1;
        let number = self.index * 100 + self.started;
        let (stage, fuse) = (&self.stage, Fuse::new());
        let (stop, close, links) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let (mut config, metrics) = (stage.config.clone(), Metrics::new().expect("metrics"));
        config.worker.name = format!("replica {}", self.index);
        let prefetch = usize::from(config.amqp.prefetch);
        let intake = |queue, prefetch| {
            intake(&stage.broker, queue, prefetch, (number, fuse.clone()), &links, close.child_token())
        };
        let (lanes, views) = mpsc::channel(1);
        stage.show_lanes(number, Some(lanes));
        let neighbours = Neighbours {
            cases: intake(Queue::Cases, prefetch),
            dead: intake(Queue::Dead, 20),
            unrouted: intake(Queue::Unrouted, 20),
            publisher: Arc::new(EventsOf::new(&stage.broker, fuse.clone(), &links, close.child_token())),
            store: Arc::new(stage.store.of(number, fuse.clone())),
            restored: Restored::default(),
            client: Client::over(Arc::new(stage.testmo.of(number, fuse.clone()))),
            spans: testmo_courier::trace::Spans::default(),
            configs: watch::channel(config.clone()).1,
            views,
            close: close.clone(),
        };
        stage.diary.note(|| format!("w{number} starts"));
        let working = work(config, stage.keyring.clone(), metrics, Readiness::default(), neighbours, stop.clone());
        let end = links.spawn(working);
        Running { number, fuse, stop, close, end }
    }
}
