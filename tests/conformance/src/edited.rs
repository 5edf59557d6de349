//! Checks what a person edits, discards and restores on the shelf.

use std::time::Duration;

use testmo_courier::app::discard::{discard, own_batch};
use testmo_courier::app::restore_entry::open_again;
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState};
use testmo_courier::batch::restored::Restored;
use testmo_courier::batch::{Reason, fingerprint};
use testmo_courier::store::PruneCounts;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};
use testmo_courier::store::actor::{Actor, Face, Role};
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::ledger::{ClaimOutcome, Commit, CommitOutcome, RecordUpdate};
use testmo_courier::store::shelf::{
    Action, EditedMessage, OperatorAction, ShelfId, ShelfIdentity, Shelved, ShelvedUntil, Shelving,
};

use crate::Subject;
use crate::values::{DAY, START, claim_of, connection, fresh, shelving, target, tenant};

cases! {
    ($) edited_cases in edited:
    an_edited_message_takes_the_place_of_the_one_before,
    a_message_that_is_on_the_shelf_already_is_not_there_twice,
    a_record_keeps_its_earlier_fingerprints_through_claims_and_pruning,
    what_was_discarded_is_put_back_as_it_was,
    a_message_that_was_replayed_is_given_up_and_put_back_with_its_batch,
    what_is_put_back_does_not_wait_for_a_pause_that_has_ended,
    what_was_discarded_long_ago_is_removed_before_its_batch_is_pruned,
    what_was_discarded_goes_with_its_tenant,
}

fn edit_of(row: &Shelved, fingerprint: &str) -> EditedMessage {
    let ShelfIdentity::Batch(key, _) = &row.content.identity else { unreachable!() };
    EditedMessage {
        id: row.id,
        generation: row.generation,
        identity: ShelfIdentity::Batch(key.clone(), fingerprint.into()),
        headers: [("message_id".to_owned(), "m".to_owned())].into(),
        body: b"edited".to_vec().into(),
    }
}

async fn store(f: &dyn Subject, change: Commit) -> bool {
    f.store().commit(change.into()).await.unwrap().is_done()
}

async fn shelve(f: &dyn Subject, shelving: Shelving) -> Shelved {
    let identity = shelving.identity.clone();
    assert!(store(f, Commit { shelve: Some(shelving), ..Commit::default() }).await);
    f.shelf().await.into_iter().find(|row| row.content.identity == identity).unwrap()
}

fn discard_of(row: &Shelved) -> Commit {
    let anna = Actor::new("anna", Role::Operator, Face::Api);
    let entry = AuditEntry::new(&anna, AuditAction::DiscardEntry, AuditSubject::entry(row.id, None, None));
    let action =
        OperatorAction { id: row.id, generation: row.generation, action: Action::Discard, batch: None, item: None };
    Commit { operator_action: Some(action), audit: vec![entry.because(Some("by mistake"))], ..Commit::default() }
}

fn restore_of(id: ShelfId) -> Commit {
    Commit { restore: Some(id), ..Commit::default() }
}

async fn an_edited_message_takes_the_place_of_the_one_before(f: &dyn Subject) {
    let row = shelve(f, shelving("b", ShelvedUntil::Person)).await;
    let edit = |edited: EditedMessage| store(f, Commit { edit: Some(edited), ..Commit::default() });
    let edited = edit_of(&row, "1:edited");
    assert!(!edit(EditedMessage { generation: row.generation + 1, ..edited.clone() }).await, "it has changed");
    assert!(!edit(EditedMessage { id: ShelfId(row.id.0 + 9), ..edited.clone() }).await, "it is gone");
    assert!(edit(edited.clone()).await);
    let [after] = &f.shelf().await[..] else { panic!() };
    assert_eq!((after.id, after.generation, after.state), (row.id, row.generation + 1, row.state));
    assert_eq!((&after.content.identity, &after.content.headers), (&edited.identity, &edited.headers));
    assert_eq!((&*after.content.body, after.content.reason), (&b"edited".to_vec(), row.content.reason));
    assert!(!edit(edited).await, "a second time");
    // A row that a worker has leased is not edited.
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    shelve(f, shelving("parked", ShelvedUntil::After(Duration::ZERO))).await;
    let asks = [(tenant(), 9)];
    let leased = f.store().lease_due("w", Duration::from_secs(5), &asks, usize::MAX).await.unwrap().remove(0);
    assert!(!edit(edit_of(&leased, "1:edited")).await, "it is leased");
    f.set_time(1_006_000).await;
    assert!(edit(edit_of(&leased, "1:edited")).await, "the lease has ended");
    // Of two edits that are stored together the first one wins.
    let row = shelve(f, shelving("c", ShelvedUntil::Person)).await;
    let both = tokio::join!(edit(edit_of(&row, "1:one")), edit(edit_of(&row, "1:two")));
    assert!(both.0 != both.1, "{both:?}");
}

