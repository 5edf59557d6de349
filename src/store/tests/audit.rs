//! Checks that what people change is kept with the change, and only with it.

use super::stores::SqlStore;
use super::*;
use crate::batch::{BatchId, BatchKey};
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditFilter, AuditRow, AuditSubject};
use crate::store::shelf::{Action, OperatorAction, ShelfId};

on_both! {
    a_change_and_its_entry_are_stored_together,
    entries_are_filtered_and_paged_from_the_newest_on,
    entries_are_removed_step_by_step_once_they_are_too_old,
    a_lane_is_changed_from_what_is_in_force_and_both_are_kept,
}

fn anna() -> Actor {
    Actor::new("anna", Role::Operator, Face::CommandLine)
}

fn discarding(id: i64) -> AuditEntry {
    let key = BatchKey::new(tenant(), BatchId::new("b-1").unwrap());
    AuditEntry::new(&anna(), AuditAction::DiscardEntry, AuditSubject::entry(ShelfId(id), Some(&key), None))
        .because(Some("a test"))
        .change(Some(serde_json::json!({"state": "dead"})), None)
}

async fn all(f: &SqlStore, filter: &AuditFilter) -> Vec<AuditRow> {
    f.store.audit(filter, 100).await.unwrap()
}

async fn a_change_and_its_entry_are_stored_together(f: SqlStore) {
    let shelve = Some(shelving("b-1", ShelvedUntil::Person));
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    let entry = f.store.shelved(ShelfId(1)).await.unwrap().unwrap();
    let discard = |generation| Commit {
        operator_action: Some(OperatorAction {
            id: ShelfId(1),
            generation,
            action: Action::Discard,
            batch: None,
            item: None,
        }),
        audit: vec![discarding(1)],
        ..Commit::default()
    };
    assert_eq!(f.store.commit(discard(entry.generation + 1).into()).await.unwrap(), CommitOutcome::Fenced);
    assert_eq!(all(&f, &AuditFilter::default()).await, []);
    assert!(f.store.commit(discard(entry.generation).into()).await.unwrap().is_done());
    let [row] = &all(&f, &AuditFilter::default()).await[..] else { panic!() };
    let said = (row.actor.as_str(), row.role.as_str(), row.face.as_str(), row.action.as_str(), row.subject.as_str());
    assert_eq!(said, ("anna", "operator", "command_line", "shelf.discard", "shelf 00000001"));
    assert_eq!((row.tenant.as_deref(), row.batch.as_deref()), (Some(tenant().as_str()), Some("b-1")));
    assert_eq!((row.reason.as_deref(), row.before.as_deref()), (Some("a test"), Some(r#"{"state":"dead"}"#)));
    assert_eq!(row.after, None);
    assert!((f.store.now() - 60_000..=f.store.now()).contains(&row.at));
}

async fn entries_are_filtered_and_paged_from_the_newest_on(f: SqlStore) {
    let pause = AuditEntry::new(
        &Actor::new("bert", Role::Admin, Face::Api),
        AuditAction::PauseLane,
        AuditSubject::named("lane https://a"),
    );
    let audit = vec![discarding(1), discarding(2), pause, discarding(3)];
    f.store.commit(Commit { audit, ..Commit::default() }.into()).await.unwrap();
    let subjects = async |filter: AuditFilter| -> Vec<String> {
        all(&f, &filter).await.into_iter().map(|row| row.subject).collect()
    };
    let newest = ["shelf 00000003", "lane https://a", "shelf 00000002", "shelf 00000001"];
    assert_eq!(subjects(AuditFilter::default()).await, newest);
    let page = f.store.audit(&AuditFilter::default(), 2).await.unwrap();
    assert_eq!(
        subjects(AuditFilter { behind: Some((page[1].at, page[1].id)), ..AuditFilter::default() }).await,
        newest[2..]
    );
    assert_eq!(subjects(AuditFilter { actor: Some("bert".into()), ..AuditFilter::default() }).await, newest[1..2]);
    assert_eq!(
        subjects(AuditFilter { action: Some(AuditAction::PauseLane), ..AuditFilter::default() }).await,
        newest[1..2]
    );
    assert_eq!(subjects(AuditFilter { subject: Some(newest[0].into()), ..AuditFilter::default() }).await, newest[..1]);
    let batch = Some(BatchId::new("b-1").unwrap());
    assert_eq!(subjects(AuditFilter { tenant: Some(tenant()), batch, ..AuditFilter::default() }).await.len(), 3);
    let now = f.store.now();
    assert_eq!(subjects(AuditFilter { until: Some(now - 60_000), ..AuditFilter::default() }).await, [""; 0]);
    assert_eq!(subjects(AuditFilter { since: Some(now - 60_000), ..AuditFilter::default() }).await.len(), 4);
}

async fn entries_are_removed_step_by_step_once_they_are_too_old(f: SqlStore) {
    const DAY: Duration = Duration::from_secs(86_400);
    let store = async |ids: std::ops::RangeInclusive<i64>| {
        let audit = ids.map(discarding).collect();
        f.store.commit(Commit { audit, ..Commit::default() }.into()).await.unwrap();
    };
    store(1..=5).await;
    f.set_time(f.store.now() + 86_400_000 * 400).await;
    store(6..=7).await;
    assert_eq!(f.store.forget_audit(DAY * 401, 9).await.unwrap(), 0);
    f.set_time(f.store.now() + 60_000).await;
    assert_eq!(f.store.forget_audit(DAY * 400, 3).await.unwrap(), 3);
    let left = all(&f, &AuditFilter::default()).await;
    assert_eq!(
        left.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>(),
        ["shelf 00000007", "shelf 00000006", "shelf 00000005", "shelf 00000004"]
    );
    assert_eq!(f.store.forget_audit(DAY * 400, 3).await.unwrap(), 2);
    assert_eq!(f.store.audit_time(left[3].id).await.unwrap(), None);
    assert_eq!(f.store.audit_time(left[0].id).await.unwrap(), Some(left[0].at));
}

async fn a_lane_is_changed_from_what_is_in_force_and_both_are_kept(f: SqlStore) {
    let lane = LaneSelector::Tenant(tenant());
    let change = async |paused: bool, most: Option<u32>| {
        let change = |before: LaneOverride| {
            let entry = AuditEntry::new(&anna(), AuditAction::SetLane, AuditSubject::named("lane"))
                .change(Some(serde_json::json!([before.paused, before.most])), None);
            (LaneOverride { paused, most, ..before }, vec![entry])
        };
        f.store.change_lane(&lane, change).await.unwrap()
    };
    change(true, None).await;
    change(true, Some(2)).await;
    let ordered = change(false, None).await;
    assert_eq!((ordered.paused, ordered.most, f.store.lane_overrides().await.unwrap()), (false, None, vec![]));
    change(false, Some(1)).await;
    let before: Vec<_> =
        all(&f, &AuditFilter::default()).await.into_iter().rev().filter_map(|row| row.before).collect();
    assert_eq!(before, ["[false,null]", "[true,null]", "[true,2]", "[false,null]"]);
    assert_eq!(f.store.lane_overrides().await.unwrap().len(), 1);
}
