//! Checks that each page of a list needs a permit, so that nothing is read while an account is paused.

use std::time::Duration;

use serde_json::json;
use testmo_courier::account::Signal;
use testmo_courier::batch::Reason;
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::connections::Verification;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::{AccountStore, ConnectionStore, LedgerStore};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::model::CaseOrder;
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, on_create};
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// A pause that a reading waits for, and one that ends the reading.
const PAUSES: [Duration; 2] = [Duration::from_millis(1_500), Duration::from_secs(10)];

/// Returns a fault that holds the answer to the nth matching request until the faults are changed.
fn held(path: PathKind, nth: u32) -> Rule {
    Rule::always(Fault::Held { commit: CommitTime::BeforeDelay }).on(Method::Get, path).from_nth(nth).times(1)
}

/// Stores a pause, as a worker does whose request was answered with 429; returns when the pause ends.
async fn pause(stage: &Stage, wait: Duration) -> i64 {
    let account = stage.testmo.origin("acme");
    let signal = Signal::Throttled(wait);
    let observation = Some(AccountObservation { account: account.clone(), signal, ceiling: 4 });
    stage.store.commit(Commit { observation, ..Commit::default() }.into()).await.expect("a store");
    stage.store.throttle(&account).await.expect("a store").rate_limited_until
}

/// Returns the numbers of the pages that were requested.
fn pages(read: &[RequestRecord]) -> Vec<&str> {
    read.iter().filter_map(|request| request.path.rsplit('=').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_reads_no_page_while_the_account_is_paused() {
    for (wait, expected) in PAUSES.into_iter().zip([vec!["1", "2", "3"], vec!["1", "2", "1", "2", "3"]]) {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        acme.change_settings(|settings| settings.case_order = CaseOrder::OldestFirst);
        stage.start_worker();
        for n in 0..2 {
            stage.publish(&batch("acme", &format!("b-{n}"), 100)).await;
            stage.delivered(&format!("acme/b-{n}")).await;
        }
        acme.set_faults([on_create(Fault::status_after_commit(500)).times(1), held(PathKind::Cases, 2)]);
        stage.publish(&batch("acme", "b-2", 2)).await;
        let is_list = |request: &RequestRecord| request.path.contains("/cases?");
        acme.requests_matching(is_list, 2).await;
        let ends = pause(&stage, wait).await;
        acme.clear_faults();
        assert_eq!(stage.delivered("acme/b-2").await["data"]["cases"][0]["outcome"], "adopted");
        let read: Vec<_> = acme.requests().into_iter().filter(is_list).collect();
        assert_eq!(pages(&read), expected, "{wait:?}");
        assert!(read[2].received_at.0 >= ends, "{wait:?}");
        assert_eq!(acme.case_names().len(), 202);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_folders_reads_no_page_while_the_account_is_paused() {
    for (wait, expected) in PAUSES.into_iter().zip([vec!["1", "2", "3"], vec!["1", "2", "1", "2", "3"]]) {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.connect_with_folders("acme", 250).await;
        let acme = stage.account("acme");
        let is_list = |request: &RequestRecord| request.path.contains("/folders");
        let before = acme.requests().iter().filter(|request| is_list(request)).count();
        acme.set_faults([held(PathKind::Folders, 2)]);
        stage.start_worker();
        let mut wish = batch("acme", "b-1", 2);
        wish["folder_path"] = json!(["F-249"]);
        stage.publish(&wish).await;
        acme.requests_matching(is_list, before + 2).await;
        let ends = pause(&stage, wait).await;
        acme.clear_faults();
        stage.delivered("acme/b-1").await;
        let read: Vec<_> = acme.requests().into_iter().filter(is_list).skip(before).collect();
        assert_eq!(pages(&read), expected, "{wait:?}");
        assert!(read[2].received_at.0 >= ends, "{wait:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_requests_nothing_more_once_the_account_is_paused() {
    let tenant = "acme".parse().expect("a tenant");
    for wait in PAUSES {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        let before = acme.requests().len();
        stage.fail_long_ago(&["acme"]).await;
        acme.set_faults([held(PathKind::Project, 1)]);
        stage.start_worker();
        let is_project = |request: &RequestRecord| request.seq > before as u64 && request.path.ends_with("/projects/1");
        acme.requests_matching(is_project, 1).await;
        let ends = pause(&stage, wait).await;
        acme.clear_faults();
        let is_throttled = |finding: Option<Verification>| {
            matches!(finding, Some(Verification::Fails { reason: Reason::Throttled, .. }))
        };
        let is_short = wait == PAUSES[0];
        until(async || {
            let row = stage.store.connection(&tenant).await.expect("a store").expect("a connection");
            if is_short { row.is_verified() } else { is_throttled(row.finding) }
        })
        .await;
        let later: Vec<_> = acme.requests().into_iter().skip(before + 2).collect();
        assert_eq!(later.is_empty(), !is_short, "{later:?}");
        assert!(later.iter().all(|request| request.received_at.0 >= ends), "{later:?}");
        stage.end().await;
    }
}
