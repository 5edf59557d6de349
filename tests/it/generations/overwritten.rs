//! Checks that an edit between the reading of a case and the request that changes it is reported with what was lost.

use std::time::Duration;

use serde_json::{Value, json};
use testmo_courier::store::WindowStore;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::model::HistoryForm;

use super::{both, changes, count, generation, rename, row_of};
use crate::support::process::{command, run_reading};
use crate::support::stage::Stage;

const OVERWRITTEN: &str = "com.sqai-suite.testmo.edit.overwritten.v1";

/// Delivers a first generation of two cases to a Testmo that shows histories in a form, and returns a second one that renames
/// both.
async fn second_of(stage: &mut Stage, form: HistoryForm) -> Value {
    stage.account("acme").change_settings(|settings| settings.history = form);
    stage.start_worker();
    stage.publish(&generation(1, 2, "update")).await;
    stage.delivered("acme/g-1").await;
    let mut second = generation(2, 2, "update");
    (1..=2).for_each(|case| rename(&mut second, case, &format!("new {case}")));
    second
}

/// Publishes a second generation, and has a person rename the first case that it changes after that was read and before the
/// request is carried out; returns its event and the id of the case.
async fn edited_in_between(stage: &mut Stage, second: &Value) -> (Value, u64) {
    let acme = stage.account("acme");
    let slow = Fault::Slow { ms: 1_000, commit: CommitTime::AfterDelay };
    acme.set_faults([Rule::always(slow).on(Method::Patch, PathKind::Cases).times(1)]);
    stage.publish(second).await;
    let sent = acme.requests_matching(|request| request.method == Method::Patch, 1).await;
    let id = sent[0].ids[0];
    assert!(!sent[0].is_committed && acme.change_case(id, |row| row.name = "mine".into()));
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated"; 2], "{event}");
    assert_eq!(row_of(&acme, &event, 1).id, id);
    (event, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_between_the_read_and_the_request_is_reported_with_both_contents() {
    for form in [HistoryForm::Fields, HistoryForm::Requests, HistoryForm::Joined] {
        for mut stage in both().await {
            let second = second_of(&mut stage, form).await;
            let (_, id) = edited_in_between(&mut stage, &second).await;
            let event = stage.event_of("acme/g-2").await;
            assert_eq!(event["type"], OVERWRITTEN, "{form:?}: {event}");
            let [edit] = &event["data"]["edits"].as_array().expect("edits")[..] else { panic!("{event}") };
            let both = json!([edit["certainty"], edit["fields"], edit["lost"], edit["written"], edit["label"]]);
            assert_eq!(both, json!(["overwritten", ["name"], "mine", "new 1", "TC-1"]), "{form:?}: {event}");
            assert!(edit["link"].as_str().is_some_and(|link| link.ends_with(&format!("case_id={id}"))), "{event}");
            stage.stop_worker().await;
            let mut show = command(&stage);
            show.args(["batches", "show", "acme/g-2"]);
            let (code, said) = run_reading(show, "");
            assert_eq!(code, Some(0), "{said}");
            for part in ["overwritten", "lost: mine", "written: new 1"] {
                assert!(said.contains(part), "{part:?} is not in\n{said}");
            }
            assert_eq!(stage.store.take_windows(Duration::ZERO, 9).await.expect("a store"), []);
            stage.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_a_form_that_is_not_known_is_reported_as_it_is() {
    let [mut stage, other] = both().await;
    other.end().await;
    let second = second_of(&mut stage, HistoryForm::Prose).await;
    let (_, id) = edited_in_between(&mut stage, &second).await;
    let event = stage.event_of("acme/g-2").await;
    let [edit] = &event["data"]["edits"].as_array().expect("edits")[..] else { panic!("{event}") };
    assert_eq!(edit["testmo_id"], id);
    assert_eq!((&edit["certainty"], edit.get("lost")), (&json!("possibly_overwritten"), None), "{event}");
    assert!(edit["history_entry"].as_str().is_some_and(|entry| entry.contains("edited name")), "{event}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_reported_although_the_answer_to_the_request_was_lost() {
    for mut stage in both().await {
        let second = second_of(&mut stage, HistoryForm::Fields).await;
        let acme = stage.account("acme");
        // The worker waits for an answer for 2 s.
        let slow = Fault::Slow { ms: 2_500, commit: CommitTime::AfterDelay };
        acme.set_faults([Rule::always(slow).on(Method::Patch, PathKind::Cases).times(1)]);
        stage.publish(&second).await;
        let sent = acme.requests_matching(|request| request.method == Method::Patch, 1).await;
        acme.change_case(sent[0].ids[0], |row| row.name = "mine".into());
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated"; 2], "{event}");
        assert_eq!(count(&acme, Method::Patch), 2, "the one whose answer was lost is known by its row");
        let event = stage.event_of("acme/g-2").await;
        assert_eq!(
            (&event["type"], &event["data"]["edits"][0]["lost"]),
            (&json!(OVERWRITTEN), &json!("mine")),
            "{event}"
        );
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_histories_nothing_is_read_again() {
    for form in [HistoryForm::Absent, HistoryForm::Empty] {
        let [mut stage, other] = both().await;
        other.end().await;
        let second = second_of(&mut stage, form).await;
        let (event, _) = edited_in_between(&mut stage, &second).await;
        assert_eq!(changes(&event).len(), 2);
        assert_eq!(stage.store.take_windows(Duration::ZERO, 9).await.expect("a store"), [], "{form:?}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_without_an_edit_in_between_takes_one_more_read_and_reports_nothing() {
    let [mut stage, other] = both().await;
    other.end().await;
    let second = second_of(&mut stage, HistoryForm::Fields).await;
    let acme = stage.account("acme");
    stage.publish(&second).await;
    stage.delivered("acme/g-2").await;
    let is_check = |request: &testmo_sim::world::RequestRecord| request.path.contains("updated_at");
    let checks = acme.requests_matching(is_check, 1).await;
    stage.settled("acme/g-2").await;
    assert_eq!((checks.len(), count(&acme, Method::Patch)), (1, 2));
    stage.end().await;
}
