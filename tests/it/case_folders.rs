//! Checks that each case goes to the folder that it requests itself, whatever happens on the way.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::ShelfState;
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
#[cfg(debug_assertions)]
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// The folders of the cases below the folder `Shop` of their batch; the last case goes to the tenant's folder.
const OWN: [Option<&[&str]>; 5] =
    [None, Some(&["Shop", "Cards"]), Some(&["Login"]), Some(&["Shop", "Cards"]), Some(&[])];

/// Returns a batch whose cases go to four folders.
fn batch_of_folders(id: &str) -> Value {
    let mut wish = batch("acme", id, OWN.len());
    wish["folder_path"] = json!(["Shop"]);
    for (case, own) in wish["cases"].as_array_mut().expect("cases").iter_mut().zip(OWN) {
        if let Some(path) = own {
            case["folder_path"] = json!(path);
        }
    }
    wish
}

/// Checks that each case of such batches exists once, in its folder, and that each folder exists once.
fn assert_all_there(stage: &Stage, ids: &[String]) {
    let mut there: Vec<(String, String)> =
        stage.account("acme").cases().into_iter().map(|case| (case.name, below_the_tenants(&case.folder))).collect();
    there.sort();
    let path = |own: Option<&[&str]>| own.unwrap_or(&["Shop"]).join("/");
    let of_batch =
        |id: &String| OWN.iter().enumerate().map(|(n, own)| (format!("{id} case {}", n + 1), path(*own))).collect();
    let mut expected: Vec<(String, String)> = ids.iter().flat_map::<Vec<_>, _>(of_batch).collect();
    expected.sort();
    assert_eq!(there, expected);
    let mut folders: Vec<String> =
        stage.account("acme").view().projects.remove(0).folders.into_iter().map(|folder| folder.path).collect();
    let all = folders.len();
    folders.sort();
    folders.dedup();
    assert_eq!((folders.len(), all), (4, 4), "{folders:?}");
}

/// Returns the path of a folder below the tenant's folder.
fn below_the_tenants(path: &str) -> String {
    path.split_once('/').map_or("", |(_, below)| below).to_owned()
}

fn creations(stage: &Stage, of: &str) -> usize {
    let requests = stage.account("acme").requests();
    requests.iter().filter(|request| request.method == Method::Post && request.path.ends_with(of)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_has_cases_of_several_folders_and_the_event_says_which() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch_of_folders("b-1")).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "delivered");
    assert_all_there(&stage, &["b-1".into()]);
    assert_eq!((creations(&stage, "/cases"), creations(&stage, "/folders")), (1, 3));
    let cases = stage.account("acme").cases();
    let reported = event["data"]["cases"].as_array().expect("its cases");
    for ((case, row), own) in reported.iter().zip(&cases).zip(OWN) {
        let expected = own.map_or(Value::Null, |path| json!({"id": row.folder_id, "path": path}));
        assert_eq!((&case["testmo_id"], &case["folder"]), (&json!(row.id), &expected));
        let group = format!("group_id={}&", row.folder_id);
        assert!(case["link"].as_str().expect("a link").contains(&group), "{case}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_folders_per_case_that_is_delivered_again_creates_nothing_more() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch_of_folders("b-1")).await;
    stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    stage.start_worker();
    stage.publish(&batch_of_folders("b-1")).await;
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    // The next batch is only finished after the copy.
    stage.publish(&batch_of_folders("b-2")).await;
    stage.delivered("acme/b-2").await;
    assert_all_there(&stage, &["b-1".into(), "b-2".into()]);
    assert_eq!(creations(&stage, "/cases"), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_create_each_folder_once_and_each_case_in_its_own() {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &[("COURIER_AMQP__PREFETCH", "2")]).await;
    let faults = [Fault::status(503), Fault::status_after_commit(503)];
    stage.account("acme").set_faults(faults.map(|fault| on_create(fault).times(1)));
    stage.start_worker();
    stage.start_worker();
    let ids: Vec<String> = (0..6).map(|n| format!("b-{n}")).collect();
    for id in &ids {
        stage.publish(&batch_of_folders(id)).await;
    }
    for id in &ids {
        assert_eq!(stage.event_of(&format!("acme/{id}")).await["data"]["outcome"], "delivered");
    }
    assert_all_there(&stage, &ids);
    stage.end().await;
}

// Only builds for tests crash on order.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_every_case_is_found_or_sent_to_its_folder() {
    for (point, outcome) in [
        ("after_folder:2", "created"),
        ("after_claim:1", "created"),
        ("after_push:1", "adopted"),
        ("after_record:1", "created"),
    ] {
        let mut stage = Stage::on(Broker::shared(), &["acme"], &[]).await;
        stage.environment.insert("COURIER_CRASH_AT".into(), point.into());
        let mut process = Process::start(&stage).await;
        stage.publish(&batch_of_folders("b-1")).await;
        process.exit().await;
        stage.environment.remove("COURIER_CRASH_AT");
        let process = Process::start(&stage).await;
        let event = stage.event_of("acme/b-1").await;
        let outcomes: Vec<&Value> =
            event["data"]["cases"].as_array().expect("its cases").iter().map(|case| &case["outcome"]).collect();
        assert!(outcomes.iter().all(|one| *one == outcome), "{point}: {outcomes:?}");
        assert_all_there(&stage, &["b-1".into()]);
        assert_eq!(creations(&stage, "/cases"), 1, "{point}");
        until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
        stage.all_sent().await;
        process.stop().await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_some_cases_that_vanishes_is_created_again_and_the_other_folders_stay() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::throttled(Some(RetryAfter::Seconds(1)))).times(1)]);
    stage.start_worker();
    stage.publish(&batch_of_folders("b-1")).await;
    let throttled = async || {
        let requests = stage.account("acme").requests();
        requests.iter().any(|request| request.method == Method::Post && request.path.ends_with("/cases"))
    };
    until(throttled).await;
    let folders = stage.account("acme").view().projects.remove(0).folders;
    let gone = folders.iter().find(|folder| folder.path.ends_with("/Cards")).expect("the folder").id;
    stage.account("acme").delete_folder(gone);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    assert_all_there(&stage, &["b-1".into()]);
    assert_eq!(creations(&stage, "/folders"), 4);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_as_a_whole_for_a_folder_that_testmo_refuses_and_the_cases_concerned_are_named() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // The third folder of the batch is Login.
    stage.account("acme").set_faults([Rule::always(Fault::status(422)).on(Method::Post, PathKind::Folders)]);
    for path in [&["Shop"][..], &["Shop", "Cards"]] {
        let folders = stage.account("acme").view().projects.remove(0).folders;
        let parent = folders.iter().map(|folder| folder.id).max().expect("the tenant's folder");
        stage.account("acme").create_folder(1, parent, path.last().expect("a name"));
    }
    stage.start_worker();
    stage.publish(&batch_of_folders("b-1")).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::FolderMissing));
    let detail = shelf[0].content.detail.as_deref().unwrap_or_default();
    assert!(detail.ends_with(" (the folder of case TC-3)"), "{detail}");
    assert!(stage.account("acme").cases().is_empty());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
