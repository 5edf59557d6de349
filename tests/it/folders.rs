//! Does every batch go to the folder it asks for, and is that created once?

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::ShelfState;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, RetryAfter, Rule};
use testmo_sim::world::{AccountSpec, FolderSpec};

use crate::support::stage::{Stage, batch, key_of, on_create, until};

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_a_path_are_created_once_however_many_batches_ask_for_them() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    for n in 0..8 {
        let mut wish = batch("acme", &format!("b-{n}"), 2);
        wish["folder_path"] = json!(["Checkout", " Payment "]);
        stage.publish(&wish).await;
    }
    for n in 0..8 {
        assert_eq!(stage.event_of(&format!("acme/b-{n}")).await["data"]["outcome"], "delivered");
    }
    let there = stage.account("acme").cases();
    let paths: std::collections::BTreeSet<_> = there.iter().map(|case| case.folder.clone()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths.first().unwrap().ends_with("/Checkout/Payment"), "{paths:?}");
    assert_eq!(stage.account("acme").view().projects[0].folders.len(), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_listed_on_a_later_page_is_found_and_not_created_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let mut spec = AccountSpec::with_one_folder(&key_of("acme"));
    let folder = |n: u64| FolderSpec { id: Some(100 + n), name: format!("F-{n}"), folders: vec![] };
    spec.projects[0].folders[0].folders = (0..250).map(folder).collect();
    stage.account("acme").create(spec).expect("an account");
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_path"] = json!(["F-249"]);
    stage.publish(&wish).await;
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").cases()[0].folder_id, 349);
    assert_eq!(stage.account("acme").view().projects[0].folders.len(), 251);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_whose_creation_ends_unclear_is_looked_for_before_it_is_created_again() {
    for fault in [Fault::status(503), Fault::status_after_commit(503), Fault::status_after_commit(500)] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([Rule::always(fault).on(Method::Post, PathKind::Folders).times(1)]);
        stage.start_worker();
        let mut wish = batch("acme", "b-1", 2);
        wish["folder_path"] = json!(["Checkout"]);
        stage.publish(&wish).await;
        assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
        assert_eq!(stage.account("acme").view().projects[0].folders.len(), 2);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_not_created_by_a_list_that_came_too_late_for_the_claim() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let late = Fault::Slow { ms: 700, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([Rule::always(late).on(Method::Get, PathKind::Folders).times(2)]);
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_path"] = json!(["Checkout"]);
    stage.publish(&wish).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    let requests = stage.account("acme").requests();
    let created = requests.iter().position(|r| r.method == Method::Post && r.path.ends_with("/folders")).unwrap();
    let last_list = &requests[created - 1];
    assert!(last_list.fault.is_none() && last_list.path.contains("/folders"), "{last_list:?}");
    assert_eq!(stage.account("acme").view().projects[0].folders.len(), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_under_the_tenants_own_is_refused_until_it_is_mended() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_id"] = json!(999);
    stage.publish(&wish).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::FolderMissing));
    assert!(stage.account("acme").cases().is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_has_vanished_is_resolved_anew() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::throttled(Some(RetryAfter::Seconds(1)))).times(1)]);
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_path"] = json!(["Checkout"]);
    stage.publish(&wish).await;
    let origin = stage.testmo.origin("acme");
    until(async || stage.store.pace(&origin).await.unwrap().gate_until > 0).await;
    let folder = stage.account("acme").view().projects[0].folders.iter().map(|folder| folder.id).max().unwrap();
    stage.account("acme").delete_folder(folder);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    let there = stage.account("acme").cases();
    assert!(there[0].folder.ends_with("/Checkout") && there[0].folder_id != folder);
    stage.end().await;
}
