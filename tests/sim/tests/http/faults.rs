//! Checks that every ordered fault happens as ordered.

use testmo_sim::Method::{Get, Post};
use testmo_sim::faults::{CutAt, Fault, PathKind, RateLimit, RetryAfter, RetryAfterForm, Rule};

use crate::client::{CASES, acme, get, post};

fn on_push(fault: Fault) -> Rule {
    Rule::always(fault).on(Post, PathKind::Cases).times(1)
}

#[tokio::test]
async fn a_status_before_the_commit_leaves_nothing_and_ends_after_its_times() {
    let (server, acme) = acme().await;
    acme.set_faults([on_push(Fault::status(503)).times(2)]);
    for (status, held) in [(503, 0), (503, 0), (201, 1)] {
        assert_eq!(get(&server, CASES).await.status(), 200);
        assert_eq!(post(&server, &["a"]).await.status(), status);
        assert_eq!(acme.cases().len(), held);
    }
    let told: Vec<bool> = acme.requests().iter().map(|record| record.fault.is_some()).collect();
    assert_eq!(told, [false, true, false, true, false, false]);
    assert!(acme.view().faults.is_empty());
}

#[tokio::test]
async fn a_status_after_the_commit_hides_cases_that_exist() {
    for status in [500, 502, 503, 504] {
        let (server, acme) = acme().await;
        acme.set_faults([on_push(Fault::status_after_commit(status))]);
        assert_eq!(post(&server, &["a"]).await.status(), status);
        assert_eq!(acme.case_names(), ["a"]);
        let record = &acme.requests()[0];
        assert_eq!((record.status, record.is_committed), (Some(status), true));
    }
}

#[tokio::test]
async fn a_cut_connection_leaves_what_was_ordered() {
    for (at, held) in [(CutAt::BeforeCommit, 0), (CutAt::AfterCommit, 1)] {
        let (server, acme) = acme().await;
        acme.set_faults([on_push(Fault::Cut { at })]);
        assert!(post(&server, &["a"]).await.is_nothing(), "{at:?}");
        let record = &acme.requests()[0];
        assert_eq!((record.status, record.is_cut, record.is_committed), (None, true, held == 1));
        assert_eq!(acme.cases().len(), held, "{at:?}");
    }
}

#[tokio::test]
async fn half_an_answer_promises_more_than_it_brings() {
    let (server, acme) = acme().await;
    acme.set_faults([on_push(Fault::Cut { at: CutAt::HalfBody })]);
    let arrived = post(&server, &["a"]).await;
    let (promised, came) = arrived.lengths();
    assert_eq!((arrived.status(), came), (201, promised / 2));
    assert!(acme.requests()[0].is_cut);
    assert_eq!(acme.case_names(), ["a"]);
}

#[tokio::test]
async fn a_redirect_and_a_login_page_are_not_json() {
    let (server, acme) = acme().await;
    let redirect = Fault::Redirect { location: "https://sso.example/login".into() };
    let pages = [redirect, Fault::Html { after_commit: false }, Fault::Html { after_commit: true }];
    acme.set_faults(pages.map(on_push));
    for (status, held) in [(302, 0), (200, 0), (200, 1)] {
        let arrived = post(&server, &["a"]).await;
        assert_eq!(arrived.status(), status);
        assert_eq!(arrived.header("content-type"), Some("text/html; charset=UTF-8"));
        assert_eq!(arrived.header("location").is_some(), status == 302);
        assert_eq!(acme.cases().len(), held);
    }
}

#[tokio::test]
async fn an_answer_can_lack_its_last_entry_or_be_reversed_or_be_garbage() {
    let (server, acme) = acme().await;
    acme.set_faults([Fault::DropLast, Fault::Reorder, Fault::Garbage].map(on_push));
    assert_eq!(post(&server, &["a", "b", "c"]).await.names(), ["a", "b"]);
    assert_eq!(post(&server, &["a", "b", "c"]).await.names(), ["c", "b", "a"]);
    let garbage = post(&server, &["a", "b", "c"]).await;
    assert_eq!((garbage.status(), garbage.text().as_str()), (201, r#"{"result":[{"id":"#));
    assert_eq!(acme.cases().len(), 9);
}

#[tokio::test]
async fn an_answer_can_have_far_more_entries_than_it_should() {
    let (server, acme) = acme().await;
    acme.set_faults([on_push(Fault::Many { entries: 7 })]);
    assert_eq!(post(&server, &["a", "b"]).await.names(), ["a", "b", "a", "b", "a", "b", "a"]);
    acme.set_faults([on_push(Fault::Many { entries: 7 })]);
    let refused = post(&server, &["a", ""]).await;
    assert_eq!((refused.status(), refused.json()["errors"].as_object().unwrap().len()), (422, 7));
    assert_eq!(acme.cases().len(), 2);
}

#[tokio::test]
async fn a_throttled_answer_tells_the_wait_as_ordered() {
    let (server, acme) = acme().await;
    let forms = [Some(RetryAfter::Seconds(7)), Some(RetryAfter::DateIn(60)), None];
    acme.set_faults(forms.map(|form| Rule::always(Fault::throttled(form)).times(1)));
    let told = [get(&server, CASES).await, get(&server, CASES).await, get(&server, CASES).await];
    assert_eq!(told.each_ref().map(|arrived| arrived.status()), [429; 3]);
    assert_eq!(told[0].header("retry-after"), Some("7"));
    assert!(told[1].header("retry-after").is_some_and(|date| date.ends_with("GMT")));
    assert_eq!(told[2].header("retry-after"), None);
}

#[tokio::test]
async fn an_error_page_can_be_html() {
    let (server, acme) = acme().await;
    let page = Fault::Status { status: 502, after_commit: false, retry_after: None, html: true, delay_ms: 0 };
    acme.set_faults([Rule::always(page)]);
    let arrived = get(&server, CASES).await;
    assert_eq!((arrived.status(), arrived.text().starts_with("<!DOCTYPE html>")), (502, true));
}

#[tokio::test]
async fn a_rule_can_wait_for_the_nth_request_and_for_one_verb() {
    let (server, acme) = acme().await;
    acme.set_faults([Rule::always(Fault::status(500)).on(Get, PathKind::Cases).from_nth(2).times(1)]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        post(&server, &["a"]).await;
        statuses.push(get(&server, CASES).await.status());
    }
    assert_eq!(statuses, [200, 500, 200]);
}

#[tokio::test]
async fn a_token_bucket_lets_a_burst_pass_and_uses_up_no_rule() {
    let (server, acme) = acme().await;
    acme.set_faults([on_push(Fault::status(500)).from_nth(3)]);
    let retry_after = RetryAfterForm::Seconds;
    acme.set_rate_limit(RateLimit { capacity: 2, per_minute: 1, retry_after, lengthen_ms: None });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(post(&server, &["a"]).await.status());
    }
    assert_eq!(statuses, [201, 201, 429, 429]);
    assert!(acme.requests()[3].is_throttled);
    acme.clear_rate_limit();
    assert_eq!(post(&server, &["a"]).await.status(), 500);
}
