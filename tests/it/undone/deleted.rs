//! Checks that cases which an undo has deleted are created again, once each, where the undo is taken back.

use serde_json::{Value, json};
use testmo_sim::faults::{CutAt, Fault, PathKind, Rule};
use testmo_sim::{AccountHandle, Method};

use super::{both, changes, done, remembered};

fn posts(acme: &AccountHandle) -> usize {
    acme.requests().iter().filter(|request| request.method == Method::Post).count()
}

fn ids(event: &Value) -> Vec<u64> {
    let cases = event["data"]["cases"].as_array().expect("cases").iter();
    cases.map(|case| case["testmo_id"].as_u64().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_were_deleted_are_created_again_with_new_ids() {
    for mut stage in both().await {
        stage.start_worker();
        let first = remembered("b-1", 3);
        stage.publish(&first).await;
        let delivered = stage.delivered("acme/b-1").await;
        let acme = stage.account("acme");
        done(&stage, "undo", "acme/b-1", &["--delete"]);
        stage.event_of("acme/b-1").await;
        assert_eq!(acme.cases().len(), 0);
        let restored = done(&stage, "restore", "acme/b-1", &[]);
        assert_eq!(changes(&restored), ["restored"; 3], "{restored}");
        assert_eq!(acme.case_names(), ["b-1 case 1", "b-1 case 2", "b-1 case 3"]);
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(event["data"]["outcome"], "delivered");
        assert!(ids(&event).iter().all(|id| !ids(&delivered).contains(id)));
        assert_eq!(restored["cases"][0]["new_testmo_id"], event["data"]["cases"][0]["testmo_id"]);

        let mut second = first.clone();
        (second["batch_id"], second["on_repeat"]) = (json!("b-2"), json!("update"));
        second["generated_at"] = json!("2026-12-01T09:30:00Z");
        stage.publish(&second).await;
        let again = stage.delivered("acme/b-2").await;
        let words: Vec<&Value> =
            again["data"]["cases"].as_array().expect("cases").iter().map(|case| &case["change"]).collect();
        assert_eq!((words, ids(&again)), (vec![&json!("unchanged"); 3], ids(&event)), "they are known again");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_request_whose_answer_is_lost_creates_nothing_twice() {
    for mut stage in both().await {
        stage.start_worker();
        for (batch, at, requests) in [("b-1", CutAt::AfterCommit, 1), ("b-2", CutAt::BeforeCommit, 2)] {
            let key = format!("acme/{batch}");
            stage.publish(&remembered(batch, 3)).await;
            stage.delivered(&key).await;
            done(&stage, "undo", &key, &["--delete"]);
            stage.event_of(&key).await;
            let acme = stage.account("acme");
            let before = (posts(&acme), acme.cases().len());
            acme.set_faults([Rule::always(Fault::Cut { at }).on(Method::Post, PathKind::Cases).times(1)]);
            let restored = done(&stage, "restore", &key, &[]);
            assert_eq!(changes(&restored), ["restored"; 3], "{at:?}: {restored}");
            assert_eq!((posts(&acme), acme.cases().len()), (before.0 + requests, before.1 + 3), "{at:?}");
            stage.event_of(&key).await;
        }
        stage.end().await;
    }
}
