//! Checks that several workers on one store do not take the same work.

use std::time::Duration;

use testmo_courier::account::Signal;
use testmo_courier::batch::Reason;
use testmo_courier::store::Storage;
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::ledger::{Commit, RecordUpdate};
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};

use crate::Subject;
use crate::values::{TAKEN, claim_of, connection, event, fresh, granted, shelving, tenant};

cases! {
    ($) replicas_cases in replicas:
    of_replicas_that_claim_the_same_batches_in_any_order_each_batch_is_granted_to_one,
    of_replicas_that_commit_to_the_same_record_one_succeeds,
    replicas_share_the_due_batches_and_events_and_each_goes_to_one,
    replicas_lease_one_suspect_between_them,
}

async fn of_replicas_that_claim_the_same_batches_in_any_order_each_batch_is_granted_to_one(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [f.another_worker().await, f.another_worker().await, f.another_worker().await];
    for round in 0..10 {
        let mut claims = Vec::new();
        for (n, store) in replicas.iter().enumerate() {
            for batch in 0..40 {
                // Each replica has its own order.
                let batch = (batch * [1, 39, 7][n]) % 40;
                let claim = claim_of(&format!("p{round}-{batch}-{n}"), &fresh(&format!("b{round}-{batch}")));
                claims.push(async move { (batch, store.claim(claim).await.unwrap()) });
            }
        }
        let answers = futures_util::future::join_all(claims).await;
        for batch in 0..40 {
            let won = answers.iter().filter(|(of, answer)| *of == batch && granted(answer)).count();
            assert_eq!(won, 1, "batch {batch} of round {round}");
            assert!(f.batch(&fresh(&format!("b{round}-{batch}")).key).await.is_some());
        }
    }
}

async fn of_replicas_that_commit_to_the_same_record_one_succeeds(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [f.another_worker().await, f.another_worker().await];
    for n in 0..30 {
        let claim = claim_of(&format!("p{n}"), &fresh(&format!("b{n}")));
        let mut record = claim.batches[0].record.clone();
        f.store().claim(claim).await.unwrap();
        record.created(&[(0, 10), (1, 11)]);
        let change = || Commit {
            batch: Some(RecordUpdate { record: record.clone(), from_epoch: 1 }),
            observation: Some(AccountObservation {
                account: format!("account {}", n % 3),
                signal: Signal::Throttled(Duration::from_secs(1)),
                ceiling: 4,
            }),
            success: Some(tenant()),
            ..Commit::default()
        };
        let both = tokio::join!(replicas[0].commit(change().into()), replicas[1].commit(change().into()));
        let answers = [both.0.unwrap(), both.1.unwrap()];
        assert_eq!(answers.iter().filter(|answer| answer.is_done()).count(), 1);
    }
}

async fn replicas_share_the_due_batches_and_events_and_each_goes_to_one(f: &dyn Subject) {
    let replicas = [f.another_worker().await, f.another_worker().await, f.another_worker().await];
    for n in 0..60 {
        let shelve = shelving(&format!("b{n}"), ShelvedUntil::After(Duration::ZERO));
        let events = vec![event(&format!("e{n}"))];
        f.store().commit(Commit { shelve: Some(shelve), events, ..Commit::default() }.into()).await.unwrap();
    }
    let lease = async |store: &dyn Storage| {
        store.lease_due("w", Duration::from_secs(60), &[(tenant(), 25)], usize::MAX).await.unwrap().len()
    };
    let leased = futures_util::future::join_all(replicas.iter().map(|replica| lease(&**replica))).await;
    let mut all: usize = leased.iter().sum();
    assert!(leased.iter().all(|count| *count <= 25), "{leased:?}");
    all += lease(f.store()).await + lease(f.store()).await;
    assert_eq!(all, 60);
    let unsent = futures_util::future::join_all(replicas.iter().map(|store| store.unsent(40, TAKEN))).await;
    let mut ids: Vec<String> = unsent.into_iter().flat_map(Result::unwrap).map(|event| event.id).collect();
    ids.extend(f.store().unsent(100, TAKEN).await.unwrap().into_iter().map(|event| event.id));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    assert!(f.store().unsent(100, TAKEN).await.unwrap().is_empty(), "each is taken once");
    f.set_time(1_000_000 + 120_000).await;
    assert_eq!(f.store().unsent(100, TAKEN).await.unwrap().len(), 60, "the worker that took them is gone");
}

async fn replicas_lease_one_suspect_between_them(f: &dyn Subject) {
    let replicas = [f.another_worker().await, f.another_worker().await, f.another_worker().await];
    for hash in ["a", "b", "c"] {
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let shelve =
            Shelving { identity, reason: Reason::Suspect, ..shelving("x", ShelvedUntil::After(Duration::ZERO)) };
        f.store().commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let leases = replicas.iter().map(|store| store.lease_suspect("w", Duration::from_secs(9)));
    let leases = futures_util::future::join_all(leases).await;
    assert_eq!(leases.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
}
