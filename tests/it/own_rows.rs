//! Checks that the worker recognizes its own cases in Testmo, for all forms of Testmo's times, lists and ids, and never
//! takes a person's case for its own.

use secrecy::SecretString;
use serde_json::json;
use testmo_courier::account::Signal;
use testmo_courier::batch::batch_tag;
use testmo_courier::clock::Clock;
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::ShelfState;
use testmo_courier::store::{AccountStore, ConnectionStore, LedgerStore};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_sim::Time;
use testmo_sim::faults::{CommitTime, Fault, RetryAfter};
use testmo_sim::model::{CaseNames, CaseOrder, DateHeader};

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::patient;

const HOUR_MS: i64 = 3_600_000;

/// Creates cases at the tenant's account as another user does.
async fn create(stage: &Stage, cases: serde_json::Value) -> Vec<u64> {
    let config = &stage.config.testmo;
    let origin = AddressPolicy::new(config).check(&stage.testmo.origin("acme")).expect("a listed origin");
    let client = Client::new(config, Clock::system()).expect("a client");
    let access = Access { origin, key: SecretString::from(key_of("acme")) };
    let sent = cases.as_array().map_or(0, Vec::len);
    let end = client.create_cases(&access, 1, json!({ "cases": cases }).to_string(), vec![false; sent]).await.end;
    end.expect("cases").into_iter().flatten().collect()
}

fn tag_of(subject: &str) -> String {
    batch_tag(&subject.parse().expect("a batch"))
}

