//! Finished batches: pruning, history and late-duplicate checks.

use super::*;

on_both! {
    what_was_settled_for_long_loses_its_weight_but_is_still_known,
    pruning_goes_in_steps_and_leaves_what_is_shelved_or_unclear,
    ids_that_a_look_may_still_ask_for_are_kept,
    the_history_of_a_batch_holds_its_pushes_and_what_was_told_of_it,
    a_last_look_is_due_once_its_batch_has_arrived_and_until_it_was_made,
}

const DAY: Duration = Duration::from_secs(86_400);

/// A batch that was settled at the present time.
async fn settle(f: &Fixture, batch: &str, change: impl FnOnce(&mut BatchRecord)) -> BatchRecord {
    let claim = claim_of(&format!("push of {batch}"), &fresh(batch));
    let mut record = claim.batches[0].record.clone();
    let ClaimOutcome::Granted { at, .. } = f.store.claim(claim).await.unwrap() else { panic!() };
    record.created(&[(0, 10), (1, 11)]);
    (record.state, record.settled_at) = (BatchState::Delivered, Some(at));
    change(&mut record);
    let ended = Some(PushEnded { push: format!("push of {batch}"), answer: "2xx", ids: Some((10, 11)) });
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch: 1 });
    f.store.commit(Commit { batch, ended, ..Commit::default() }.into()).await.unwrap();
    record
}

async fn what_was_settled_for_long_loses_its_weight_but_is_still_known(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let old = settle(&f, "old", |_| {}).await;
    f.store.commit(Commit { events: vec![event("sent")], ..Commit::default() }.into()).await.unwrap();
    f.store.mark_sent(&f.store.unsent(1, TAKEN).await.unwrap()).await.unwrap();
    f.store.commit(Commit { events: vec![event("unsent")], ..Commit::default() }.into()).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    let recent = settle(&f, "recent", |_| {}).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), PruneCounts::default());
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), PruneCounts { batches: 1, events: 1, unheard: 0 });
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap(), PruneCounts::default());
    let known = f.store.batch(&old.key).await.unwrap().unwrap().record;
    assert_eq!((known.fingerprint, known.state, known.revision), (old.fingerprint, old.state, old.revision));
    assert_eq!((known.settled_at, known.epoch), (old.settled_at, old.epoch + 1));
    assert!(known.cases.is_empty() && known.targets.is_empty());
    let ClaimOutcome::Stale { stored, .. } = f.store.claim(claim_of("p", &fresh("old"))).await.unwrap() else {
        panic!()
    };
    assert_eq!(stored[0].record.state, BatchState::Delivered);
    assert_eq!(f.store.batch(&recent.key).await.unwrap().unwrap().record.cases, recent.cases);
    assert_eq!(f.store.unsent_count().await.unwrap(), 1);
    let mut conn = f.store.writing().await.unwrap();
    for (table, left) in [("pushes", 1), ("push_parts", 1), ("outbox", 1)] {
        let rows = sql::fetch(&mut conn, format!("SELECT COUNT(*) AS n FROM {table}"), vec![]).await.unwrap();
        assert_eq!(rows[0].int("n").unwrap(), left, "{table}");
    }
}

