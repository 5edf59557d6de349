//! Checks what is remembered of written cases, and when it is forgotten.

use testmo_courier::batch::written::{BatchMark, CaseIdentity, WrittenCase, WrittenFields};
use testmo_courier::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use testmo_courier::store::written::Remembered;

use crate::Subject;
use crate::finished::deliver;
use crate::values::{DAY, START, connection, fresh, target, tenant};

cases! {
    ($) written_cases in written:
    what_was_written_is_remembered_with_its_batch_even_when_that_was_pruned,
    a_later_write_takes_the_place_of_an_earlier_one,
    a_change_that_is_fenced_is_not_remembered,
    what_was_written_too_long_ago_is_forgotten_in_steps,
    the_cases_of_a_source_are_listed_in_pages,
    what_was_deleted_is_forgotten_with_its_change,
}

fn identity(source: &str, id: &str) -> CaseIdentity {
    CaseIdentity::of(&target(), &tenant(), Some(source), Some(id)).unwrap()
}

fn case(id: &str, testmo_id: u64, batch: &str, first_seen_at: i64) -> WrittenCase {
    WrittenCase {
        identity: identity("SHOP-1", id),
        testmo_id,
        folder: 2,
        batch: BatchMark::of(&fresh(batch).key, first_seen_at),
        fields: WrittenFields::of_entry(&format!(r#"{{"name": "case {id}"}}"#), 2),
    }
}

async fn remember(f: &dyn Subject, written: Vec<WrittenCase>) {
    let done = f.store().commit(Commit { written, ..Commit::default() }.into()).await.unwrap();
    assert_eq!(done, CommitOutcome::Done(vec![]));
}

async fn known(f: &dyn Subject, ids: &[&str]) -> Vec<Remembered> {
    let identities: Vec<CaseIdentity> = ids.iter().map(|id| identity("SHOP-1", id)).collect();
    f.store().written(&tenant(), &identities).await.unwrap()
}

async fn what_was_written_is_remembered_with_its_batch_even_when_that_was_pruned(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let key = deliver(f, "b-1", |_| {}).await.key;
    let first_seen_at = f.batch(&key).await.unwrap().record.first_seen_at;
    let cases = [("TC-1", "b-1", first_seen_at), ("TC-2", "b-1", first_seen_at + 1), ("TC-3", "b-2", first_seen_at)];
    let cases = cases.map(|(id, batch, at)| case(id, 1_u64 << 53, batch, at));
    remember(f, cases.to_vec()).await;
    let mut expected = cases.map(|case| Remembered { batch: None, case });
    expected[0].batch = Some(key.batch.clone());
    expected.sort_by_key(|known| known.case.identity);
    assert_eq!(known(f, &["TC-3", "TC-1", "TC-2", "TC-9", "TC-1"]).await, expected);
    assert_eq!(known(f, &[]).await, []);
    assert_eq!(f.store().written(&tenant(), &[identity("SHOP-2", "TC-1")]).await.unwrap(), []);
    f.set_time(START + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap().batches, 1);
    assert_eq!(known(f, &["TC-3", "TC-1", "TC-2"]).await, expected);
}

async fn a_later_write_takes_the_place_of_an_earlier_one(f: &dyn Subject) {
    remember(f, vec![case("TC-1", 10, "b-1", START), case("TC-2", 11, "b-1", START)]).await;
    let later = [case("TC-1", 20, "b-2", START + 5), case("TC-1", 21, "b-2", START + 5)];
    remember(f, later.to_vec()).await;
    assert_eq!(known(f, &["TC-1"]).await[0].case, later[1]);
    assert_eq!(known(f, &["TC-2"]).await[0].case.testmo_id, 11);
}

async fn a_change_that_is_fenced_is_not_remembered(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let record = deliver(f, "b-1", |_| {}).await;
    let batch = Some(RecordUpdate { record, from_epoch: 9 });
    let change = Commit { batch, written: vec![case("TC-1", 10, "b-1", START)], ..Commit::default() };
    assert_eq!(f.store().commit(change.into()).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(known(f, &["TC-1"]).await, []);
}

async fn what_was_written_too_long_ago_is_forgotten_in_steps(f: &dyn Subject) {
    let ids = ["TC-1", "TC-2", "TC-3"];
    remember(f, ids.map(|id| case(id, 10, "b-1", START)).to_vec()).await;
    let forget = async |day: i64, most| {
        f.set_time(START + 86_400_000 * day).await;
        f.store().forget_written(DAY * 730, most).await.unwrap()
    };
    assert_eq!(forget(730, 9).await, 0);
    f.set_time(START + 86_400_000 * 10).await;
    remember(f, vec![case("TC-3", 20, "b-2", START + 5)]).await;
    assert_eq!((forget(731, 1).await, forget(731, 9).await), (1, 1));
    assert_eq!(known(f, &ids).await.len(), 1, "the one that was written again");
    assert_eq!((forget(740, 9).await, forget(741, 9).await), (0, 1));
}

async fn the_cases_of_a_source_are_listed_in_pages(f: &dyn Subject) {
    let ids = ["TC-1", "TC-2", "TC-3"];
    let other = WrittenCase { identity: identity("SHOP-2", "TC-1"), ..case("TC-1", 20, "b-1", START) };
    let mut own = ids.map(|id| case(id, 10, "b-1", START)).to_vec();
    remember(f, own.iter().cloned().chain([other.clone()]).collect()).await;
    own.sort_by_key(|case| case.identity);
    let read = async |key: &str, after, most| {
        let source = identity(key, "any").source();
        let read = f.store().written_of_source(&tenant(), source, after, most).await.unwrap();
        read.into_iter().map(|remembered| remembered.case).collect::<Vec<_>>()
    };
    assert_eq!(read("SHOP-1", None, 9).await, own);
    assert_eq!(read("SHOP-1", None, 2).await, own[..2]);
    assert_eq!(read("SHOP-1", Some(own[1].identity), 2).await, own[2..]);
    assert_eq!(read("SHOP-1", Some(own[2].identity), 2).await, []);
    assert_eq!((read("SHOP-2", None, 9).await, read("SHOP-3", None, 9).await), (vec![other], vec![]));
}

async fn what_was_deleted_is_forgotten_with_its_change(f: &dyn Subject) {
    remember(f, vec![case("TC-1", 10, "b-1", START), case("TC-2", 11, "b-1", START)]).await;
    let forgotten =
        vec![(identity("SHOP-1", "TC-1"), 10), (identity("SHOP-1", "TC-2"), 10), (identity("SHOP-1", "TC-9"), 11)];
    let change = Commit { forgotten, ..Commit::default() };
    assert_eq!(f.store().commit(change.into()).await.unwrap(), CommitOutcome::Done(vec![]));
    assert_eq!(known(f, &["TC-1", "TC-2"]).await.len(), 1);
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let record = deliver(f, "b-1", |_| {}).await;
    let batch = Some(RecordUpdate { record, from_epoch: 9 });
    let change = Commit { batch, forgotten: vec![(identity("SHOP-1", "TC-2"), 11)], ..Commit::default() };
    assert_eq!(f.store().commit(change.into()).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(known(f, &["TC-2"]).await.len(), 1, "nothing of a change that is fenced is stored");
}