async fn a_message_that_is_on_the_shelf_already_is_not_there_twice(f: &dyn Subject) {
    let row = shelve(f, shelving("b", ShelvedUntil::Person)).await;
    let ShelfIdentity::Batch(key, _) = row.content.identity.clone() else { unreachable!() };
    let identity = ShelfIdentity::Batch(key, "1:edited".into());
    shelve(f, Shelving { identity, ..shelving("b", ShelvedUntil::Person) }).await;
    assert!(!store(f, Commit { edit: Some(edit_of(&row, "1:edited")), ..Commit::default() }).await);
    assert!(store(f, discard_of(&row)).await);
    let again = shelve(f, shelving("b", ShelvedUntil::Person)).await;
    assert!(!store(f, restore_of(row.id)).await, "its message was received again");
    assert!(store(f, discard_of(&again)).await);
    assert!(store(f, restore_of(row.id)).await);
    assert!(!store(f, restore_of(again.id)).await, "that would be a second one");
}

async fn a_record_keeps_its_earlier_fingerprints_through_claims_and_pruning(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let edited = BatchRecord { fingerprint: "1:edited".into(), earlier: vec!["1:f".into()], epoch: 1, ..fresh("b") };
    let put = |record: BatchRecord, from_epoch| {
        let batch = Some(RecordUpdate { record, from_epoch });
        store(f, Commit { batch, ..Commit::default() })
    };
    assert!(put(edited.clone(), 0).await);
    let stored = async || f.batch(&edited.key).await.unwrap().record;
    assert_eq!(
        (stored().await.fingerprint, stored().await.earlier),
        (edited.fingerprint.clone(), edited.earlier.clone())
    );
    // The message before claims nothing, and the edited one keeps what the record has.
    let ClaimOutcome::Stale { .. } = f.store().claim(claim_of("p0", &fresh("b"))).await.unwrap() else { panic!() };
    let claim = claim_of("p1", &stored().await);
    let mut record = claim.batches[0].record.clone();
    let ClaimOutcome::Granted { .. } = f.store().claim(claim).await.unwrap() else { panic!() };
    assert_eq!(stored().await.earlier, edited.earlier);
    record.created(&[(0, 10), (1, 11)]);
    (record.state, record.settled_at) = (BatchState::Delivered, Some(1_000_000));
    let from_epoch = stored().await.epoch;
    let third = BatchRecord { fingerprint: "1:third".into(), earlier: vec!["1:f".into(), "1:edited".into()], ..record };
    assert!(put(third.clone(), from_epoch).await);
    assert_eq!(
        (stored().await.fingerprint, stored().await.earlier),
        (third.fingerprint.clone(), third.earlier.clone())
    );
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 100).await.unwrap().batches, 1);
    assert_eq!((stored().await.cases.len(), stored().await.earlier), (0, third.earlier.clone()));
}

async fn what_was_discarded_is_put_back_as_it_was(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let all = [ShelvedUntil::Person, ShelvedUntil::Connection, ShelvedUntil::After(Duration::from_secs(60))];
    for (n, until) in all.into_iter().enumerate() {
        let before = shelve(f, Shelving { parks: 3, failing_since: Some(7), ..shelving("b", until) }).await;
        let discarded = BatchRecord { state: BatchState::Discarded, epoch: 1, ..fresh(&format!("b{n}")) };
        let batch = Some(RecordUpdate { record: discarded, from_epoch: 0 });
        assert!(store(f, Commit { batch, ..discard_of(&before) }).await);
        assert!(f.shelf().await.is_empty(), "{until:?}");
        assert!(!store(f, discard_of(&before)).await, "it is gone");
        let both = tokio::join!(store(f, restore_of(before.id)), store(f, restore_of(before.id)));
        assert!(both.0 != both.1, "of two one: {both:?}");
        let [after] = &f.shelf().await[..] else { panic!() };
        // How long it still waits is computed from the time of reading.
        let content = Shelving { until: after.content.until, ..before.content.clone() };
        let person_epoch = before.person_epoch + 1;
        let same = Shelved { generation: after.generation, person_epoch, content, ..before.clone() };
        assert_eq!((format!("{after:?}"), after.generation), (format!("{same:?}"), before.generation + 1));
        let change = Commit { unshelve: Some((after.id.0, after.generation)), ..Commit::default() };
        assert!(store(f, change).await);
    }
}

