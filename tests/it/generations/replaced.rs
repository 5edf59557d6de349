//! Checks batches that name the batch that they replace.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_sim::Method;

use super::{both, changes, count, generation, rename, row_of};
use crate::support::process::command;
use crate::support::stage::Stage;

/// Returns the `n`th generation with another key of its source, or none, that replaces an earlier one.
fn replacing(n: usize, cases: usize, key: Option<&str>, replaces: Option<&str>) -> Value {
    let mut batch = generation(n, cases, "update");
    let parts = batch.as_object_mut().expect("an object");
    parts.remove("on_repeat");
    match key {
        Some(key) => drop(parts.insert("source".into(), json!({"key": key}))),
        None => drop(parts.remove("source")),
    }
    if let Some(replaces) = replaces {
        parts.insert("replaces".into(), json!(replaces));
    }
    batch
}

/// Leaves out the note of where a case comes from, which changes with the source.
async fn without_note(stage: &Stage) {
    let mapping = serde_json::from_value(json!({"origin_note": false})).expect("a mapping");
    stage.connect_with("acme", &stage.testmo.origin("acme"), mapping).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_batch_of_a_chain_writes_into_the_cases_of_the_one_that_it_replaces() {
    let keys = [Some("SHOP-1"), Some("SHOP-2"), None, None, Some("SHOP-3")];
    for mut stage in both().await {
        without_note(&stage).await;
        stage.start_worker();
        stage.publish(&replacing(1, 3, keys[0], None)).await;
        let first = stage.delivered("acme/g-1").await;
        let ids: Vec<u64> = [1, 2, 3].map(|case| row_of(&stage.account("acme"), &first, case).id).into();
        for n in 2..=5 {
            let mut batch = replacing(n, 3, keys[n - 1], Some(&format!("g-{}", n - 1)));
            rename(&mut batch, 1, &format!("new {n}"));
            stage.publish(&batch).await;
            let event = stage.delivered(&format!("acme/g-{n}")).await;
            assert_eq!(changes(&event), ["updated", "unchanged", "unchanged"], "{event}");
            assert_eq!([1, 2, 3].map(|case| row_of(&stage.account("acme"), &event, case).id), ids[..]);
        }
        let acme = stage.account("acme");
        assert_eq!((acme.cases().len(), count(&acme, Method::Patch)), (3, 4));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_took_over_cases_has_them_from_then_on() {
    for mut stage in both().await {
        without_note(&stage).await;
        stage.start_worker();
        stage.publish(&replacing(1, 2, Some("SHOP-1"), None)).await;
        stage.delivered("acme/g-1").await;
        stage.publish(&replacing(2, 3, Some("SHOP-2"), Some("g-1"))).await;
        assert_eq!(changes(&stage.delivered("acme/g-2").await), ["unchanged", "unchanged", "created"]);
        let mut third = generation(3, 3, "update");
        third["source"] = json!({"key": "SHOP-2"});
        rename(&mut third, 2, "new 2");
        stage.publish(&third).await;
        assert_eq!(changes(&stage.delivered("acme/g-3").await), ["unchanged", "updated", "unchanged"]);
        // The first batch can be named as well, and an older generation of its source comes too late.
        stage.publish(&replacing(4, 3, None, Some("g-1"))).await;
        let event = stage.delivered("acme/g-4").await;
        assert_eq!(event["data"]["cases"][2]["change"], "unchanged", "{event}");
        let mut late = generation(2, 2, "update");
        (late["batch_id"], late["generated_at"]) = (json!("late"), json!("2026-11-01T12:00:00Z"));
        stage.publish(&late).await;
        assert_eq!(changes(&stage.delivered("acme/late").await), ["superseded"; 2]);
        assert_eq!(stage.account("acme").cases().len(), 3);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_batch_that_replaces_an_unknown_one_waits_for_a_person() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&replacing(1, 2, None, None)).await;
        stage.delivered("acme/g-1").await;
        let mut second = replacing(2, 2, None, Some("g-0"));
        rename(&mut second, 1, "new 1");
        stage.publish(&second).await;
        let failed = stage.event_of("acme/g-2").await;
        assert_eq!(failed["data"]["reason"], "replaced_unknown", "{failed}");
        let shelf = stage.shelf_until(|rows| !rows.is_empty()).await;
        assert_eq!(shelf[0].content.reason, Reason::ReplacedUnknown);
        assert_eq!(shelf[0].content.detail.as_deref(), Some("batch g-0 of this tenant is not known"));
        assert_eq!(stage.account("acme").cases().len(), 2, "nothing is created");
        let correct = ["shelf", "edit", "acme/g-2", "--set", "replaces=g-1", "--replay", "--yes"];
        let end = command(&stage).args(correct).output().expect("an end");
        assert!(end.status.success(), "{end:?}");
        assert_eq!(changes(&stage.delivered("acme/g-2").await), ["updated", "unchanged"]);
        stage.end().await;
    }
}
