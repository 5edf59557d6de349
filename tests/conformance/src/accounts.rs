//! Checks permits, rate-limit pauses and overrides of accounts.

use std::time::Duration;

use testmo_courier::account::Signal;
use testmo_courier::batch::Reason;
use testmo_courier::store::accounts::{AccountObservation, LaneOverride, LaneSelector, Pause, Permit};
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, PushEnded};
use testmo_courier::store::shelf::{ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{HOUR, claim_of, connection, fresh, granted, shelving, target, tenant};

cases! {
    ($) accounts_cases in accounts:
    no_claim_is_granted_during_a_rate_limit_pause,
    no_more_requests_are_under_way_than_the_account_allows,
    an_account_that_keeps_failing_is_probed_by_one_request_at_a_time,
    an_override_of_a_lane_holds_until_it_is_replaced,
}

/// Returns a commit that tells only what a request showed of the account.
fn observed(signal: Signal) -> Commit {
    Commit {
        observation: Some(AccountObservation { account: target().account, signal, ceiling: 4 }),
        ..Commit::default()
    }
}

async fn no_claim_is_granted_during_a_rate_limit_pause(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for seconds in [60, 1] {
        f.store().commit(observed(Signal::Throttled(Duration::from_secs(seconds))).into()).await.unwrap();
    }
    let claim = claim_of("p1", &fresh("b"));
    let pause = Pause { wait: Duration::from_secs(60), broken: false };
    assert!(matches!(f.store().claim(claim.clone()).await.unwrap(), ClaimOutcome::Wait(wait) if wait == pause));
    let permit = async || f.store().permit(&target().account, Some(&tenant()), Duration::from_secs(5)).await.unwrap();
    assert_eq!(permit().await, Permit::Wait(pause));
    f.set_time(1_060_000).await;
    assert!(granted(&f.store().claim(claim).await.unwrap()));
    assert_eq!(permit().await, Permit::Granted);
}

async fn no_more_requests_are_under_way_than_the_account_allows(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let claim = |n: u32| Claim { ceiling: 2, ..claim_of(&format!("p{n}"), &fresh(&format!("b{n}"))) };
    let answers = futures_util::future::join_all((0..5).map(|n| f.store().claim(claim(n)))).await;
    let count = |answers: &[ClaimOutcome]| answers.iter().filter(|answer| granted(answer)).count();
    let answers: Vec<ClaimOutcome> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(count(&answers), 2);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, ClaimOutcome::Full { limit: 2 })).count(), 3);
    let ended = |n: usize| Some(PushEnded { push: format!("p{n}"), answer: "2xx".into(), detail: None, ids: None });
    let first = answers.iter().position(granted).unwrap();
    f.store().commit(Commit { ended: ended(first), ..Commit::default() }.into()).await.unwrap();
    assert!(granted(&f.store().claim(claim(10)).await.unwrap()));
    assert!(!granted(&f.store().claim(claim(11)).await.unwrap()));
    // A request of a worker that is gone counts for as long as its lease.
    f.set_time(1_010_000).await;
    assert!(granted(&f.store().claim(claim(12)).await.unwrap()));
    // After a rate-limit pause, one request goes first.
    f.set_time(1_100_000).await;
    f.store().commit(observed(Signal::Throttled(Duration::ZERO)).into()).await.unwrap();
    assert!(granted(&f.store().claim(claim(20)).await.unwrap()));
    assert!(matches!(f.store().claim(claim(21)).await.unwrap(), ClaimOutcome::Full { limit: 1 }));
}

async fn an_account_that_keeps_failing_is_probed_by_one_request_at_a_time(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    for _ in 0..8 {
        f.store().commit(observed(Signal::Failed).into()).await.unwrap();
    }
    let (account, owner) = (target().account, tenant());
    let claim = || f.store().claim(claim_of("p1", &fresh("b")));
    let permit = || f.store().permit(&account, Some(&owner), Duration::from_secs(60));
    let broken = |seconds| Pause { wait: Duration::from_secs(seconds), broken: true };
    assert!(matches!(claim().await.unwrap(), ClaimOutcome::Wait(pause) if pause == broken(5)));
    assert_eq!(permit().await.unwrap(), Permit::Wait(broken(5)));
    f.set_time(1_005_000).await;
    assert_eq!(permit().await.unwrap(), Permit::Probe);
    // The others look again soon.
    assert!(matches!(claim().await.unwrap(), ClaimOutcome::Wait(pause) if pause == broken(2)));
    assert_eq!(permit().await.unwrap(), Permit::Wait(broken(2)));
    f.store().commit(observed(Signal::ProbeFailed).into()).await.unwrap();
    let pauses = || async { f.store().pauses(&["https://other".into(), account.as_str().into()]).await.unwrap() };
    assert_eq!(pauses().await, [None, Some(Duration::from_secs(10))]);
    f.set_time(1_015_000).await;
    assert_eq!(pauses().await, [None, None]);
    assert!(matches!(claim().await.unwrap(), ClaimOutcome::Probe), "a claim is never the probe itself");
    assert_eq!(permit().await.unwrap(), Permit::Probe);
    f.store().commit(observed(Signal::ProbeAnswered).into()).await.unwrap();
    assert!(granted(&claim().await.unwrap()));
    let other = f.store().claim(claim_of("p2", &fresh("b2"))).await.unwrap();
    assert!(matches!(other, ClaimOutcome::Full { limit: 1 }));
}

async fn an_override_of_a_lane_holds_until_it_is_replaced(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let (of_tenant, of_account) = (LaneSelector::Tenant(tenant()), LaneSelector::Account(target().account));
    let order = |lane: &LaneSelector, paused, most| LaneOverride { lane: lane.clone(), paused, most };
    let claim = |n: u32| f.store().claim(claim_of(&format!("p{n}"), &fresh(&format!("b{n}"))));
    let mut now = 1_000_000;
    for lane in [&of_tenant, &of_account] {
        f.set_lane_override(&order(lane, true, None)).await;
        assert!(matches!(claim(1).await.unwrap(), ClaimOutcome::Paused));
        let permit = f.store().permit(&target().account, Some(&tenant()), Duration::from_secs(5)).await.unwrap();
        assert_eq!(permit, Permit::Paused);
        let shelve = Shelving {
            reason: Reason::Paused,
            account: Some(target().account),
            ..shelving("b", ShelvedUntil::After(HOUR))
        };
        let late = shelve.clone();
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
        let due = async || {
            f.store().lease_due("w", Duration::from_millis(1), &[(tenant(), 9)], usize::MAX).await.unwrap().len()
        };
        assert_eq!(due().await, 0);
        f.set_lane_override(&order(lane, false, None)).await;
        assert_eq!(due().await, 1, "it is due at once");
        f.store().commit(Commit { shelve: Some(late), ..Commit::default() }.into()).await.unwrap();
        assert_eq!(due().await, 0);
        now += 5_000;
        f.set_time(now).await;
        assert_eq!(due().await, 1, "it was shelved by a worker that did not know that the pause was over");
    }
    assert_eq!(f.store().lane_overrides().await.unwrap(), []);
    f.set_lane_override(&order(&of_tenant, false, Some(1))).await;
    assert_eq!(f.store().lane_overrides().await.unwrap(), [order(&of_tenant, false, Some(1))]);
    assert!(granted(&claim(2).await.unwrap()));
    assert!(matches!(claim(3).await.unwrap(), ClaimOutcome::Full { .. }));
}
