//! Checks that workers that share one PostgreSQL lose nothing and create nothing twice.

use serde_json::json;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::{ConnectionStore, LedgerStore, StoreHealth};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault};

use crate::support::batches::{batch, in_days, names, on_create};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;
use crate::support::waiting::until;

async fn two_workers(settings: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], settings).await;
    stage.start_worker();
    stage.start_worker();
    stage
}

async fn until_creating(stage: &Stage) {
    let creating = |request: &testmo_sim::world::RequestRecord| request.method == Method::Post;
    stage.account("acme").until(|station| station.log.iter().any(creating)).await;
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_deliver_everything_once_and_report_it_once() {
    let mut stage = two_workers(&[("COURIER_AMQP__PREFETCH", "5")]).await;
    stage.publish(&batch("acme", "large", 250)).await;
    for n in 0..30 {
        stage.publish(&batch("acme", &format!("b-{n}"), 3)).await;
    }
    assert_eq!(stage.event_of("acme/large").await["data"]["outcome"], "delivered");
    for n in 0..30 {
        assert_eq!(stage.event_of(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let there = stage.account("acme").case_names();
    let of_large: Vec<String> = there.iter().filter(|name| name.starts_with("large")).cloned().collect();
    assert_eq!(of_large, names("large", 250), "in order");
    let mut wanted: Vec<String> = (0..30).flat_map(|n| names(&format!("b-{n}"), 3)).collect();
    wanted.extend(names("large", 250));
    assert_eq!(sorted(there), sorted(wanted));
    stage.all_sent().await;
    assert!(stage.shelf().await.is_empty());
    stage.publish(&batch("acme", "last", 1)).await;
    stage.event_of("acme/last").await;
    let twice: Vec<usize> = (0..30).filter(|n| stage.heard(&format!("acme/b-{n}")) > 0).collect();
    assert!(twice.is_empty(), "events of {twice:?} came twice");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_report_once_that_a_key_expires_or_has_expired() {
    let tenants = ["oak", "elm", "ash", "fir"];
    let mut stage = Stage::on_postgres(Postgres::shared(), &tenants, &[]).await;
    for (tenant, days) in tenants.iter().zip([14, 5, 0, -1]) {
        let mut row = stage.store.connection(&tenant.parse().unwrap()).await.unwrap().unwrap();
        row.expires_on = Some(in_days(days));
        stage.store.set_connection(&row).await.unwrap();
    }
    stage.start_worker();
    stage.start_worker();
    for (tenant, days) in tenants.iter().zip([Some(14), Some(5), Some(0), None]) {
        let event = stage.event_of(tenant).await;
        let kind = if days.is_some() { "key.expiring" } else { "key.expired" };
        assert_eq!(event["type"], format!("com.sqai-suite.testmo.{kind}.v1"));
        assert_eq!(event["data"]["days_left"].as_u64(), days);
        let remedy = event["data"]["remedy"].as_str().unwrap();
        for part in ["user profile page", "separate API user", "no longer used"] {
            assert!(remedy.contains(part), "{part:?} is not in {remedy}");
        }
    }
    stage.all_sent().await;
    stage.publish(&batch("oak", "last", 1)).await;
    stage.delivered("oak/last").await;
    assert_eq!(tenants.map(|tenant| stage.heard(tenant)), [0; 4], "told again");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_to_two_replicas_at_once_is_pushed_once() {
    let mut stage = two_workers(&[("COURIER_AMQP__PREFETCH", "1")]).await;
    stage.account("acme").set_faults([on_create(Fault::Slow { ms: 100, commit: CommitTime::AfterDelay })]);
    for n in 0..5 {
        for _ in 0..2 {
            stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
        }
    }
    for n in 0..5 {
        assert_eq!(stage.event_of(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    until(async || crate::support::broker::Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    let wanted: Vec<String> = (0..5).flat_map(|n| names(&format!("b-{n}"), 2)).collect();
    assert_eq!(sorted(stage.account("acme").case_names()), wanted);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_tried_again_by_replicas_without_creating_anything_twice() {
    let mut stage = two_workers(&[]).await;
    let faults = [Fault::status(503), Fault::status_after_commit(503), Fault::status_after_commit(500)];
    stage.account("acme").set_faults(faults.map(|fault| on_create(fault).times(2)));
    for n in 0..6 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    for n in 0..6 {
        assert_eq!(stage.event_of(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let wanted: Vec<String> = (0..6).flat_map(|n| names(&format!("b-{n}"), 2)).collect();
    assert_eq!(sorted(stage.account("acme").case_names()), wanted);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_a_path_are_created_once_by_two_replicas() {
    let mut stage = two_workers(&[("COURIER_AMQP__PREFETCH", "2")]).await;
    for n in 0..8 {
        let mut wish = batch("acme", &format!("b-{n}"), 2);
        wish["folder_path"] = json!(["Checkout", "Payment"]);
        stage.publish(&wish).await;
    }
    for n in 0..8 {
        assert_eq!(stage.event_of(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    assert_eq!(stage.account("acme").view().projects[0].folders.len(), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_replica_is_killed_during_a_request_another_waits_reconciles_and_adopts_its_cases() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await;
    stage.account("acme").set_faults([on_create(Fault::Held { commit: CommitTime::AfterDelay })]);
    let first = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 5)).await;
    until_creating(&stage).await;
    stage.start_worker();
    let lease = stage.store.batch(&"acme/b-1".parse().unwrap()).await.unwrap().unwrap().lease_until.unwrap();
    first.kill();
    stage.account("acme").clear_faults();
    let event = stage.event_of("acme/b-1").await;
    assert!(stage.store.now() >= lease, "the lease is waited for");
    assert_eq!(event["data"]["cases"][0]["outcome"], "adopted");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_reconnect_to_a_store_that_was_killed_and_restarted() {
    let server = Postgres::start();
    let stage = Stage::on_postgres(&server, &["acme"], &[]).await;
    let processes = [Process::start(&stage).await, Process::start(&stage).await];
    stage.account("acme").set_faults([on_create(Fault::Slow { ms: 200, commit: CommitTime::BeforeDelay })]);
    for n in 0..20 {
        stage.publish(&batch("acme", &format!("b-{n}"), 3)).await;
    }
    until_creating(&stage).await;
    server.kill();
    for n in 20..25 {
        stage.publish(&batch("acme", &format!("b-{n}"), 3)).await;
    }
    for process in &processes {
        until(async || process.get("/readyz").is_some_and(|answer| answer.contains(" 503 "))).await;
    }
    server.boot();
    stage.account("acme").set_faults([]);
    for n in 0..25 {
        stage.settled(&format!("acme/b-{n}")).await;
    }
    let wanted: Vec<String> = (0..25).flat_map(|n| names(&format!("b-{n}"), 3)).collect();
    assert_eq!(sorted(stage.account("acme").case_names()), sorted(wanted));
    for process in &processes {
        until(async || process.get("/readyz").is_some_and(|answer| answer.contains(" 200 "))).await;
    }
    stage.all_sent().await;
    for process in processes {
        process.stop().await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_pruned_is_still_known() {
    let settings = [("COURIER_STORE__RETENTION", "1s")];
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &settings).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    let key = "acme/b-1".parse().unwrap();
    let record = async || stage.store.batch(&key).await.unwrap().unwrap().record;
    let settled_at = record().await.settled_at.unwrap();
    until(async || stage.store.batch_at(&key).await.unwrap().1 > settled_at + 1_000).await;
    stage.start_worker();
    until(async || stage.store.batch(&key).await.unwrap().unwrap().record.cases.is_empty()).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.event_of("acme/b-2").await;
    until(async || crate::support::broker::Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    assert_eq!(stage.store.batch(&key).await.unwrap().unwrap().record.state, BatchState::Delivered);
    assert_eq!(stage.account("acme").cases().len(), 4);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_the_tables_once_and_says_what_is_missing() {
    let server = Postgres::shared();
    let stage = Stage::with_tenants(&[]).await;
    let url = server.database();
    let run = |url: &str, arguments: &[&str]| {
        let output = command(&stage)
            .env("COURIER_STORE__URL", url)
            .env("COURIER_KEYS__MASTER_KEY_FILE", stage.path("other.key"))
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let password = url.split([':', '@']).nth(2).unwrap();
        assert!(!told.contains(password), "{told}");
        (output.status.code(), told)
    };
    let (code, told) = run(&url, &["batches", "list"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("testmo-courier init"), "{told}");
    let (code, told) = run(&url, &["init"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("(created)"), "{told}");
    let (code, told) = run(&url, &["init"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("exists already"), "{told}");
    assert_eq!(run(&url, &["batches", "list"]).0, Some(0));
    let (code, told) = run(&server.url("nowhere"), &["init"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("createdb"), "{told}");
    stage.end().await;
}
