//! Checks requests that take time, and callers who do not wait.

use std::time::{Duration, Instant};

use testmo_sim::faults::{CommitTime, Fault, Rule};
use testmo_sim::world::RequestRecord;

use crate::client::{CASES, acme, begin, cases, end, get, post};

#[tokio::test]
async fn a_late_commit_happens_although_the_caller_is_gone() {
    let (server, acme) = acme().await;
    acme.set_faults([Rule::always(Fault::Slow { ms: 1_000, commit: CommitTime::AfterDelay }).times(1)]);
    let stream = begin(server.address(), "POST", CASES, &cases(&["late"]).to_string()).await;
    acme.requests_matching(|_| true, 1).await;
    drop(stream);
    assert!(acme.cases().is_empty());
    let ended = acme.requests_matching(|record| record.answered_at.is_some(), 1).await;
    assert!(ended[0].is_abandoned && ended[0].is_committed);
    assert_eq!((ended[0].status, acme.case_names()), (None, vec!["late".to_owned()]));
}

#[tokio::test]
async fn an_early_commit_can_be_seen_before_its_answer() {
    let (server, acme) = acme().await;
    acme.set_faults([Rule::always(Fault::Slow { ms: 60_000, commit: CommitTime::BeforeDelay }).times(1)]);
    let stream = begin(server.address(), "POST", CASES, &cases(&["early"]).to_string()).await;
    let under_way = |record: &RequestRecord| record.is_committed && record.answered_at.is_none();
    acme.requests_matching(under_way, 1).await;
    assert_eq!(get(&server, CASES).await.names(), ["early"]);
    server.stop().await;
    assert!(end(stream).await.is_nothing());
}

#[tokio::test]
async fn a_request_is_held_until_the_faults_change() {
    for (commit, names) in [(CommitTime::BeforeDelay, vec!["held".to_owned()]), (CommitTime::AfterDelay, Vec::new())] {
        let (server, acme) = acme().await;
        acme.set_faults([Rule::always(Fault::Held { commit }).times(1)]);
        let stream = begin(server.address(), "POST", CASES, &cases(&["held"]).to_string()).await;
        let under_way = |record: &RequestRecord| record.is_committed == (commit == CommitTime::BeforeDelay);
        acme.requests_matching(under_way, 1).await;
        assert_eq!(acme.case_names(), names);
        assert!(acme.requests().iter().all(|record| record.answered_at.is_none()));
        acme.clear_faults();
        assert_eq!(end(stream).await.status(), 201);
        assert_eq!(acme.case_names(), ["held"]);
    }
}

#[tokio::test]
async fn a_slow_failure_after_the_commit_keeps_the_cases() {
    let (server, acme) = acme().await;
    let fault = Fault::Status { status: 504, after_commit: true, retry_after: None, html: true, delay_ms: 50 };
    acme.set_faults([Rule::always(fault).times(1)]);
    let begun = Instant::now();
    assert_eq!(post(&server, &["a"]).await.status(), 504);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(acme.case_names(), ["a"]);
}

#[tokio::test]
async fn every_request_takes_the_latency_of_the_account() {
    let (server, acme) = acme().await;
    acme.change_settings(|settings| settings.latency_ms = 40);
    let begun = Instant::now();
    assert_eq!(post(&server, &["a"]).await.status(), 201);
    assert!(begun.elapsed() >= Duration::from_millis(40));
    let record = &acme.requests()[0];
    assert!(record.answered_at.unwrap().0 - record.received_at.0 >= 40);
}

#[tokio::test]
async fn requests_under_way_do_not_wait_for_each_other() {
    let (server, acme) = acme().await;
    acme.set_faults([Rule::always(Fault::Slow { ms: 60_000, commit: CommitTime::AfterDelay }).times(1)]);
    let stuck = begin(server.address(), "POST", CASES, &cases(&["stuck"]).to_string()).await;
    acme.requests_matching(|_| true, 1).await;
    assert_eq!(post(&server, &["quick"]).await.status(), 201);
    server.stop().await;
    assert!(end(stuck).await.is_nothing());
}
