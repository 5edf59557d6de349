//! Checks that nothing is created twice or lost when the outcome of a request is unknown.

use testmo_courier::batch::Reason;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault};
use testmo_sim::model::TagsFilter;
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_tried_again_without_creating_anything_twice() {
    for fault in
        [Fault::status(503), Fault::status_after_commit(503), Fault::status(500), Fault::status_after_commit(500)]
    {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(fault).times(2)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(event["data"]["outcome"], "delivered");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_creates_nothing_twice() {
    for commit in [CommitTime::BeforeDelay, CommitTime::AfterDelay] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(Fault::Slow { ms: 2_500, commit }).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(event["data"]["outcome"], "delivered");
        assert_eq!(event["data"]["cases"][0]["outcome"], "adopted");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_creates_nothing_twice() {
    for at in [CutAt::BeforeCommit, CutAt::AfterCommit, CutAt::HalfBody] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(Fault::Cut { at }).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_whole_creates_nothing_twice() {
    for fault in [Fault::Garbage, Fault::DropLast] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(fault).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
        assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_the_answer_creates_nothing_twice() {
    for after_commit in [false, true] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(Fault::Html { after_commit }).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 5)).await;
        assert_eq!(stage.event_of("acme/b-1").await["data"]["reason"], "not_testmo");
        assert_eq!(stage.shelf().await[0].content.reason, Reason::NotTestmo);
        assert!(stage.connect("acme", "acme", &key_of("acme")).await);
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(event["data"]["outcome"], "delivered");
        assert_eq!(event["data"]["cases"][0]["outcome"], if after_commit { "adopted" } else { "created" });
        assert_eq!(stage.account("acme").case_names(), names("b-1", 5));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_another_order_is_taken_by_index_warned_of_and_counted() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::Reorder).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 3)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    stage.publish(&batch("acme", "b-2", 3)).await;
    assert_eq!(stage.event_of("acme/b-2").await["data"]["outcome"], "delivered");
    assert_eq!(stage.account("acme").cases().len(), 6);
    let counted =
        |part: &str| process.metric(&format!("testmo_courier_response_differences_total{{field=\"{part}\"}}"));
    assert_eq!((counted("name"), counted("tags"), counted("steps")), (Some(2.0), Some(0.0), Some(0.0)));
    let output = process.output();
    let warnings: Vec<&str> = output.lines().filter(|line| line.contains("differently than they were sent")).collect();
    assert_eq!(warnings.len(), 1, "{output}");
    assert!(warnings[0].contains("acme/b-1 TC-1"), "{output}");
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciliation_stops_reading_at_cases_that_existed_before() {
    for restarts in [false, true] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let lost = on_create(Fault::status_after_commit(503)).from_nth(5).times(1);
        stage.account("acme").set_faults([lost]);
        stage.start_worker();
        for number in 1..5 {
            stage.publish(&batch("acme", &format!("b-{number}"), 100)).await;
            stage.delivered(&format!("acme/b-{number}")).await;
        }
        if restarts {
            stage.stop_worker().await;
            stage.start_worker();
        }
        // Nothing is created after this batch, so there is no canary for the tag filter.
        stage.publish(&batch("acme", "b-5", 100)).await;
        assert_eq!(stage.event_of("acme/b-5").await["data"]["cases"][99]["outcome"], "adopted");
        assert_eq!(stage.account("acme").case_names().len(), 500);
        let requests = stage.account("acme").requests();
        let lists = requests.iter().filter(|request| request.method == Method::Get && request.path.contains("/cases"));
        assert_eq!(lists.count(), 2, "restarts: {restarts}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciliation_filters_by_tag_only_where_a_canary_case_is_returned() {
    let (by_tags, everything) = (true, false);
    for (filter, expected) in [
        (TagsFilter::Any, vec![by_tags]),
        (TagsFilter::Ignored, vec![by_tags]),
        (TagsFilter::All, vec![by_tags, everything]),
        (TagsFilter::Late(60_000), vec![by_tags, everything]),
    ] {
        let settle = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "5s")];
        let mut stage = Stage::on(Broker::shared(), &["acme"], &settle).await;
        stage.account("acme").change_settings(|settings| settings.tags_filter = filter);
        stage.account("acme").set_faults([on_create(Fault::status_after_commit(503)).times(1)]);
        stage.start_worker();
        stage.publish(&batch("acme", "b-1", 3)).await;
        let is_answered = |request: &RequestRecord| request.status == Some(503);
        stage.account("acme").requests_matching(is_answered, 1).await;
        // This batch is created during the settle time of the first one.
        stage.publish(&batch("acme", "b-2", 2)).await;
        assert_eq!(stage.event_of("acme/b-2").await["data"]["cases"][0]["outcome"], "created");
        assert_eq!(stage.event_of("acme/b-1").await["data"]["cases"][0]["outcome"], "adopted", "{filter:?}");
        assert_eq!(stage.account("acme").case_names(), [names("b-1", 3), names("b-2", 2)].concat());
        let requests = stage.account("acme").requests();
        let lists = requests.iter().filter(|request| request.method == Method::Get && request.path.contains("/cases"));
        let made: Vec<bool> = lists.map(|request| request.path.contains("&tags=sqai-")).collect();
        assert_eq!(made, expected, "{filter:?}");
        stage.end().await;
    }
}
