//! Checks that a worker that is asked to stop has ended soon after its drain time, whatever its neighbours do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, SqliteConnection};
use testmo_courier::batch::Reason;
use testmo_sim::faults::{CommitTime, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::support::batches::{batch, on_create};
use crate::support::broker::{Broker, QUEUE_SETTLES};
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Everything ended in time.
const DRAINED: Option<i32> = Some(0);
/// Something was cut.
const CUT: Option<i32> = Some(5);

/// How long a worker may take: its drain time and five seconds, and two for a slow machine.
fn budget(drain: Duration) -> Duration {
    drain + Duration::from_secs(7)
}

const SHORT: &str = "1s";
const SHORT_DRAIN: Duration = Duration::from_secs(1);

/// Asks a worker to stop, and returns its exit code and what it wrote; it must have ended within its budget.
async fn stopped(mut process: Process, drain: Duration) -> (Option<i32>, String) {
    let since = Instant::now();
    process.signal("TERM");
    let status = process.exit().await;
    let (took, output) = (since.elapsed(), process.output());
    assert!(took < budget(drain), "it took {took:?}: {output}");
    (status.code(), output)
}

/// A stage whose worker drains for a second and is patient otherwise, as by default.
async fn stage(broker: &Broker, more: &[(&str, &str)]) -> Stage {
    let patient = [
        ("COURIER_WORKER__DRAIN_TIMEOUT", SHORT),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "60s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "60s"),
    ];
    Stage::on(broker, &["acme"], &[&patient, more].concat()).await
}

/// Passes on what a worker and its broker say to each other, until it is told that the broker is silent.
struct Line {
    address: SocketAddr,
    silent: watch::Sender<bool>,
}

impl Line {
    async fn to(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, port) = (listener.local_addr().expect("an address"), broker.port());
        let silent = watch::Sender::new(false);
        let told = silent.clone();
        // Ends with the runtime of the test.
        let tasks = TaskTracker::new();
        let ends = tasks.clone();
        tasks.spawn(async move {
            while let Ok((worker, _)) = listener.accept().await {
                let Ok(broker) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((from_worker, to_worker), (from_broker, to_broker)) = (worker.into_split(), broker.into_split());
                ends.spawn(pass_on(from_worker, to_broker, watch::Sender::new(false).subscribe()));
                ends.spawn(pass_on(from_broker, to_worker, told.subscribe()));
            }
        });
        Self { address, silent }
    }

    fn url(&self, stage: &Stage) -> String {
        format!("amqp://guest:guest@{}/{}", self.address, stage.vhost)
    }

    fn fall_silent(&self) {
        self.silent.send_replace(true);
    }
}