async fn a_message_that_was_replayed_is_given_up_and_put_back_with_its_batch(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let message = serde_json::json!({"schema_version": 1, "batch_id": "b", "tenant_id": "acme",
                                     "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}, {"name": "b"}]});
    let (identity, body) = (ShelfIdentity::Raw("h".into(), None, None), message.to_string().into_bytes());
    let content = Shelving { reason: Reason::Undeliverable, body: body.into(), ..shelving("b", ShelvedUntil::Person) };
    let dead = shelve(f, Shelving { identity, ..content }).await;
    assert_eq!(own_batch(&dead), None, "a copy of unknown origin");
    let batch = Some(fresh("b").key);
    let (id, generation) = (dead.id, dead.generation);
    let replay = OperatorAction { id, generation, action: Action::Replay, batch, item: None };
    assert!(store(f, Commit { operator_action: Some(replay), ..Commit::default() }).await);
    let row = f.shelf().await.remove(0);
    let batch = own_batch(&row).unwrap();
    let claim = claim_of("p", &BatchRecord::of_batch(&batch, fingerprint(&batch)));
    let ClaimOutcome::Granted { at, .. } = f.store().claim(claim).await.unwrap() else { panic!() };
    let stored = async || f.batch(&batch.key).await.unwrap();
    let now = at + 11_000;
    let decide = async |now| discard(&row, Some(&batch), Some(stored().await), &Restored::default(), now);
    assert!(decide(at).await.is_err(), "a request may be under way");
    let Commit { audit, .. } = discard_of(&row);
    assert!(store(f, Commit { audit, ..decide(now).await.unwrap() }).await);
    let record = stored().await.record;
    assert_eq!((record.state, &record.open_push), (BatchState::Discarded, &None));
    assert!(record.cases.iter().all(|case| case.state == CaseState::Waiting && case.unclear), "{:?}", record.cases);
    let reopened = open_again(&batch, record);
    assert!(store(f, Commit { batch: reopened, ..restore_of(id) }).await);
    let after = f.shelf().await.remove(0);
    assert_eq!((after.state, own_batch(&after)), (row.state, Some(batch.clone())));
    assert_eq!(stored().await.record.state, BatchState::Open);
}

async fn what_is_put_back_does_not_wait_for_a_pause_that_has_ended(f: &dyn Subject) {
    let lanes = [LaneSelector::Tenant(tenant()), LaneSelector::Account(target().account)];
    for (lane, reason, ends, is_due) in [
        (lanes[0].clone(), Reason::Paused, true, true),
        (lanes[1].clone(), Reason::Paused, true, true),
        (lanes[0].clone(), Reason::Paused, false, false),
        (lanes[1].clone(), Reason::Paused, false, false),
        (lanes[0].clone(), Reason::NoAnswer, true, false),
    ] {
        let order = |paused| LaneOverride { lane: lane.clone(), paused, most: None };
        f.set_lane_override(&order(true)).await;
        let content = Shelving { reason, account: Some(target().account), ..shelving("b", ShelvedUntil::After(DAY)) };
        let row = shelve(f, content).await;
        assert!(store(f, discard_of(&row)).await);
        if ends {
            f.set_lane_override(&order(false)).await;
        }
        assert!(store(f, restore_of(row.id)).await);
        let [after] = &f.shelf().await[..] else { panic!() };
        let due_at = if is_due { START } else { row.due_at };
        assert_eq!(after.due_at, due_at, "{lane:?} {reason} {ends}");
        let change = Commit { unshelve: Some((after.id.0, after.generation)), ..Commit::default() };
        assert!(store(f, change).await);
        f.set_lane_override(&order(false)).await;
    }
}

async fn what_was_discarded_long_ago_is_removed_before_its_batch_is_pruned(f: &dyn Subject) {
    let old = shelve(f, shelving("old", ShelvedUntil::Person)).await;
    let failed = BatchRecord { state: BatchState::Failed, settled_at: Some(1_000_000), epoch: 1, ..fresh("old") };
    let batch = Some(RecordUpdate { record: failed.clone(), from_epoch: 0 });
    assert!(store(f, Commit { batch, ..Commit::default() }).await);
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    assert!(store(f, discard_of(&old)).await);
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 100).await.unwrap(), PruneCounts::default(), "it can still be restored");
    f.set_time(1_000_000 + 86_400_000 * 51).await;
    let both = PruneCounts { batches: 1, discarded: 1, ..PruneCounts::default() };
    assert_eq!(f.store().prune(DAY * 30, 100).await.unwrap(), both);
    assert_eq!(f.store().commit(restore_of(old.id).into()).await.unwrap(), CommitOutcome::Fenced);
    assert!(f.batch(&failed.key).await.unwrap().record.cases.is_empty());
}

async fn what_was_discarded_goes_with_its_tenant(f: &dyn Subject) {
    f.store().set_connection(&connection("v1", true)).await.unwrap();
    let row = shelve(f, shelving("b", ShelvedUntil::Person)).await;
    assert!(store(f, discard_of(&row)).await);
    f.begin_removal(Duration::from_secs(60)).await;
    assert_eq!(f.remove_tenant("v1").await, testmo_courier::store::removal::RemovalOutcome::Done);
    assert!(!store(f, restore_of(row.id)).await);
}
