//! Several workers on one PostgreSQL database.

use super::*;

#[tokio::test]
async fn of_replicas_that_claim_the_same_batches_in_any_order_each_batch_is_granted_to_one() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
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
        }
    }
    assert_eq!(f.store.latest_batches(None, 1_000).await.unwrap().len(), 400);
}

#[tokio::test]
async fn of_replicas_that_change_the_same_record_one_succeeds() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let replicas = [replica(&f).await, replica(&f).await];
    for n in 0..30 {
        let claim = claim_of(&format!("p{n}"), &fresh(&format!("b{n}")));
        let mut record = claim.batches[0].record.clone();
        f.store.claim(claim).await.unwrap();
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

#[tokio::test]
async fn a_batch_that_was_refused_a_claim_is_not_known() {
    let f = on_server().await;
    f.store.set_connection(&connection("v2", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    assert!(f.store.batch(&fresh("b").key).await.unwrap().is_none());
    assert!(f.store.latest_batches(None, 9).await.unwrap().is_empty());
    f.set_time(1_000_005).await;
    f.connect(&connection("v1", true)).await;
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    assert_eq!(f.store.batch(&fresh("b").key).await.unwrap().unwrap().record.first_seen_at, 1_000_005);
}

#[tokio::test]
async fn replicas_share_what_is_due_and_each_row_goes_to_one() {
    let f = on_server().await;
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
    for n in 0..60 {
        let shelve = shelving(&format!("b{n}"), ShelvedUntil::After(Duration::ZERO));
        let events = vec![event(&format!("e{n}"))];
        f.store.commit(Commit { shelve: Some(shelve), events, ..Commit::default() }.into()).await.unwrap();
    }
    let lease = |store: &Store| {
        let store = store.clone();
        async move { store.lease_due("w", Duration::from_secs(60), &[(tenant(), 25)]).await.unwrap().len() }
    };
    let leased = futures_util::future::join_all(replicas.iter().map(lease)).await;
    let mut all: usize = leased.iter().sum();
    assert!(leased.iter().all(|count| *count <= 25), "{leased:?}");
    all += lease(&f.store).await + lease(&f.store).await;
    assert_eq!(all, 60);
    let unsent = futures_util::future::join_all(replicas.iter().map(|store| store.unsent(40, TAKEN))).await;
    let mut ids: Vec<String> = unsent.into_iter().flat_map(Result::unwrap).map(|event| event.id).collect();
    ids.extend(f.store.unsent(100, TAKEN).await.unwrap().into_iter().map(|event| event.id));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    assert!(f.store.unsent(100, TAKEN).await.unwrap().is_empty(), "each is taken once");
    f.set_time(1_000_000 + 120_000).await;
    assert_eq!(f.store.unsent(100, TAKEN).await.unwrap().len(), 60, "whoever took them is gone");
}

#[tokio::test]
async fn replicas_lease_one_suspect_between_them() {
    let f = on_server().await;
    let replicas = [replica(&f).await, replica(&f).await, replica(&f).await];
    for hash in ["a", "b", "c"] {
        let identity = ShelfIdentity::Raw(hash.into(), None, None);
        let shelve =
            Shelving { identity, reason: Reason::Suspect, ..shelving("x", ShelvedUntil::After(Duration::ZERO)) };
        f.store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let leases = replicas.iter().map(|store| store.lease_suspect("w", Duration::from_secs(9)));
    let leases = futures_util::future::join_all(leases).await;
    assert_eq!(leases.into_iter().filter(|lease| lease.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn a_transaction_that_is_given_up_is_undone_and_holds_nobody_up() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let mut hung = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
    let claims = [claim_of("p1", &fresh("b"))];
    let accounts = [claims[0].account.as_str()].into();
    let mut known = AccountStates::keep(hung.conn().unwrap(), accounts).await.unwrap();
    known.count(hung.conn().unwrap(), 1).await.unwrap();
    let answers = ledger::claim(hung.conn().unwrap(), 1, &claims, &mut known).await.unwrap();
    assert!(granted(&answers[0]));
    let claim = f.store.claim(claim_of("p2", &fresh("b")));
    let mut claim = std::pin::pin!(claim);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut claim).await.is_err(), "it waits for the lock");
    drop(hung);
    assert!(granted(&claim.await.unwrap()));
}

#[tokio::test]
async fn a_claim_loses_what_another_replica_stores_at_the_same_moment() {
    let f = on_server().await;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for (n, others) in [vec![], vec!["c"]].into_iter().enumerate() {
        let name = format!("b{n}");
        let mut quicker = sql::Transaction::begin(&f.store.writers, &f.store.clock).await.unwrap();
        let mut record = fresh(&name);
        record.epoch = 1;
        let change = Commit { batch: Some(RecordUpdate { record, from_epoch: 0 }), ..Commit::default() };
        assert!(ledger::commit(quicker.conn().unwrap(), 1, &[change.into()]).await.unwrap()[0].is_done());
        let mut wish = claim_of(&format!("p{n}"), &fresh(&name));
        for other in &others {
            wish.batches.extend(claim_of("p", &fresh(other)).batches);
        }
        let claim = f.store.claim(wish);
        let mut claim = std::pin::pin!(claim);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut claim).await.is_err(), "it waits for the row");
        quicker.commit().await.unwrap();
        let answer = claim.await.unwrap();
        if others.is_empty() {
            let ClaimOutcome::Stale { stored, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stored.len(), stored[0].record.epoch), (1, 1));
        } else {
            let ClaimOutcome::Granted { stale, contested, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((stale.len(), contested), (0, vec![fresh(&name).key]));
        }
        assert_eq!(f.store.batch(&fresh(&name).key).await.unwrap().unwrap().record.epoch, 1);
    }
    assert!(f.store.history(&fresh("b0").key).await.unwrap().pushes.is_empty());
}
