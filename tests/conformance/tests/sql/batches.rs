//! Checks what commands show of batches, and what pruning leaves in the tables.

use std::time::Duration;

use sqlx::Row;
use testmo_conformance::Subject;
use testmo_conformance::finished::deliver;
use testmo_conformance::values::{DAY, HOUR, claim_of, connection, event, fresh, granted, shelving, tenant};
use testmo_courier::batch::event::Event;
use testmo_courier::batch::ledger::BatchRecord;
use testmo_courier::store::history::Holder;
use testmo_courier::store::ledger::{BatchFilter, ClaimOutcome, Commit, PushEnded, RecordUpdate};
use testmo_courier::store::shelf::ShelvedUntil;
use testmo_courier::store::{ConnectionStore, LedgerStore, RetentionStore, ShelfStore};

use crate::stores::{SqlStore, connect};

on_both! {
    the_history_of_a_batch_holds_its_pushes_and_events,
    a_worker_that_has_an_entry_of_a_batch_in_hand_is_named,
    a_batch_whose_claim_was_refused_is_not_known,
    a_page_of_batches_goes_on_behind_one_that_cannot_be_read,
    a_pruned_batch_leaves_no_push_behind,
}

async fn the_history_of_a_batch_holds_its_pushes_and_events(f: SqlStore) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let key = &fresh("b").key;
    assert!(f.store.history(key).await.unwrap().pushes.is_empty());
    let claim = claim_of("p1", &fresh("b"));
    let mut record = claim.batches[0].record.clone();
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    record.unclear(1_000_000);
    let ended = |answer: &str, ids| {
        let detail = (answer == "503").then(|| "Testmo answered 503".into());
        Some(PushEnded { push: "p1".into(), answer: answer.into(), detail, ids })
    };
    let batch = |record: &BatchRecord| Some(RecordUpdate { record: record.clone(), from_epoch: record.epoch - 1 });
    f.store
        .commit(Commit { batch: batch(&record), ended: ended("503", None), ..Commit::default() }.into())
        .await
        .unwrap();
    f.set_time(1_000_500).await;
    record.reconciled(&[(0, 10), (1, 11)], false);
    let about = Event { subject: "acme/b".into(), ..event("e1") };
    let events = vec![about, Event { subject: "acme/b2".into(), ..event("e2") }];
    let adopted =
        Commit { batch: batch(&record), ended: ended("adopted", Some((10, 11))), events, ..Commit::default() };
    assert!(f.store.commit(adopted.into()).await.unwrap().is_done());
    deliver(&f, "b2", |_| {}).await;
    let history = f.store.history(key).await.unwrap();
    let pushes: Vec<_> =
        history.pushes.iter().map(|p| (p.id.as_str(), p.claimed_at, p.ended_at, p.answer.as_deref(), p.ids)).collect();
    assert_eq!(pushes, [("p1", 1_000_000, Some(1_000_500), Some("503, adopted"), Some((10, 11)))]);
    assert_eq!(history.pushes[0].detail.as_deref(), Some("Testmo answered 503"));
    let events: Vec<_> = history.events.iter().map(|e| (e.id.as_str(), e.created_at, e.sent_at)).collect();
    assert_eq!(events, [("e1", 1_000_500, None)]);
}

#[tokio::test]
async fn a_batch_that_is_simply_delivered_costs_no_statement_for_its_history() {
    let f = crate::stores::sqlite().await;
    f.connect(&connection("v1", true)).await;
    deliver(&f, "b", |_| {}).await;
    let of_history = || f.statements().into_iter().filter(|sql| sql.contains("batch_history")).count();
    let after_opening = of_history();
    let delivered = f.statements().iter().filter(|sql| sql.starts_with("UPDATE batches")).count();
    assert!(delivered > 0, "statements are noted");
    deliver(&f, "b2", |_| {}).await;
    assert_eq!((after_opening, of_history()), (0, 0));
    let shelve = Some(shelving("b3", ShelvedUntil::Person));
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(of_history(), 2, "one that waits costs a read and a write");
}

async fn a_worker_that_has_an_entry_of_a_batch_in_hand_is_named(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    let shelve = Some(shelving("b", ShelvedUntil::After(Duration::ZERO)));
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    let holders = async || f.store.history(&fresh("b").key).await.unwrap().holders;
    assert_eq!(holders().await, []);
    assert_eq!(f.store.lease_due("w1", HOUR, &[(tenant(), 1)], usize::MAX).await.unwrap().len(), 1);
    assert_eq!(holders().await, [Holder { worker: "w1".into(), until: 1_000_000 + 3_600_000 }]);
    f.set_time(1_000_000 + 3_600_000).await;
    assert_eq!(holders().await, []);
}

async fn a_batch_whose_claim_was_refused_is_not_known(f: SqlStore) {
    f.store.set_connection(&connection("v2", true)).await.unwrap();
    let claim = claim_of("p1", &fresh("b"));
    assert!(matches!(f.store.claim(claim.clone()).await.unwrap(), ClaimOutcome::ConnectionChanged));
    assert!(f.batch(&fresh("b").key).await.is_none());
    assert!(f.store.batches(&BatchFilter::default(), None, 9).await.unwrap().is_empty());
    f.set_time(1_000_005).await;
    f.connect(&connection("v1", true)).await;
    assert!(granted(&f.store.claim(claim).await.unwrap()));
    assert_eq!(f.batch(&fresh("b").key).await.unwrap().record.first_seen_at, 1_000_005);
}

async fn a_page_of_batches_goes_on_behind_one_that_cannot_be_read(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    for batch in ["b1", "b2", "b3"] {
        deliver(&f, batch, |_| {}).await;
    }
    let mut conn = connect(&f.config.url).await;
    sqlx::query("UPDATE batches SET cases = '!' WHERE batch_id = 'b2'").execute(&mut conn).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    // Three batches fill at most two pages, and a third one may be empty.
    for _ in 0..3 {
        let (page, next) = f.store.batches_page(&BatchFilter::default(), after.as_ref(), 2).await.unwrap();
        found.extend(page.into_iter().map(|stored| stored.record.key.batch.to_string()));
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(after, None, "the pages end");
    found.sort();
    assert_eq!(found, ["b1", "b3"]);
}

async fn a_pruned_batch_leaves_no_push_behind(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    deliver(&f, "old", |_| {}).await;
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    deliver(&f, "recent", |_| {}).await;
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap().batches, 1);
    let mut conn = connect(&f.config.url).await;
    for count in ["SELECT COUNT(*) AS n FROM pushes", "SELECT COUNT(*) AS n FROM push_parts"] {
        let row = sqlx::query(count).fetch_one(&mut conn).await.unwrap();
        assert_eq!(row.get::<i64, _>("n"), 1, "{count}");
    }
}
