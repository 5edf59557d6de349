//! Checks the pause during the removal of a tenant, and batches that are shelved after it.

use std::time::Duration;

use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::BatchRecord;
use testmo_courier::store::accounts::Permit;
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit};
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::{ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{HOUR, claim_of, connection, fresh, granted, shelving, target, tenant, works};

cases! {
    ($) removal_cases in removal:
    a_batch_that_is_shelved_after_a_removal_is_kept_and_due_once_the_tenant_is_back,
    while_an_operator_decides_nothing_is_sent_and_nothing_leaves_the_shelf,
    a_pause_for_a_removal_ends_automatically,
}

/// How long a tenant is paused at most while an operator decides.
pub const HOLD: Duration = Duration::from_secs(600);

/// Shelves a batch of the tenant.
pub async fn shelve(f: &dyn Subject, batch: &str, reason: Reason, until: ShelvedUntil) {
    let shelve = Some(Shelving { reason, ..shelving(batch, until) });
    f.store().commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
}

async fn a_batch_that_is_shelved_after_a_removal_is_kept_and_due_once_the_tenant_is_back(f: &dyn Subject) {
    f.connect(&connection("v1", true)).await;
    f.begin_removal(HOLD).await;
    assert_eq!(f.remove_tenant("v1").await, RemovalOutcome::Done);
    shelve(f, "b", Reason::KeyRefused, ShelvedUntil::Connection).await;
    assert!(matches!(f.store().claim(claim_of("p1", &fresh("c"))).await.unwrap(), ClaimOutcome::ConnectionChanged));
    f.set_time(1_000_500).await;
    f.connect(&connection("v1", true).judged(works(), 1_000_500)).await;
    assert_eq!(f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap().len(), 1);
}

async fn while_an_operator_decides_nothing_is_sent_and_nothing_leaves_the_shelf(f: &dyn Subject) {
    f.connect(&connection("v1", true)).await;
    shelve(f, "due", Reason::NoRoom, ShelvedUntil::After(Duration::ZERO)).await;
    f.begin_removal(HOLD).await;
    assert!(matches!(f.store().claim(claim_of("p1", &fresh("b"))).await.unwrap(), ClaimOutcome::Paused));
    assert_eq!(f.store().permit(&target().account, Some(&tenant()), HOUR).await.unwrap(), Permit::Paused);
    assert_eq!(f.store().permit(&target().account, None, HOUR).await.unwrap(), Permit::Granted);
    assert!(f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap().is_empty());
    assert!(f.store().due_tenants(9).await.unwrap().iter().all(|due| !due.is_due));
    // Other tenants are not paused, even at the same account.
    let birch = ConnectionRow { tenant: "birch".parse().unwrap(), ..connection("v1", true) };
    f.connect(&birch).await;
    let record = BatchRecord { key: "birch/b".parse().unwrap(), ..fresh("b") };
    let claim = Claim { tenant: birch.tenant, ..claim_of("p2", &record) };
    assert!(granted(&f.store().claim(claim).await.unwrap()));
    shelve(f, "paused", Reason::Paused, ShelvedUntil::After(24 * HOUR)).await;
    f.end_removal().await;
    assert_eq!(
        f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap().len(),
        2,
        "both are due at once"
    );
    assert!(granted(&f.store().claim(claim_of("p1", &fresh("b"))).await.unwrap()));
}

async fn a_pause_for_a_removal_ends_automatically(f: &dyn Subject) {
    f.connect(&connection("v1", true)).await;
    f.begin_removal(HOLD).await;
    shelve(f, "paused", Reason::Paused, ShelvedUntil::After(24 * HOUR)).await;
    f.set_time(1_000_000 + 599_999).await;
    assert!(matches!(f.store().claim(claim_of("p1", &fresh("b"))).await.unwrap(), ClaimOutcome::Paused));
    assert!(f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap().is_empty());
    f.set_time(1_000_000 + 600_000).await;
    assert_eq!(f.store().lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap().len(), 1);
    assert!(granted(&f.store().claim(claim_of("p1", &fresh("b"))).await.unwrap()));
}
