//! Checks the choices other than updating, and generations that come out of order.

use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::Shelved;
use testmo_sim::Method;
use testmo_sim::faults::{CutAt, Fault};

use super::{both, both_with, changes, count, generation, rename, row_of};
use crate::support::batches::on_create;
use crate::support::process::command;

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_exist_are_skipped_or_created_again_as_the_batch_says() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, 2, "update")).await;
        let first = stage.delivered("acme/g-1").await;
        let mut second = generation(2, 3, "skip");
        rename(&mut second, 1, "new 1");
        stage.publish(&second).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["skipped", "skipped", "created"]);
        assert_eq!(event["data"]["cases"][0]["testmo_id"], first["data"]["cases"][0]["testmo_id"]);
        let acme = stage.account("acme");
        assert_eq!((acme.cases().len(), count(&acme, Method::Patch)), (3, 0));
        stage.publish(&generation(3, 2, "create")).await;
        assert_eq!(changes(&stage.delivered("acme/g-3").await), ["created"; 2]);
        assert_eq!(acme.cases().len(), 5);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_person_decides_where_the_batch_says_so() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, 2, "wait")).await;
        let first = stage.delivered("acme/g-1").await;
        let mut second = generation(2, 3, "wait");
        rename(&mut second, 1, "new 1");
        stage.publish(&second).await;
        let failed = stage.event_of("acme/g-2").await;
        assert_eq!(failed["data"]["reason"], "exists_already", "{failed}");
        let shelf = stage.shelf_until(|rows| !rows.is_empty()).await;
        assert_eq!(shelf[0].content.reason, Reason::ExistsAlready);
        let id = row_of(&stage.account("acme"), &first, 1).id;
        let detail = format!("2 cases exist already, such as TC-1, as case {id} in Testmo");
        assert_eq!(shelf[0].content.detail.as_deref(), Some(detail.as_str()));
        let choose = ["shelf", "edit", "acme/g-2", "--set", "on_repeat=update", "--replay", "--yes"];
        let end = command(&stage).args(choose).output().expect("an end");
        assert!(end.status.success(), "{end:?}");
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated", "unchanged", "created"]);
        assert_eq!(row_of(&stage.account("acme"), &event, 1).name, "new 1");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_that_comes_late_changes_nothing() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, 2, "update")).await;
        stage.delivered("acme/g-1").await;
        let mut third = generation(3, 2, "update");
        rename(&mut third, 1, "new 3");
        stage.publish(&third).await;
        stage.delivered("acme/g-3").await;
        let mut second = generation(2, 3, "update");
        rename(&mut second, 1, "new 2");
        stage.publish(&second).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["superseded"; 3], "the third case is not in the later generation");
        let acme = stage.account("acme");
        assert_eq!((acme.case_names(), acme.cases().len()), (vec!["new 3".into(), "g-1 case 2".into()], 2));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_that_come_at_once_never_write_a_case_twice() {
    for mut stage in both().await {
        if stage.config.store.is_shared() {
            stage.start_worker();
        }
        stage.start_worker();
        let generations: Vec<_> = (1..=8)
            .map(|n| {
                let mut batch = generation(n, 5, "update");
                (1..=5).for_each(|case| rename(&mut batch, case, &format!("generation {n}")));
                batch
            })
            .collect();
        futures_util::future::join_all(generations.iter().map(|batch| stage.publish(batch))).await;
        for n in 1..8 {
            stage.delivered(&format!("acme/g-{n}")).await;
        }
        let last = stage.delivered("acme/g-8").await;
        let acme = stage.account("acme");
        assert_eq!(acme.case_names(), ["generation 8"; 5]);
        assert_eq!(row_of(&acme, &last, 1).name, "generation 8");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_generation_waits_until_an_earlier_one_is_finished() {
    for mut stage in both_with(&[("COURIER_RETRY__SHELF_BACKOFF_MIN", "500ms")]).await {
        stage.start_worker();
        let acme = stage.account("acme");
        acme.set_faults([on_create(Fault::Cut { at: CutAt::BeforeCommit }).with_body("first")]);
        let mut first = generation(1, 1, "update");
        rename(&mut first, 1, "first");
        stage.publish(&first).await;
        acme.requests_matching(|request| request.method == Method::Post, 1).await;
        let mut second = generation(2, 1, "update");
        rename(&mut second, 1, "second");
        stage.publish(&second).await;
        let waits = |row: &Shelved| row.content.reason == Reason::EarlierGeneration;
        let shelf = stage.shelf_until(|rows| rows.iter().any(waits)).await;
        let detail = shelf.iter().find(|row| waits(row)).and_then(|row| row.content.detail.as_deref());
        assert_eq!(detail, Some("batch g-1 of the same source is not finished, or waits for a person"));
        acme.clear_faults();
        assert_eq!(changes(&stage.delivered("acme/g-1").await), ["created"]);
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated"]);
        assert_eq!(acme.case_names(), ["second"]);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_waits_until_a_person_has_decided_on_cases_that_may_be_there() {
    let settings = [("COURIER_RETRY__SHELF_BACKOFF_MIN", "500ms"), ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s")];
    for mut stage in both_with(&settings).await {
        stage.start_worker();
        let renamed = stage.publish_whole_and_rename(&generation(1, 3, "update"), "named by a person").await;
        assert_eq!(stage.event_of("acme/g-1").await["data"]["reason"], "unclear_in_testmo");
        let mut second = generation(2, 3, "update");
        rename(&mut second, 1, "new 1");
        rename(&mut second, 2, "new 2");
        stage.publish(&second).await;
        let waits = |row: &Shelved| row.content.reason == Reason::EarlierGeneration;
        stage.shelf_until(|rows| rows.iter().any(waits)).await;
        assert_eq!(stage.account("acme").cases().len(), 3);
        let adopted = format!("TC-2={renamed}");
        let adopt = ["shelf", "candidates", "acme/g-1", "--adopt", &adopted, "--because", "renamed", "--yes"];
        let end = command(&stage).args(adopt).output().expect("an end");
        assert!(end.status.success(), "{end:?}");
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated", "kept", "unchanged"], "{event}");
        assert_eq!(row_of(&stage.account("acme"), &event, 2).name, "named by a person");
        assert_eq!(stage.account("acme").cases().len(), 3);
        stage.end().await;
    }
}
