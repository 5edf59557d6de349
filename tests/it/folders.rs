//! Checks that every batch goes to its requested folder, and that the folder is created once.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::AccountStore;
use testmo_courier::store::shelf::ShelfState;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, RetryAfter, Rule};
use testmo_sim::model::{FolderList, FolderNames};

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
#[cfg(debug_assertions)]
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Returns a batch for a folder below the tenant's folder.
fn batch_in(id: &str, path: &[&str]) -> serde_json::Value {
    let mut wish = batch("acme", id, 2);
    wish["folder_path"] = json!(path);
    wish
}

/// Returns the paths of all folders, in order of ids.
fn paths(stage: &Stage) -> Vec<String> {
    let mut folders = stage.account("acme").view().projects.remove(0).folders;
    folders.sort_by_key(|folder| folder.id);
    folders.into_iter().map(|folder| folder.path).collect()
}

/// Returns how many requests with a method the account received for its folders.
fn folder_requests(stage: &Stage, method: Method) -> usize {
    let requests = stage.account("acme").requests();
    requests.iter().filter(|r| r.method == method && r.path.contains("/folders")).count()
}

/// Short pauses, so that a test waits only briefly for a second try.
const SOON: [(&str, &str); 2] =
    [("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "300ms")];

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
    stage.connect_with_folders("acme", 250).await;
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
async fn a_folder_whose_creation_has_an_unknown_outcome_is_searched_before_it_is_created_again() {
    for fault in [Fault::status(503), Fault::status_after_commit(503), Fault::status_after_commit(500)] {
        let mut stage = Stage::on(Broker::shared(), &["acme"], &SOON).await;
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
async fn a_folder_that_is_not_under_the_tenants_own_is_refused_until_that_is_fixed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_id"] = json!(999);
    stage.publish(&wish).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::FolderMissing));
    assert!(stage.account("acme").cases().is_empty());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_has_vanished_is_resolved_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::throttled(Some(RetryAfter::Seconds(1)))).times(1)]);
    stage.start_worker();
    let mut wish = batch("acme", "b-1", 2);
    wish["folder_path"] = json!(["Checkout"]);
    stage.publish(&wish).await;
    let origin = stage.testmo.origin("acme");
    until(async || stage.store.throttle(&origin).await.unwrap().rate_limited_until > 0).await;
    let folder = stage.account("acme").view().projects[0].folders.iter().map(|folder| folder.id).max().unwrap();
    stage.account("acme").delete_folder(folder);
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    let there = stage.account("acme").cases();
    assert!(there[0].folder.ends_with("/Checkout") && there[0].folder_id != folder);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shows_new_folders_late_or_never_or_folds_their_names_gets_each_folder_once() {
    for (list, names) in [
        (FolderList::Late(2_000), FolderNames::Trimmed),
        (FolderList::Never, FolderNames::Trimmed),
        (FolderList::Whole, FolderNames::Folded),
        (FolderList::Late(500), FolderNames::Folded),
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").change_settings(|settings| {
            (settings.folder_list, settings.folder_names) = (list, names);
        });
        stage.start_worker();
        for n in 0..6 {
            let spelled = ["Pay  Now", "Pay Now", " Pay   Now "][n % 3];
            stage.publish(&batch_in(&format!("b-{n}"), &["Pru\u{308}fung", spelled])).await;
            stage.publish(&batch_in(&format!("c-{n}"), &["Prüfung"])).await;
        }
        for n in 0..6 {
            stage.delivered(&format!("acme/b-{n}")).await;
            stage.delivered(&format!("acme/c-{n}")).await;
        }
        assert_eq!(paths(&stage).len(), 3, "{list:?} {names:?}: {:?}", paths(&stage));
        let folders: std::collections::BTreeSet<u64> =
            stage.account("acme").cases().iter().map(|case| case.folder_id).collect();
        assert_eq!(folders.len(), 2, "{list:?} {names:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_created_is_used_after_a_restart_without_asking_testmo() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.folder_list = FolderList::Never);
    stage.start_worker();
    stage.publish(&batch_in("b-1", &["Checkout", "Payment"])).await;
    stage.delivered("acme/b-1").await;
    stage.stop_worker().await;
    let before = folder_requests(&stage, Method::Get);
    stage.start_worker();
    stage.publish(&batch_in("b-2", &["Checkout", "Payment"])).await;
    stage.delivered("acme/b-2").await;
    assert_eq!(folder_requests(&stage, Method::Get), before);
    assert_eq!(paths(&stage).len(), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_folder_that_testmo_neither_returns_nor_shows_is_created_twice_at_most_and_found_once_a_person_creates_it()
 {
    let cut = Fault::Cut { at: CutAt::AfterCommit };
    for fault in [None, Some(Fault::DropLast), Some(Fault::status_after_commit(503)), Some(cut)] {
        let mut stage = Stage::on(Broker::shared(), &["acme"], &SOON).await;
        stage.account("acme").change_settings(|settings| {
            settings.folder_list = FolderList::Never;
            settings.echoes_folder_parents = fault.is_some();
        });
        let rule = |fault: &Fault| Rule::always(fault.clone()).on(Method::Post, PathKind::Folders);
        stage.account("acme").set_faults(fault.iter().map(rule));
        stage.start_worker();
        stage.publish(&batch_in("b-1", &["Checkout"])).await;
        stage.publish(&batch_in("b-2", &["Checkout "])).await;
        let gave_up = |reason: Reason, parks: u32| reason == Reason::FolderUnconfirmed && parks > 4;
        let shelf = stage
            .shelf_until(|shelf| shelf.len() == 2 && shelf.iter().all(|s| gave_up(s.content.reason, s.content.parks)))
            .await;
        assert_eq!(shelf[0].state, ShelfState::Parked);
        let detail = shelf[0].content.detail.as_deref();
        assert_eq!(detail, Some("folder \"Checkout\" in folder 1"));
        assert_eq!(folder_requests(&stage, Method::Post), 2, "{fault:?}");
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(
            (event["type"].as_str(), &event["data"]["reason"]),
            (Some("com.sqai-suite.testmo.batch.deferred.v1"), &json!("folder_unconfirmed"))
        );
        let folder = stage.account("acme").create_folder(1, 1, "Checkout");
        stage.delivered("acme/b-1").await;
        stage.delivered("acme/b-2").await;
        let cases = stage.account("acme").cases();
        assert!(cases.len() == 4 && cases.iter().all(|case| case.folder_id == folder), "{fault:?}");
        assert_eq!(folder_requests(&stage, Method::Post), 2, "{fault:?}");
        stage.end().await;
    }
}

// Only builds for tests crash on order.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_creating_a_folder_does_not_hide_that_it_was_created() {
    for (list, folders) in [(FolderList::Whole, 2), (FolderList::Never, 3)] {
        let mut stage = Stage::on(Broker::shared(), &["acme"], &SOON).await;
        stage.account("acme").change_settings(|settings| settings.folder_list = list);
        stage.environment.insert("COURIER_CRASH_AT".into(), "after_folder:1".into());
        let mut process = Process::start(&stage).await;
        stage.publish(&batch_in("b-1", &["Checkout"])).await;
        process.exit().await;
        stage.environment.remove("COURIER_CRASH_AT");
        stage.start_worker();
        stage.delivered("acme/b-1").await;
        assert_eq!(paths(&stage).len(), folders, "{list:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_or_a_pause_of_testmo_takes_none_of_the_create_requests_that_a_folder_may_have() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let pause = Fault::throttled(Some(RetryAfter::Seconds(1)));
    stage.account("acme").set_faults([Rule::always(pause).on(Method::Post, PathKind::Folders).times(3)]);
    stage.start_worker();
    stage.publish(&batch_in("b-1", &["Checkout"])).await;
    stage.delivered("acme/b-1").await;
    assert_eq!((folder_requests(&stage, Method::Post), paths(&stage).len()), (4, 2));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_vanishes_where_the_list_shows_none_is_created_again_once() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.folder_list = FolderList::Never);
    stage.start_worker();
    stage.publish(&batch_in("b-1", &["Checkout", "Payment"])).await;
    stage.delivered("acme/b-1").await;
    let gone = stage.account("acme").cases()[0].folder_id;
    let parent = gone - 1;
    stage.account("acme").delete_folder(parent);
    stage.publish(&batch_in("b-2", &["Checkout", "Payment"])).await;
    stage.delivered("acme/b-2").await;
    let cases = stage.account("acme").cases();
    assert!(
        cases.len() == 2 && cases.iter().all(|case| case.folder_id > gone && case.folder.ends_with("Checkout/Payment"))
    );
    assert_eq!(folder_requests(&stage, Method::Post), 4);
    stage.end().await;
}

/// One name in both of Unicode's forms: composed, as most programs write it, and decomposed, as macOS does.
const FORMS: [&str; 2] = ["Pr\u{fc}fung", "Pru\u{308}fung"];

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_found_whichever_form_of_unicode_testmo_shows_and_the_batch_requests() {
    for (shown, requested) in [(FORMS[0], FORMS[1]), (FORMS[1], FORMS[0])] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let id = stage.account("acme").create_folder(1, 1, shown);
        stage.start_worker();
        stage.publish(&batch_in("b-1", &[requested])).await;
        stage.delivered("acme/b-1").await;
        assert!(stage.account("acme").cases().iter().all(|case| case.folder_id == id), "{requested:?}");
        assert_eq!(folder_requests(&stage, Method::Post), 0, "{requested:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_no_list_shows_is_created_once_for_both_forms_of_unicode() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.folder_list = FolderList::Never);
    stage.start_worker();
    // The claim decides between the first two, and the known id about the others.
    for n in 0..4 {
        stage.publish(&batch_in(&format!("b-{n}"), &[FORMS[n % 2], "A"])).await;
        if n % 2 == 1 {
            stage.delivered(&format!("acme/b-{}", n - 1)).await;
            stage.delivered(&format!("acme/b-{n}")).await;
        }
    }
    assert_eq!(folder_requests(&stage, Method::Post), 2);
    let folders: std::collections::BTreeSet<u64> =
        stage.account("acme").cases().iter().map(|case| case.folder_id).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    stage.end().await;
}
