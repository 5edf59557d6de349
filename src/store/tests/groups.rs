//! Checks that what is on the shelf is grouped by its cause, also what an earlier version shelved.

use std::collections::BTreeMap;

use super::stores::SqlStore;
use super::*;
use crate::batch::cause::CauseId;
use crate::store::ShelfStore;
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditFilter, AuditSubject};
use crate::store::shelf::{Action, CauseFilter, CauseNote, OperatorAction, ShelfId, ShelfState};

on_both! {
    entries_of_one_cause_are_counted_by_state_and_tenant,
    what_an_earlier_version_shelved_gets_its_cause,
    a_suspect_that_is_tried_again_has_another_cause,
    cases_are_counted_also_of_what_an_earlier_version_shelved,
    a_count_of_any_size_is_made_of_steps,
    entries_are_grouped_by_tenant_and_state,
    a_note_is_kept_with_its_entry_of_the_audit_until_it_is_removed,
}

async fn put(f: &SqlStore, batch: &str, reason: Reason, detail: &str) {
    let row = Shelving { reason, detail: Some(detail.into()), ..shelving(batch, ShelvedUntil::Person) };
    f.store.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.unwrap();
}

/// Returns how many entries each cause has.
async fn counts(f: &SqlStore) -> Vec<(CauseId, u64)> {
    let mut counts: BTreeMap<CauseId, u64> = BTreeMap::new();
    for share in f.store.cause_shares(&CauseFilter::default()).await.unwrap() {
        *counts.entry(share.cause).or_default() += share.count;
    }
    counts.into_iter().collect()
}

fn case_refused(detail: &str) -> CauseId {
    CauseId::of(Reason::CaseRefused.code(), Some(detail))
}

async fn entries_of_one_cause_are_counted_by_state_and_tenant(f: SqlStore) {
    for n in 1..=3 {
        put(&f, &format!("b-{n}"), Reason::CaseRefused, &format!("case #{n}: tags.{n}: is too long")).await;
    }
    put(&f, "b-4", Reason::CaseRefused, "case #1: name: is empty").await;
    let (long, empty) = (case_refused("case #1: tags.0: is too long"), case_refused("case #9: name: is empty"));
    let mut expected = vec![(long, 3), (empty, 1)];
    expected.sort();
    assert_eq!(counts(&f).await, expected);
    let now = f.store.now();
    let shares = f.store.cause_shares(&CauseFilter::default()).await.unwrap();
    let share = shares.iter().find(|share| share.cause == long).unwrap();
    assert_eq!((share.state, share.tenant.as_ref(), share.count), (ShelfState::Dead, Some(&tenant()), 3));
    assert_eq!((share.cases, share.uncounted), (0, 0), "the messages are no batches");
    assert!((now - 60_000..=now).contains(&share.last_at), "{} {now}", share.last_at);
    let samples = f.store.cause_samples(&[long, case_refused("other")]).await.unwrap();
    let [sample] = &samples[..] else { panic!("{samples:?}") };
    assert_eq!((sample.cause, sample.reason), (long, Some(Reason::CaseRefused)));
    assert_eq!(sample.detail.as_deref(), Some("case #3: tags.3: is too long"));
    let of_cause = ShelfFilter { cause: Some(long), ..ShelfFilter::default() };
    assert_eq!(f.store.shelf_ids(&of_cause).await.unwrap(), [ShelfId(1), ShelfId(2), ShelfId(3)]);
}

async fn what_an_earlier_version_shelved_gets_its_cause(f: SqlStore) {
    for n in 1..=5 {
        put(&f, &format!("b-{n}"), Reason::CaseRefused, "name: is empty").await;
    }
    sql::execute(&mut f.store.writing().await.unwrap(), "UPDATE shelf SET cause = NULL WHERE id > 1", vec![])
        .await
        .unwrap();
    let cause = case_refused("name: is empty");
    assert_eq!(counts(&f).await, [(cause, 1)]);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 3);
    assert_eq!(counts(&f).await, [(cause, 4)]);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 1);
    assert_eq!(f.store.fill_causes(3).await.unwrap(), 0);
    assert_eq!(counts(&f).await, [(cause, 5)]);
}

async fn a_suspect_that_is_tried_again_has_another_cause(f: SqlStore) {
    put(&f, "b-1", Reason::CrashLoop, "tried alone 3 times").await;
    let entry = f.store.shelved(ShelfId(1)).await.unwrap().unwrap();
    let action =
        OperatorAction { id: entry.id, generation: entry.generation, action: Action::Replay, batch: None, item: None };
    f.store.commit(Commit { operator_action: Some(action), ..Commit::default() }.into()).await.unwrap();
    assert_eq!(f.store.fill_causes(9).await.unwrap(), 1);
    assert_eq!(counts(&f).await, [(CauseId::of(Reason::Suspect.code(), Some("tried alone 3 times")), 1)]);
}

async fn put_batch(f: &SqlStore, batch: &str, cases: usize) {
    let body = serde_json::json!({"cases": vec!["x"; cases]}).to_string().into_bytes();
    let row = Shelving { body: body.into(), ..shelving(batch, ShelvedUntil::Person) };
    f.store.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.unwrap();
}