async fn replay(stage: &Stage, what: &str) {
    let mut command = command(stage);
    command.args(["replay", what, "--yes"]);
    let output = patient(tokio::task::spawn_blocking(move || command.output())).await;
    let output = output.expect("a thread").expect("the program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_creation_in_another_zone_hide_no_case() {
    for shift in [-5 * HOUR_MS, -12 * 60_000, 13 * HOUR_MS] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        acme.change_settings(|settings| settings.created_at_shift_ms = shift);
        acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 4)).await;
        let event = stage.delivered("acme/b-1").await;
        assert_eq!(event["data"]["cases"][3]["outcome"], "adopted", "{shift} ms: {event}");
        assert_eq!(acme.case_names(), names("b-1", 4), "{shift} ms");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_reported_although_its_time_of_creation_is_in_another_zone() {
    let settings = [
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "300ms"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "300ms"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "300ms"),
        ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "3s"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    acme.change_settings(|settings| settings.created_at_shift_ms = -5 * HOUR_MS);
    let late = Fault::Slow { ms: 2_000, commit: CommitTime::AfterDelay };
    acme.set_faults([on_create(late).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    acme.until(|station| station.account.cases.iter().len() == 4).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.case.duplicated.v1", "{event}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_another_order_is_read_to_its_end() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let acme = stage.account("acme");
    acme.change_settings(|settings| settings.case_order = CaseOrder::OldestFirst);
    for page in 0..3 {
        let older: Vec<_> = (0..100).map(|n| json!({"folder_id": 1, "name": format!("older {page} {n}")})).collect();
        create(&stage, json!(older)).await;
    }
    acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.delivered("acme/b-1").await["data"]["cases"][0]["outcome"], "adopted");
    assert_eq!(acme.case_names().len(), 302);
    assert!(process.metric("testmo_courier_unordered_lists_total").is_some_and(|count| count >= 1.0));
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_date_hides_no_case() {
    let day = 24 * HOUR_MS;
    for date in [
        DateHeader::Shifted(2 * day),
        DateHeader::Shifted(3 * HOUR_MS),
        DateHeader::Shifted(-2 * day),
        DateHeader::Missing,
        DateHeader::Garbled,
    ] {
        let settle = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "2s")];
        let mut stage = Stage::on(Broker::shared(), &["acme"], &settle).await;
        let acme = stage.account("acme");
        acme.change_settings(|settings| settings.date_header = date);
        acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 4)).await;
        acme.until(|station| station.account.cases.iter().len() == 4).await;
        // Other cases push those of the batch to the second page of the list.
        for page in 0..2 {
            let others: Vec<_> = (0..80).map(|n| json!({"folder_id": 1, "name": format!("{page} {n}")})).collect();
            create(&stage, json!(others)).await;
        }
        let event = stage.delivered("acme/b-1").await;
        assert_eq!(event["data"]["cases"][0]["outcome"], "adopted", "{date:?}: {event}");
        assert_eq!(acme.case_names().len(), 164, "{date:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_shows_cases_late_makes_nothing_twice_within_the_settle_time_and_is_reported_after_it() {
    for (settle, twice) in [("3s", false), ("50ms", true)] {
        let settings = [
            ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", settle),
            ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "3s"),
        ];
        let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
        let acme = stage.account("acme");
        acme.change_settings(|settings| settings.case_list_lag_ms = 1_500);
        acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
        assert_eq!(acme.case_names().len(), if twice { 4 } else { 2 });
        if twice {
            let event = stage.event_of("acme/b-1").await;
            assert_eq!(event["type"], "com.sqai-suite.testmo.case.duplicated.v1", "{event}");
        }
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_whose_names_testmo_changed_are_left_to_a_person_and_not_created_again() {
    for change in [CaseNames::Lowered, CaseNames::Folded, CaseNames::Encoded] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        acme.change_settings(|settings| settings.case_names = change);
        stage.start_worker();
        let mut wish = batch("acme", "b-1", 1);
        wish["cases"][0]["name"] = json!("Sign  In & <Out>");
        stage.publish(&wish).await;
        stage.delivered("acme/b-1").await;
        acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
        wish["batch_id"] = json!("b-2");
        stage.publish(&wish).await;
        let event = stage.event_of("acme/b-2").await;
        assert_eq!(event["data"]["cases"][0]["outcome"], "unclear", "{change:?}: {event}");
        assert_eq!(event["data"]["reason"], "unclear_in_testmo", "{change:?}: {event}");
        assert_eq!(acme.case_names().len(), 2, "{change:?}");
        stage.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_retry_after_delays_the_next_request_and_nothing_else() {
    for (form, least) in [
        (RetryAfter::Seconds(0), 950),
        (RetryAfter::DateAgo(3_600), 950),
        (RetryAfter::Fraction(1_500), 1_450),
        (RetryAfter::Twice(1, 2), 1_950),
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let acme = stage.account("acme");
        acme.set_faults([on_create(Fault::throttled(Some(form))).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 2)).await;
        stage.delivered("acme/b-1").await;
        let created: Vec<i64> =
            acme.requests().iter().filter(|r| !r.case_names.is_empty()).map(|r| r.received_at.0).collect();
        assert_eq!(created.len(), 2, "{form:?}");
        assert!(created[1] - created[0] >= least, "{form:?}: {created:?}");
        assert_eq!(acme.case_names(), names("b-1", 2), "{form:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_no_new_case_can_have_leaves_the_outcome_unknown() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let acme = stage.account("acme");
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-0", 2)).await;
    let event = stage.delivered("acme/b-0").await;
    let held = event["data"]["cases"][1]["testmo_id"].as_u64().expect("an id");
    let mut created = 2;
    for ids in [vec![0], vec![(1 << 53) + 1], vec![u64::MAX], vec![held], vec![77_777, 77_777]] {
        acme.set_faults([on_create(Fault::Ids { ids: ids.clone() }).times(1)]);
        let id = format!("b-{created}");
        stage.publish(&batch("acme", &id, 2)).await;
        let event = stage.delivered(&format!("acme/{id}")).await;
        created += 2;
        let there: Vec<u64> = acme.cases().iter().map(|case| case.id).collect();
        assert_eq!(there.len(), created, "{ids:?}: nothing is created twice");
        for case in event["data"]["cases"].as_array().expect("cases") {
            assert!(there.contains(&case["testmo_id"].as_u64().expect("an id")), "{ids:?}: {case}");
        }
        assert_eq!(event["data"]["cases"][0]["outcome"], "adopted", "{ids:?}: {event}");
    }
    assert_eq!(process.metric("testmo_courier_invalid_case_ids_total"), Some(6.0));
    process.stop().await;
    stage.end().await;
}

/// Delivers a batch with one refused case. Afterwards Testmo accepts the refused case, and a person has copied one of
/// the batch's cases, with its tag, under the refused case's name.
async fn with_a_copy(stage: &mut Stage) {
    let acme = stage.account("acme");
    acme.change_settings(|settings| settings.name_max_chars = 20);
    stage.start_worker();
    let mut long = batch("acme", "b-1", 3);
    long["cases"][1]["name"] = json!("A name of more than twenty characters");
    stage.publish(&long).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "partial");
    acme.change_settings(|settings| settings.name_max_chars = 100);
    let copy = json!([{"folder_id": 1, "name": "A name of more than twenty characters", "tags": [tag_of("acme/b-1")]}]);
    create(stage, copy).await;
    // After this batch, the worker knows that newer cases exist.
    stage.publish(&batch("acme", "b-2", 1)).await;
    stage.delivered("acme/b-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_a_person_copied_before_a_replay_proves_nothing() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_a_copy(&mut stage).await;
    let acme = stage.account("acme");
    let folder = acme.with(|station| station.account.folders.iter().map(|folder| folder.id).max()).expect("a folder");
    // All that was an hour ago, and the delivered cases were renamed and moved meanwhile.
    for case in acme.cases() {
        assert!(acme.change_case(case.id, |case| case.created_at = Time(case.created_at.0 - HOUR_MS)));
    }
    let own: Vec<u64> = acme.cases().iter().filter(|case| case.name.starts_with("b-1")).map(|case| case.id).collect();
    assert!(acme.change_case(own[0], |case| case.name = "A name of more than twenty characters".into()));
    assert!(acme.change_case(own[1], |case| case.folder_id = folder));
    acme.set_faults([on_create(Fault::status(504)).times(1)]);
    replay(&stage, "acme/b-1").await;
    let event = stage.delivered("acme/b-1").await;
    assert_eq!(event["data"]["cases"][1]["outcome"], "created", "{event}");
    assert_eq!(acme.cases().len(), 5, "two and the one that was missing, its copy, and the other batch's");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_copy_and_the_replayed_case_the_worker_takes_its_own() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_a_copy(&mut stage).await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
    replay(&stage, "acme/b-1").await;
    let event = stage.delivered("acme/b-1").await;
    let newest = acme.cases().iter().map(|case| case.id).max();
    assert_eq!(event["data"]["cases"][1]["testmo_id"].as_u64(), newest, "{event}");
    assert_eq!(acme.cases().len(), 5);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floor_survives_the_worker_that_stored_it() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_a_copy(&mut stage).await;
    stage.stop_worker().await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay }).times(1)]);
    let process = Process::start(&stage).await;
    replay(&stage, "acme/b-1").await;
    acme.until(|station| station.account.cases.iter().len() == 5).await;
    process.kill();
    let process = Process::start(&stage).await;
    let event = stage.delivered("acme/b-1").await;
    let newest = acme.cases().iter().map(|case| case.id).max();
    assert_eq!(event["data"]["cases"][1]["testmo_id"].as_u64(), newest, "{event}");
    assert_eq!(acme.cases().len(), 5);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_was_renamed_after_the_request_still_proves_it() {
    let settings = [("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "3s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::status_after_commit(504)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    acme.until(|station| station.account.cases.iter().len() == 2).await;
    let ids: Vec<u64> = acme.cases().iter().map(|case| case.id).collect();
    assert!(acme.change_case(ids[0], |case| case.name = "Renamed".into()));
    let event = stage.event_of("acme/b-1").await;
    let outcomes: Vec<_> =
        event["data"]["cases"].as_array().expect("cases").iter().map(|case| &case["outcome"]).collect();
    assert_eq!(outcomes, ["unclear", "adopted"], "{event}");
    assert_eq!(acme.cases().len(), 2, "nothing is sent again");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_ids_do_not_ascend_a_person_is_asked_and_nothing_is_sent_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let account = stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap().origin;
    let observation = Some(AccountObservation { account, signal: Signal::IdsDisordered, ceiling: 4 });
    stage.store.commit(Commit { observation, ..Commit::default() }.into()).await.unwrap();
    stage.start_worker();
    is_asked(&mut stage).await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_too_high_is_no_floor_for_cases_that_cannot_be_copies() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::Ids { ids: vec![1 << 53] }).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-0", 1)).await;
    stage.delivered("acme/b-0").await;
    is_asked(&mut stage).await;
    let account = stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap().origin;
    assert!(stage.store.throttle(&account).await.unwrap().ids_disordered, "what was learnt is kept");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_testmo_gives_ids_a_second_time_a_person_is_asked_and_nothing_is_sent_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let acme = stage.account("acme");
    stage.start_worker();
    stage.publish(&batch("acme", "b-0", 2)).await;
    stage.delivered("acme/b-0").await;
    acme.forget_cases();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "unclear_in_testmo", "{event}");
    stage.stop_worker().await;
    assert_eq!(acme.case_names(), names("b-1", 2));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Makes a request end with an unknown outcome after its cases were created, and checks that the shelf names the cases
/// to a person.
async fn is_asked(stage: &mut Stage) {
    let acme = stage.account("acme");
    let before = acme.cases().len();
    acme.set_faults([on_create(Fault::status_after_commit(500)).times(1)]);
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["reason"], "unclear_in_testmo", "{event}");
    assert_eq!(acme.cases().len(), before + 2);
    let dead = stage.shelf_until(|shelf| shelf.iter().any(|row| row.state == ShelfState::Dead)).await;
    let detail = dead[0].content.detail.clone().expect("a detail");
    for case in acme.cases().iter().filter(|case| case.name.starts_with("b-1")) {
        assert!(detail.contains(&case.id.to_string()), "{} is not named in {detail}", case.id);
    }
}