async fn pass_on(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut silent: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16_384];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        // The other direction keeps its sender forever, and is never silent.
        drop(silent.wait_for(|silent| !silent).await);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_while_testmo_does_not_answer() {
    let stage = stage(Broker::shared(), &[]).await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay })]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    until(async || acme.case_names().len() == 2).await;
    let (code, output) = stopped(process, SHORT_DRAIN).await;
    assert_eq!(code, CUT, "{output}");
    assert!(output.contains("what was cut: requests to Testmo\n"), "{output}");
    assert!(output.contains(r#""batches":1,"requests":1,"events":0,"seconds_left":1"#), "{output}");
    assert!(output.contains("the drain time is over; this was still under way"), "{output}");
    assert!(output.contains("what was left is given up"), "{output}");
    acme.clear_faults();
    stage.end_leaving(&[LeftOver::Messages]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_while_another_program_holds_the_store() {
    let stage = stage(Broker::shared(), &[]).await;
    let process = Process::start(&stage).await;
    let mut other = SqliteConnection::connect(&stage.config.store.url).await.expect("the store");
    other.execute("BEGIN EXCLUSIVE").await.expect("the lock");
    for n in 0..5 {
        stage.publish(&batch("nobody", &format!("b-{n}"), 1)).await;
    }
    let unacknowledged =
        ["-q", "list_queues", "-p", stage.vhost.as_str(), "messages_unacknowledged", "--no-table-headers"];
    until(async || Broker::shared().ctl(&unacknowledged).lines().any(|count| count.trim() == "5")).await;
    let (code, output) = stopped(process, SHORT_DRAIN).await;
    assert_eq!(code, CUT, "{output}");
    assert!(output.contains("what was cut: intake_queue"), "{output}");
    other.execute("ROLLBACK").await.expect("the end of the lock");
    other.close().await.expect("a connection");
    stage.end_leaving(&[LeftOver::Messages]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_while_the_broker_is_away() {
    let broker = Broker::start();
    let mut stage = stage(&broker, &[]).await;
    let process = Process::start(&stage).await;
    tokio::time::sleep(QUEUE_SETTLES).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    stage.all_sent().await;
    broker.kill();
    until(async || process.get("/readyz").is_some_and(|ready| ready.contains("not ready: intake"))).await;
    let (code, output) = stopped(process, SHORT_DRAIN).await;
    assert_eq!(code, DRAINED, "{output}");
    broker.boot();
    stage.listen_again().await;
    let process = Process::start(&stage).await;
    stage.publish_at_last(&batch("acme", "b-2", 1)).await;
    stage.delivered("acme/b-2").await;
    stage.all_sent().await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_while_the_broker_is_silent_and_confirms_no_event() {
    let mut stage = stage(Broker::shared(), &[("COURIER_WORKER__DRAIN_TIMEOUT", "25s")]).await;
    let line = Line::to(Broker::shared()).await;
    stage.environment.insert("COURIER_AMQP__URL".into(), line.url(&stage));
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay })]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    until(async || acme.case_names().len() == 2).await;
    line.fall_silent();
    acme.clear_faults();
    stage.settled("acme/b-1").await;
    // The broker has the event, but the worker does not learn that.
    stage.delivered("acme/b-1").await;
    // Nothing is under way but an event, so the worker does not take its whole drain time.
    let (code, output) = stopped(process, Duration::from_secs(8)).await;
    assert!([DRAINED, CUT].contains(&code), "{output}");
    assert!(output.contains("some events are not published yet"), "{output}");
    stage.end_leaving(&[LeftOver::Events]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_while_events_wait_that_no_queue_is_bound_for() {
    let mut stage = stage(Broker::shared(), &[]).await;
    stage.listen_only_to("nobody").await;
    let process = Process::start(&stage).await;
    for n in 0..20 {
        stage.publish(&batch("acme", &format!("b-{n}"), 1)).await;
    }
    until(async || stage.account("acme").case_names().len() == 20).await;
    let (code, output) = stopped(process, SHORT_DRAIN).await;
    assert_eq!(code, DRAINED, "{output}");
    stage.end_leaving(&[LeftOver::Events]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_shelf_that_a_stopping_worker_holds_are_free_at_once() {
    const ROWS: usize = 20;
    let one = [("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "1"), ("COURIER_REQUESTS__MAX_CASES", "1")];
    let mut stage = stage(Broker::shared(), &one).await;
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay })]);
    for n in 0..ROWS {
        stage.shelve(&batch("acme", &format!("b-{n}"), 1), Reason::NoRoom).await;
    }
    let process = Process::start(&stage).await;
    stage.shelf_until(|shelf| shelf.iter().filter(|row| row.leased).count() == ROWS).await;
    stage.account("acme").requests_matching(|request| request.path.ends_with("/cases"), 1).await;
    let (code, output) = stopped(process, SHORT_DRAIN).await;
    assert_eq!(code, CUT, "{output}");
    let shelf = stage.shelf().await;
    assert_eq!((shelf.len(), shelf.iter().filter(|row| row.leased).count()), (ROWS, 0), "{output}");
    stage.start_worker();
    stage.shelf_until(|shelf| shelf.iter().all(|row| row.leased)).await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
