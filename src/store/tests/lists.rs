//! Checks that lists with several conditions read by an index that has all of them, and find just what the conditions say.

use std::collections::BTreeMap;

use super::growth::fill;
use super::statements::reads_by;
use super::stores::SqlStore;
use super::*;
use crate::batch::cause::CauseId;
use crate::batch::ledger::BatchState;
use crate::batch::{BatchId, TenantId};
use crate::store::audit::{self, AuditAction, AuditFilter};
use crate::store::ledger::{self, BatchFilter};
use crate::store::replays;
use crate::store::shelf::{
    Held, Order, ShelfState, Waiting, holders_statement, page_statement, totals_statement, waiting_statement,
};

on_both! {
    conditions_are_answered_by_the_index_that_is_read,
    an_entry_is_found_by_the_id_of_its_message,
    what_waits_is_counted_up_to_a_bound,
    what_is_held_is_found_for_many_tenants,
}

async fn conditions_are_answered_by_the_index_that_is_read(f: SqlStore) {
    fill(&f, 3_000).await;
    let dialect = Dialect::of(&f.store.reading().await.unwrap());
    let (acme, dead) = (Some(tenant()), Some(ShelfState::Dead));
    let reason = Some(Reason::NoRoom);
    let cause = CauseId::from_number(7);
    let late = ShelfFilter { since: Some(900_001), until: Some(900_009), ..ShelfFilter::default() };
    for (filter, index) in [
        (late.clone(), "shelf_by_age"),
        (ShelfFilter { state: dead, ..late.clone() }, "shelf_by_state_and_age"),
        (ShelfFilter { reason, ..late.clone() }, "shelf_by_reason_and_age"),
        (ShelfFilter { state: dead, reason, ..late.clone() }, "_and_age"),
        (ShelfFilter { tenant: acme.clone(), state: dead, reason, ..late.clone() }, "shelf_by_arrival"),
        (ShelfFilter { cause, state: dead, ..late.clone() }, "shelf_by_cause"),
        // A server takes the one of two indexes by which it expects fewer entries.
        (
            ShelfFilter { cause, tenant: acme.clone(), state: dead, ..late.clone() },
            if dialect.is_shared() { "shelf_by_" } else { "shelf_by_cause" },
        ),
        (
            ShelfFilter { tenant: acme.clone(), batch: BatchId::new("b7").ok(), state: dead, reason, ..late.clone() },
            "shelf_by_batch",
        ),
        (ShelfFilter { message_id: Some("m".into()), ..late.clone() }, "shelf_by_message_id"),
        (
            ShelfFilter { message_id: Some("m".into()), tenant: acme.clone(), state: dead, cause, ..late.clone() },
            "shelf_by_message_id",
        ),
    ] {
        for from in [(Order::NewestFirst, None), (Order::OldestFirst, Some((7, 8)))] {
            reads_by(&f, page_statement(dialect, "*", &filter, from, 50), index).await;
        }
        reads_by(&f, totals_statement(dialect, &filter, 50), index).await;
    }
    let state = |state| BatchFilter { state, ..BatchFilter::default() };
    for (filter, index) in [
        (state(None), "batches_by_arrival"),
        (state(Some(BatchState::Delivered)), "batches_by_arrival"),
        (state(Some(BatchState::Failed)), "in_rare_states"),
        (state(Some(BatchState::Open)), "batches_not_finished"),
        (BatchFilter { tenant: acme.clone(), ..state(Some(BatchState::Delivered)) }, "batches_by_tenant_and_arrival"),
    ] {
        let (sql, parameters) = ledger::list_statement(&filter, None, 50);
        let plan = reads_by(&f, (sql.clone(), parameters), index).await;
        assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{sql} sorts everything:\n{plan}");
    }
    let action = Some(AuditAction::PauseLane);
    let anna = || Some("anna".to_owned());
    for (filter, index) in [
        (AuditFilter { tenant: acme.clone(), actor: anna(), action, ..AuditFilter::default() }, "audit_by_tenant"),
        (
            AuditFilter { subject: anna(), tenant: acme.clone(), actor: anna(), ..AuditFilter::default() },
            "audit_by_subject",
        ),
        (AuditFilter { actor: anna(), action, ..AuditFilter::default() }, "audit_by_actor"),
        (
            AuditFilter { tenant: acme.clone(), batch: BatchId::new("b7").ok(), action, ..AuditFilter::default() },
            "audit_by_batch",
        ),
    ] {
        // A server has no order of indexes while the table is empty.
        let index = if dialect.is_shared() { "audit_by_" } else { index };
        reads_by(&f, audit::page_statement(&filter, 50), index).await;
    }
    let tenants = || vec![Bound::Text(r#"[{"tenant":"acme"}]"#.into())];
    reads_by(&f, (waiting_statement(dialect), tenants()), "shelf_by_").await;
    reads_by(&f, (holders_statement(dialect), tenants()), "shelf_by_connection").await;
    let by_key = if dialect.is_shared() { "replay_parts_pkey" } else { "PRIMARY KEY (replay=?)" };
    let bounds = vec![Bound::Int(7), Bound::Text("{}".into())];
    reads_by(&f, (replays::BEGIN_AGAIN.to_owned(), bounds), by_key).await;
    for (sql, bounds) in [
        (replays::is_lost_statement(dialect), vec![Bound::Int(7)]),
        (replays::lost_statement(dialect), vec![Bound::Int(7), Bound::Int(50), Bound::Int(9)]),
    ] {
        reads_by(&f, (sql, bounds), "replay_items_started").await;
    }
}

async fn an_entry_is_found_by_the_id_of_its_message(f: SqlStore) {
    let ids =
        [Some("m-1"), Some("m-11"), Some("M-1"), Some(r#"a "quoted" one"#), Some(r#"a "#), Some("ü"), Some(""), None];
    for (number, id) in ids.iter().enumerate() {
        let mut headers: BTreeMap<String, String> =
            id.map(|id| ("message_id".to_owned(), id.to_owned())).into_iter().collect();
        headers.insert("app_id".into(), r#""message_id":"m-1""#.into());
        headers.insert("type".into(), "m-1".into());
        let shelving = Shelving { headers, ..shelving(&format!("b{number}"), ShelvedUntil::Person) };
        f.store.commit(Commit { shelve: Some(shelving), ..Commit::default() }.into()).await.unwrap();
    }
    let of = |id: &str| ShelfFilter { message_id: Some(id.into()), ..ShelfFilter::default() };
    for (number, id) in ids.iter().enumerate() {
        let Some(id) = id else { continue };
        let expected = vec![i64::try_from(number).unwrap() + 1];
        for filter in [of(id), ShelfFilter { tenant: Some(tenant()), state: Some(ShelfState::Dead), ..of(id) }] {
            let found: Vec<i64> = f.store.shelf_ids(&filter).await.unwrap().iter().map(|id| id.0).collect();
            assert_eq!(found, expected, "{id:?}");
            let (totals, is_all) = f.store.shelf_totals(&filter, 50).await.unwrap();
            assert_eq!((totals.iter().map(|total| total.count).sum::<u64>(), is_all), (1, true), "{id:?}");
        }
        let parked = ShelfFilter { state: Some(ShelfState::Parked), ..of(id) };
        assert_eq!(f.store.shelf_ids(&parked).await.unwrap(), []);
    }
    for id in ["m-", "m-111", "a \"quoted", "b"] {
        assert_eq!(f.store.shelf_ids(&of(id)).await.unwrap(), [], "{id:?}");
    }
}

async fn what_waits_is_counted_up_to_a_bound(f: SqlStore) {
    let birch: TenantId = "birch".parse().unwrap();
    fill(&f, 90).await;
    let waiting = Waiting { batches: 81, is_more: false, since: Some(0) };
    assert_eq!(f.store.waiting_of(&tenant()).await.unwrap(), waiting);
    let each = f.store.waiting_of_each(&[&tenant(), &birch]).await.unwrap();
    assert_eq!((each[&tenant()], each[&birch]), (waiting, Waiting::default()));
    let more = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) INSERT INTO shelf (identity, \
         generation, state, reason, tenant_id, waits_for, due_at, parks, arrived_at, shelved_at, headers, body) \
         SELECT 'birch/b' || i || '/1:f', 1, 'parked', 'no_room', 'birch', 'time', 5, 1, 7 + i, 9, '{{}}', {} FROM n",
        if f.config.is_shared() { "''" } else { "x''" }
    );
    sql::execute(&mut f.store.writing().await.unwrap(), more, vec![]).await.unwrap();
    let waiting = f.store.waiting_of(&birch).await.unwrap();
    assert_eq!(waiting, Waiting { batches: 10_000, is_more: true, since: Some(8) });
    let one_less = "DELETE FROM shelf WHERE identity = 'birch/b1/1:f'";
    sql::execute(&mut f.store.writing().await.unwrap(), one_less, vec![]).await.unwrap();
    let waiting = f.store.waiting_of(&birch).await.unwrap();
    assert_eq!(waiting, Waiting { batches: 10_000, is_more: false, since: Some(9) });
}

async fn what_is_held_is_found_for_many_tenants(f: SqlStore) {
    let birch: TenantId = "birch".parse().unwrap();
    let shelve = Some(shelving("b", ShelvedUntil::Connection));
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.commit(Commit { shelve, ..Commit::default() }.into()).await.unwrap();
    let held = f.store.held_of_each(&[&birch, &tenant()]).await.unwrap();
    assert_eq!(held, [(tenant(), vec![Held { reason: Reason::KeyRefused, batches: 1 }])].into());
}