async fn cases_are_counted_also_of_what_an_earlier_version_shelved(f: SqlStore) {
    for n in 1..=5 {
        put_batch(&f, &format!("b-{n}"), n).await;
    }
    let counted = async || {
        let shares = f.store.cause_shares(&CauseFilter::default()).await.unwrap();
        (shares.iter().map(|share| share.cases).sum::<u64>(), shares.iter().map(|share| share.uncounted).sum::<u64>())
    };
    assert_eq!(counted().await, (15, 0));
    let sql = "UPDATE shelf SET cases = NULL WHERE id > 1";
    sql::execute(&mut f.store.writing().await.unwrap(), sql, vec![]).await.unwrap();
    assert_eq!(counted().await, (1, 4));
    assert!(f.store.count_cases(3).await.unwrap());
    assert_eq!(counted().await, (10, 1));
    assert!(!f.store.count_cases(3).await.unwrap());
    assert_eq!(counted().await, (15, 0));
    assert!(!f.store.count_cases(3).await.unwrap());
    put_batch(&f, "b-1", 7).await;
    assert_eq!(counted().await, (21, 0), "another message took the place of the first");
}

/// Fills the shelf with so many entries of three causes, two tenants and both states.
async fn fill(f: &SqlStore, rows: i64) {
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         INSERT INTO shelf (identity, generation, state, reason, tenant_id, batch_id, waits_for, due_at, parks, arrived_at, \
         shelved_at, headers, body, cause, cases) SELECT 'b' || i, 1, CASE WHEN i % 4 = 0 THEN 'parked' ELSE 'dead' END, \
         'case_refused', CASE WHEN i % 10 = 0 THEN NULL WHEN i % 2 = 0 THEN 'acme' ELSE 'birch' END, 'b' || i, 'time', 1, 1, \
         i / 7, i, '{{}}', {}, i % 3, 2 FROM n",
        if f.config.is_shared() { "''" } else { "x''" }
    );
    sql::execute(&mut f.store.writing().await.unwrap(), sql, vec![]).await.unwrap();
}

async fn a_count_of_any_size_is_made_of_steps(f: SqlStore) {
    const ROWS: i64 = 60_001;
    fill(&f, ROWS).await;
    let shares = f.store.cause_shares(&CauseFilter::default()).await.unwrap();
    let all: u64 = shares.iter().map(|share| share.count).sum();
    assert_eq!(all, u64::try_from(ROWS).unwrap());
    assert_eq!(shares.iter().map(|share| share.cases).sum::<u64>(), 2 * all);
    let of = |cause: i64| {
        let shares = shares.iter().filter(move |share| share.cause.number() == cause);
        (shares.clone().map(|share| share.count).sum::<u64>(), shares.map(|share| (share.first_at, share.last_at)))
    };
    for (cause, count, last) in [(0, 20_000, 60_000), (1, 20_001, 60_001), (2, 20_000, 59_999)] {
        let (counted, times) = of(cause);
        assert_eq!(counted, count, "{cause}");
        let (first, latest) = times.fold((i64::MAX, 0), |all, share| (all.0.min(share.0), all.1.max(share.1)));
        assert_eq!((first, latest), (0, last), "{cause}");
    }
    let keys: Vec<_> = shares.iter().map(|share| (share.cause, share.state.name(), share.tenant.clone())).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
}

async fn entries_are_grouped_by_tenant_and_state(f: SqlStore) {
    fill(&f, 100).await;
    let count = async |tenant: Option<&str>, state: Option<ShelfState>| {
        let filter = CauseFilter { tenant: tenant.map(|tenant| tenant.parse().unwrap()), state };
        let shares = f.store.cause_shares(&filter).await.unwrap();
        shares.iter().map(|share| share.count).sum::<u64>()
    };
    assert_eq!(count(Some("acme"), None).await, 40);
    assert_eq!(count(Some("acme"), Some(ShelfState::Parked)).await, 20);
    assert_eq!(count(None, Some(ShelfState::Dead)).await, 75);
    assert_eq!(count(Some("cedar"), None).await, 0);
}

async fn a_note_is_kept_with_its_entry_of_the_audit_until_it_is_removed(f: SqlStore) {
    let cause = case_refused("name: is empty");
    let anna = Actor::new("anna", Role::Operator, Face::CommandLine);
    let entry = |before: Option<&CauseNote>| {
        let before = before.map(|note| serde_json::json!(note.text));
        AuditEntry::new(&anna, AuditAction::NoteCause, AuditSubject::named("group")).change(before, None)
    };
    let set = async |note: Option<&str>| {
        let before = f.store.set_cause_note(cause, note.map(|text| (text, "anna")), entry).await.unwrap();
        before.map(|note| note.text)
    };
    let noted = async || f.store.cause_notes(&[case_refused("other"), cause]).await.unwrap();
    let audit = async || f.store.audit(&AuditFilter::default(), 9).await.unwrap();
    assert_eq!((set(None).await, audit().await.len()), (None, 0), "nothing changed");
    assert_eq!(set(Some("first")).await, None);
    assert_eq!(set(Some("second")).await.as_deref(), Some("first"));
    let notes = noted().await;
    let [CauseNote { cause: of, text, actor, at }] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((*of, text.as_str(), actor.as_str()), (cause, "second", "anna"));
    assert!((f.store.now() - 60_000..=f.store.now()).contains(at));
    assert_eq!(set(None).await.as_deref(), Some("second"));
    assert_eq!(noted().await, []);
    let before: Vec<_> = audit().await.into_iter().map(|row| row.before).collect();
    assert_eq!(before, [Some("\"second\"".to_owned()), Some("\"first\"".into()), None]);
}
