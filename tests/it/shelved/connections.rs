//! Sends batches whose connection does not work, and fixes the connection.

use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::{ShelfState, ShelvedUntil};
use testmo_sim::Method;
use testmo_sim::faults::Fault;
use testmo_sim::model::Role;
use testmo_sim::world::AccountSpec;

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_unknown_tenant_waits_until_the_tenant_is_known() {
    let mut stage = Stage::with_tenants(&["acme", "late"]).await;
    let late = "late".parse().unwrap();
    let version = stage.store.connection(&late).await.unwrap().unwrap().version;
    assert_eq!(stage.store.remove_tenant(&late, &version, &[]).await.unwrap(), RemovalOutcome::Done);
    stage.start_worker();
    stage.publish(&batch("late", "b-1", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::UnknownTenant));
    assert_eq!(stage.event_of("late/b-1").await["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert!(stage.connect("late", "late", &key_of("late")).await);
    assert_eq!(stage.event_of("late/b-1").await["data"]["outcome"], "delivered");
    assert_eq!(stage.account("late").case_names(), names("b-1", 2));
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_stops_its_tenant_alone_and_a_new_one_brings_the_work_back() {
    let mut stage = Stage::with_tenants(&["acme", "other"]).await;
    stage.account("acme").revoke(1);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.publish(&batch("other", "b-2", 2)).await;
    assert_eq!(stage.event_of("other/b-2").await["data"]["outcome"], "delivered");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::KeyRefused));
    let calls = stage.account("acme").requests().len();
    stage.publish(&batch("acme", "b-3", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    assert_eq!(stage.account("acme").requests().len(), calls, "no call with a key that is known to be refused");
    stage.account("acme").give_key(1, "testmo_api_new");
    for batch in ["acme/b-1", "acme/b-3"] {
        let event = stage.event_of(batch).await;
        assert_eq!(event["type"], "com.sqai-suite.testmo.batch.deferred.v1");
        assert_eq!(event["data"]["reason"], "key_refused");
    }
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert!(failed["data"]["remedy"].as_str().unwrap().contains("user profile page"));
    assert!(stage.connect("acme", "acme", "testmo_api_new").await);
    let restored = stage.event_of("acme").await;
    assert_eq!(restored["type"], "com.sqai-suite.testmo.connection.restored.v1");
    assert_eq!(restored["data"]["batches"], 2);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    assert_eq!(stage.event_of("acme/b-3").await["data"]["outcome"], "delivered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_field_that_the_mapping_lacks_waits_for_the_connection() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.required_fields = vec!["custom_priority".into()]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(shelf[0].content.detail.as_deref().unwrap().contains("custom_priority"));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_write_permission_waits_until_it_is_fixed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_role(1, Role::Read);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::Forbidden));
    assert_eq!(stage.event_of("acme/b-1").await["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    stage.account("acme").set_role(1, Role::Write);
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_or_a_folder_that_is_gone_waits_for_the_connection() {
    for of_project in [true, false] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        assert!(if of_project { acme.delete_project(1) } else { acme.delete_folder(1) });
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::TargetMissing));
        assert_eq!((shelf[0].content.until, shelf[0].content.failing_since), (ShelvedUntil::Connection, None));
        let failed = stage.event_of("acme").await;
        assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
        assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "target_missing");
        // A person creates the project and the folder again.
        acme.create(AccountSpec::with_one_folder(&key_of("acme"))).expect("an account");
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        stage.delivered("acme/b-1").await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_verifies_is_not_reported_as_restored_before_a_case_has_arrived() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_role(1, Role::Read);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert!(failed["data"]["remedy"].as_str().unwrap().contains("Edit repository"), "{failed}");
    let creates = |stage: &Stage| stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    for role in [Role::Read, Role::Write] {
        stage.shelf_until(|shelf| shelf.len() == 1 && !shelf[0].leased).await;
        let before = creates(&stage);
        stage.account("acme").set_role(1, role);
        // The user may read, so verification finds nothing wrong in either case.
        let verified = command(&stage).args(["tenants", "verify", "acme"]).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{verified:?}");
        let told = String::from_utf8(verified.stdout).unwrap();
        assert!(told.contains("amber  acme") && told.contains("refused the last request (forbidden"), "{told}");
        assert!(told.contains("→ Give the key's user a role with the right \"Edit repository\""), "{told}");
        until(async || creates(&stage) > before).await;
    }
    stage.delivered("acme/b-1").await;
    let restored = stage.event_of("acme").await;
    assert_eq!(restored["type"], "com.sqai-suite.testmo.connection.restored.v1");
    assert_eq!(restored["data"]["batches"], 1);
    let listed = command(&stage).args(["tenants", "list", "--plain"]).output().unwrap();
    assert!(listed.stdout.starts_with(b"green\tacme"), "{listed:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_never_reached_is_blamed_on_the_connection() {
    let lost = format!("http://{}.invalid/lost", "a".repeat(64));
    let settings = [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", lost.as_str())];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    assert!(!stage.connect_to("lost", &lost, &key_of("acme")).await);
    stage.start_worker();
    stage.publish(&batch("lost", "b-1", 2)).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let deferred = stage.event_of("lost/b-1").await;
    assert_eq!(deferred["data"]["reason"], "wrong_host");
    assert!(deferred["data"]["remedy"].as_str().unwrap().contains("typing errors"), "{deferred}");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.until), (ShelfState::Parked, ShelvedUntil::Connection));
    assert!(stage.connect("lost", "acme", &key_of("acme")).await);
    stage.delivered("lost/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_not_from_testmo_stops_the_tenant() {
    for fault in [
        Fault::Redirect { location: "/login".into() },
        Fault::Html { after_commit: false },
        Fault::Html { after_commit: true },
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(fault)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::NotTestmo));
        let failed = stage.event_of("acme").await;
        assert!(failed["data"]["remedy"].as_str().unwrap().contains("Check the base URL"), "{failed}");
        // Cases behind the page are found before anything is sent again.
        stage.account("acme").clear_faults();
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        stage.delivered("acme/b-1").await;
        assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_work_stops_no_batch_and_is_put_in_force_once_it_works() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.connect_with_folders("acme", 1).await;
    stage.change_long_ago("acme", 999).await;
    stage.start_worker();
    let row = async |stage: &Stage| stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap();
    until(async || row(&stage).await.successor.is_some_and(|next| next.checks == 2)).await;
    assert!(row(&stage).await.is_verified());
    stage.publish(&batch("acme", "b-1", 2)).await;
    let link_of = |event: &serde_json::Value| event["data"]["cases"][0]["link"].as_str().unwrap().to_owned();
    assert!(link_of(&stage.delivered("acme/b-1").await).contains("group_id=1&"));
    stage.stop_worker().await;
    stage.change_long_ago("acme", 100).await;
    stage.start_worker();
    until(async || row(&stage).await.folder == 100).await;
    assert!(row(&stage).await.is_verified() && row(&stage).await.successor.is_none());
    stage.publish(&batch("acme", "b-2", 2)).await;
    assert!(link_of(&stage.delivered("acme/b-2").await).contains("group_id=100&"));
    stage.end().await;
}