async fn pruning_goes_in_steps_and_leaves_what_is_shelved_or_unclear(f: Fixture) {
    use crate::batch::ledger::CaseState;
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    for n in 0..5 {
        settle(&f, &format!("b{n}"), |_| {}).await;
    }
    settle(&f, "shelved", |_| {}).await;
    f.store
        .commit(Commit { shelve: Some(shelving("shelved", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    settle(&f, "lost", |record| record.cases[0].state = CaseState::Lost).await;
    f.store.claim(claim_of("open", &fresh("open"))).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(f.store.prune(DAY * 30, 2).await.unwrap().batches);
    }
    assert_eq!(steps, [2, 2, 1, 0]);
    for batch in ["shelved", "lost", "open"] {
        assert_eq!(f.store.batch(&fresh(batch).key).await.unwrap().unwrap().record.cases.len(), 2, "{batch}");
    }
}

async fn ids_that_a_look_may_still_ask_for_are_kept(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.set_time(10_000_000).await;
    let claim = claim_of("unclear", &fresh("unclear"));
    let mut record = claim.batches[0].record.clone();
    f.store.claim(claim).await.unwrap();
    record.unclear(10_000_000);
    let batch = Some(RecordUpdate { record: record.clone(), from_epoch: 1 });
    f.store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap();
    settle(&f, "later", |_| {}).await;
    f.set_time(10_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 0);
    record.reconciled(&[], false);
    record.claim(
        &[0, 1],
        OpenPush { id: "x".into(), connection: "v1".into(), batch_tag: None, committed: false },
        &target(),
    );
    record.created(&[(0, 20), (1, 21)]);
    let batch = Some(RecordUpdate { record, from_epoch: 2 });
    assert_eq!(
        f.store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap(),
        CommitOutcome::Done(vec![])
    );
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 1);
}

async fn the_history_of_a_batch_holds_its_pushes_and_what_was_told_of_it(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let key = &fresh("b").key;
    assert!(f.store.history(key).await.unwrap().pushes.is_empty());
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    record.unclear(1_000_000);
    let ended = |answer, ids| Some(PushEnded { push: "p1".into(), answer, ids });
    let batch = |record: &BatchRecord| Some(RecordUpdate { record: record.clone(), from_epoch: record.epoch - 1 });
    f.store
        .commit(Commit { batch: batch(&record), ended: ended("5xx", None), ..Commit::default() }.into())
        .await
        .unwrap();
    f.set_time(1_000_500).await;
    record.reconciled(&[(0, 10), (1, 11)], false);
    let about = crate::batch::event::Event { subject: "acme/b".into(), ..event("e1") };
    let events = vec![about, crate::batch::event::Event { subject: "acme/b2".into(), ..event("e2") }];
    let adopted =
        Commit { batch: batch(&record), ended: ended("adopted", Some((10, 11))), events, ..Commit::default() };
    assert!(f.store.commit(adopted.into()).await.unwrap().is_done());
    settle(&f, "b2", |_| {}).await;
    let history = f.store.history(key).await.unwrap();
    let pushes: Vec<_> =
        history.pushes.iter().map(|p| (p.id.as_str(), p.claimed_at, p.ended_at, p.answer.as_deref(), p.ids)).collect();
    assert_eq!(pushes, [("p1", 1_000_000, Some(1_000_500), Some("5xx, adopted"), Some((10, 11)))]);
    let events: Vec<_> = history.events.iter().map(|e| (e.id.as_str(), e.created_at, e.sent_at)).collect();
    assert_eq!(events, [("e1", 1_000_500, None)]);
}

async fn a_last_look_is_due_once_its_batch_has_arrived_and_until_it_was_made(f: Fixture) {
    let (after, lease) = (Duration::from_secs(300), Duration::from_secs(600));
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    settle(&f, "clear", |_| {}).await;
    let mut late = settle(&f, "late", |record| record.late_since = Some(7)).await;
    settle(&f, "failed", |record| (record.late_since, record.state) = (Some(7), BatchState::Failed)).await;
    let due = async |ms: i64| {
        f.set_time(ms).await;
        let taken = f.store.take_late_checks(after, lease, 9).await.unwrap();
        taken.into_iter().map(|stored| stored.record).collect::<Vec<_>>()
    };
    assert_eq!(due(1_299_999).await, []);
    let taken = due(1_300_000).await;
    assert_eq!((taken.len(), &taken[0].key, taken[0].late_since), (1, &late.key, Some(7)));
    assert_eq!(due(1_899_999).await, [], "somebody is at it");
    assert_eq!(due(1_900_000).await.len(), 1, "whoever was at it is gone");
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 2, "it stays until it was looked for");
    let from_epoch = late.epoch;
    late.duplicated(&[(1, 20)]);
    late.late_checked();
    let batch = Some(RecordUpdate { record: late.clone(), from_epoch });
    assert_eq!(
        f.store.commit(Commit { batch, ..Commit::default() }.into()).await.unwrap(),
        CommitOutcome::Done(vec![])
    );
    assert_eq!(due(1_000_000 + 86_400_000 * 32).await, []);
    assert_eq!(f.store.batch(&late.key).await.unwrap().unwrap().record.cases[1].duplicates, [20]);
    assert_eq!(f.store.prune(DAY * 30, 9).await.unwrap().batches, 1);
}
