//! Provokes faults of a worker's machine and of its way to Testmo, and follows what is said about each until batches arrive.

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::{LeftOver, Stage};
use crate::support::tls_front::EncryptedTestmo;
use crate::support::waiting::until;

/// The setting that bounds the store's file.
const LIMIT: &str = "COURIER_STORE__MAX_FILE_BYTES";

/// Runs the program for a stage, and returns its exit code and output.
fn run(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let mut program = command(stage);
    program.args(arguments);
    run_reading(program, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_or_has_expired_is_put_right_as_the_detail_says() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let testmo = EncryptedTestmo::of(&mut stage).await;

    let process = Process::start(&stage).await;
    let (code, said) = testmo.connect(&stage);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not trust") && said.contains("SSL_CERT_FILE"), "{said}");
    stage.publish(&batch("late", "b-1", 1)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;

    stage.environment.insert("SSL_CERT_FILE".into(), testmo.trusted.clone());
    testmo.front.renew(testmo.authority.expired("127.0.0.1"));
    process.stop().await;
    let process = Process::start(&stage).await;
    let (code, said) = run(&stage, &["tenants", "verify", "late"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("has expired") && said.contains("renewed"), "{said}");

    testmo.front.renew(testmo.authority.server("127.0.0.1"));
    let (code, said) = run(&stage, &["tenants", "verify", "late"]);
    assert_eq!(code, Some(0), "{said}");
    stage.delivered("late/b-1").await;
    // The authority's certificates end in the year 4096.
    let end = "testmo_courier_certificate_end_timestamp_seconds{peer=\"testmo\"}";
    until(async || process.metric(end).is_some_and(|end| end > 4e9)).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_one_store_starts_once_the_first_one_is_stopped_or_with_a_store_of_its_own() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let first = Process::start(&stage).await;
    let (code, said) = run(&stage, &["run"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("stop that worker, or give each worker its own store"), "{said}");

    // A store of its own, with the same key.
    let own = format!("sqlite:{}", stage.path("second.db").display());
    let shared = stage.environment.insert("COURIER_STORE__URL".into(), own).expect("the stage's store");
    let (code, said) = run(&stage, &["init", "--new-store"]);
    assert_eq!(code, Some(0), "{said}");
    let second = Process::start(&stage).await;
    second.stop().await;

    stage.environment.insert("COURIER_STORE__URL".into(), shared);
    first.stop().await;
    let second = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    second.stop().await;
    stage.end().await;
}

/// Starts a worker on a store that has reached its limit, with six large batches on the shelf and in RabbitMQ.
pub(crate) async fn at_its_limit(stage: &mut Stage) -> Process {
    let file = std::fs::metadata(stage.path("courier.db")).expect("the store's file").len();
    stage.environment.insert(LIMIT.into(), (file + 2_500_000).to_string());
    let process = Process::start(stage).await;
    for n in 0..6 {
        let mut large = batch("nobody", &format!("b-{n}"), 1);
        large["cases"][0]["description"] = serde_json::json!("x".repeat(600_000));
        stage.publish(&large).await;
    }
    until(async || process.get("/readyz").is_some_and(|ready| ready.contains("not ready: store"))).await;
    assert!(process.output().contains("or raise store.max_file_bytes"), "{}", process.output());
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_is_discarded_beside_a_worker_whose_store_is_at_its_limit() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[]).await;
    let process = at_its_limit(&mut stage).await;
    stage.publish(&batch("acme", "b-9", 1)).await;
    let mut discarded = 0;
    while discarded < 6 {
        stage.shelf_until(|shelf| !shelf.is_empty()).await;
        let discard =
            ["shelf", "discard", "--tenant", "nobody", "--because", "unknown", "--no-undo", "--yes", "--json"];
        let (code, said) = run(&stage, &discard);
        assert_eq!(code, Some(0), "{said}");
        let outcome: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        discarded += outcome["discarded"].as_array().map_or(0, Vec::len);
    }
    stage.delivered("acme/b-9").await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_its_limit_takes_everything_once_the_limit_is_raised() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[]).await;
    let process = at_its_limit(&mut stage).await;
    process.stop().await;

    stage.environment.insert(LIMIT.into(), "100000000".into());
    let process = Process::start(&stage).await;
    stage.shelf_until(|shelf| shelf.len() == 6).await;
    stage.publish(&batch("acme", "b-9", 1)).await;
    stage.delivered("acme/b-9").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
