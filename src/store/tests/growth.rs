//! What costs the same however much is stored: starts, polls, lists and steps of pruning read by an index. And whether
//! the store can be written is proven.

use super::statements::{plan_of, reads_by};
use super::stores::SqlStore;
use super::*;
use crate::batch::BatchId;
use crate::batch::cause::CauseId;
use crate::batch::ledger::BatchState;
use crate::store::audit::{self, AuditAction, AuditFilter, AuditId};
use crate::store::connections::{ConnectionRow, WriteOutcome};
use crate::store::discarded::{self, DiscardedFilter};
use crate::store::ledger::{BatchFilter, BatchPlace};
use crate::store::shelf::{
    CONNECTED_SINCE, COUNTS, CauseFilter, Held, LEASE_SUSPECT, OLDEST, Order, STEP_END, ShelfId, ShelfState,
    ShelfTotal, UNCOUNTED, WITHOUT_CAUSE, bodies_statement, counting_statement, failing_statement, filling_statement,
    held_statement, lease_statement, notes_statement, page_statement, removal_statement, samples_statement,
    shares_statement, shed_statement, tenants_statement, totals_statement,
};

on_both! {
    starts_polls_and_lists_read_by_an_index,
    what_waits_for_a_connection_is_due_once_it_is_verified_anew,
    a_list_is_read_page_by_page_in_the_order_of_arrival,
    the_newest_come_first_and_all_are_counted_up_to_a_bound,
    what_waits_is_found_by_tenant_and_reason_up_to_a_bound,
    an_unknown_outcome_keeps_only_batches_of_its_own_account,
    what_stays_is_examined_once_in_a_round,
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl SqlStore {
    /// Enters a connection in place of the tenant's present one.
    async fn connect(&self, row: &ConnectionRow) {
        let epoch = self.store.connection(&row.tenant).await.unwrap().map_or(0, |stored| stored.epoch);
        let row = ConnectionRow { epoch, ..row.clone() };
        assert_eq!(self.store.set_connection(&row).await.unwrap(), WriteOutcome::Done);
    }
}

/// The ends of tables on which the worker's statements work, so that a plan is worth a choice.
pub(super) async fn fill(f: &SqlStore, rows: i64) {
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
    let shelf = format!(
        "{numbers} INSERT INTO shelf (identity, generation, state, reason, tenant_id, batch_id, connection, waits_for, \
         due_at, parks, arrived_at, shelved_at, headers, body, cause) SELECT 'acme/b' || i || '/1:f', 1, \
         CASE WHEN i % 10 = 0 THEN 'dead' ELSE 'parked' END, CASE WHEN i % 7 = 0 THEN 'no_room' ELSE 'key_refused' END, \
         'acme', 'b' || i, 'v1', CASE WHEN i % 10 = 0 THEN 'person' WHEN i % 3 = 0 THEN 'time' ELSE 'connection' END, \
         2000000 + i, 1, i / 3, 900000, '{{}}', {}, i % 12 FROM n",
        if f.config.is_shared() { "''" } else { "x''" }
    );
    let batches = format!(
        "{numbers} INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
         claimed_at, first_seen_at, settled_at, pruned_at) SELECT 'acme', 'old' || i, '1:f', 'delivered', 1, 3, '[]', \
         '[]', i, i, i, CASE WHEN i % 2 = 0 THEN i END FROM n"
    );
    let outbox = format!(
        "{numbers} INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
         SELECT 'e' || i, 'k', 'k', 'acme/old' || i, '', i, i, i FROM n"
    );
    let history = format!(
        "{numbers} INSERT INTO batch_history (tenant_id, batch_id, place, kind, reason, first_at, last_at, times) \
         SELECT 'acme', 'old' || i, 1, 'retried', 'server_error', i, i, 1 FROM n"
    );
    let pushes = format!(
        "{numbers} INSERT INTO pushes (push_id, account, tenant_id, connection, project_id, folder_id, cases, holder, claimed_at, \
         ended_at, first_id, last_id, batches) SELECT 'p' || i, 'https://acme.testmo.net', 'acme', 'v1', 1, 2, 5, 'w', i, i, i * 5, \
         i * 5 + 4, '[]' FROM n"
    );
    let mut conn = f.store.writing().await.unwrap();
    for sql in [shelf, batches, outbox, history, pushes] {
        sql::execute(&mut conn, sql, vec![]).await.unwrap();
    }
}

async fn starts_polls_and_lists_read_by_an_index(f: SqlStore) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    fill(&f, 3_000).await;
    let dialect = Dialect::of(&f.store.reading().await.unwrap());
    let int = Bound::Int;
    let text = |text: &str| Bound::Text(text.into());
    let place = || vec![int(9), int(50), int(1), text("acme"), text("b")];
    let mut statements = vec![
        (health::LATEST_TIMES.to_owned(), vec![], "batches_by_arrival"),
        ("UPDATE shelf SET holder = NULL WHERE lease_until IS NOT NULL".to_owned(), vec![], "shelf_leased"),
        (tenants_statement(), vec![int(1_000_000), int(100)], "shelf_by_connection"),
        (
            lease_statement(dialect),
            vec![int(1_000_000), int(1_100_000), text("w"), text("acme"), int(5), int(1_000_000)],
            "shelf_by_connection",
        ),
        (
            LEASE_SUSPECT.to_owned(),
            vec![int(2_100_000), text("w"), int(2_000_000), int(i64::MIN), int(i64::MIN)],
            "shelf_suspects_due",
        ),
        (prune::UNCLEAR.to_owned(), vec![int(9), int(1), text("acme"), text("b"), int(50)], "batches_in_doubt"),
        (prune::examine_batches(dialect), place(), "batches_to_prune"),
        (prune::examine_events(dialect), place(), "outbox_by_age"),
        (history::examine_history(dialect), place(), "batch_history_by_time"),
    ];
    for index in ["pushes_by_ids", "pushes_wide"] {
        for sql in [ledger::HOLDERS, ledger::AROUND] {
            let ids = vec![text("https://acme.testmo.net"), int(700), int(710)];
            statements.push((sql.to_owned(), ids, index));
        }
    }
    let by_place = if dialect.is_shared() { "batch_history_pkey" } else { "PRIMARY KEY (tenant_id=? AND batch_id=?" };
    statements.push((history::ENTRIES.to_owned(), vec![text("acme"), text("old7")], by_place));
    let keys = text(r#"[{"tenant":"acme","batch":"old7"}]"#);
    statements.push((history::recent_statement(dialect), vec![keys, int(6)], by_place));
    statements.push((shed_statement(dialect), vec![int(100)], "shelf_skimmed"));
    let identities = text(r#"[{"identity":"acme/b7/1:f"}]"#);
    let by_identity = if dialect.is_shared() { "shelf_identity_key" } else { "(identity=?)" };
    statements.push((removal_statement(dialect), vec![identities], by_identity));
    statements.push((COUNTS.to_owned(), vec![], "shelf_by_state"));
    statements.push((OLDEST.to_owned(), vec![], "shelf_oldest"));
    let group = vec![int(9), text("acme"), text("key_refused")];
    statements.push((super::waiting::group_statement(true), group, "shelf_by_state"));
    statements.push((super::waiting::NEXT_GROUP.to_owned(), vec![text("acme"), text("a")], "shelf_by_state"));
    let after = vec![int(9), int(0), int(10)];
    statements.push((CONNECTED_SINCE.to_owned(), after, "shelf_by_state"));
    statements.push((held_statement(), vec![text("acme")], "shelf_by_connection"));
    let (from, to) = (|| [int(3), text("dead")], [int(4), text("parked")]);
    statements.push((STEP_END.to_owned(), from().into_iter().chain([int(50)]).collect(), "shelf_by_share"));
    let filter = CauseFilter { tenant: Some(tenant()), state: Some(ShelfState::Dead) };
    let (shares, parameters) = shares_statement(&filter);
    statements.push((shares, from().into_iter().chain(to).chain(parameters).collect(), "shelf_by_share"));
    let causes = || vec![text(r#"[{"cause":7},{"cause":9}]"#)];
    statements.push((samples_statement(dialect), causes(), "shelf_by_cause"));
    let by_note = if dialect.is_shared() { "cause_notes_pkey" } else { "sqlite_autoindex_cause_notes" };
    statements.push((notes_statement(dialect), causes(), by_note));
    statements.push((UNCOUNTED.to_owned(), vec![int(50)], "shelf_uncounted"));
    // Two indexes begin with the cause.
    statements.push((WITHOUT_CAUSE.to_owned(), vec![int(50)], "shelf_by_"));
    let found = text(r#"[{"entry":7,"seen":1,"found":9}]"#);
    let by_id = if dialect.is_shared() { "shelf_pkey" } else { "INTEGER PRIMARY KEY" };
    statements.push((filling_statement(dialect), vec![found], by_id));
    let counted = || vec![text(r#"[{"entry":7,"seen":1,"found":9}]"#)];
    statements.push((counting_statement(dialect), counted(), by_id));
    statements.push((bodies_statement(dialect), counted(), by_id));
    let audit = |filter: AuditFilter| audit::page_statement(&filter, 50);
    for (filter, index) in [
        (AuditFilter { behind: Some((9, AuditId(7))), ..AuditFilter::default() }, "audit_by_time"),
        (AuditFilter { tenant: Some(tenant()), ..AuditFilter::default() }, "audit_by_tenant"),
        (
            AuditFilter { tenant: Some(tenant()), batch: BatchId::new("b7").ok(), ..AuditFilter::default() },
            "audit_by_batch",
        ),
        (AuditFilter { actor: Some("anna".into()), ..AuditFilter::default() }, "audit_by_actor"),
        (AuditFilter { subject: Some("shelf 00000007".into()), ..AuditFilter::default() }, "audit_by_subject"),
        (AuditFilter { action: Some(AuditAction::PauseLane), ..AuditFilter::default() }, "audit_by_action"),
    ] {
        let (sql, parameters) = audit(filter);
        statements.push((sql, parameters, index));
    }
    statements.push((audit::forgetting_statement(dialect), vec![int(9), int(50)], "audit_by_time"));
    for (filter, index) in [
        (DiscardedFilter { behind: Some((9, ShelfId(7))), ..DiscardedFilter::default() }, "discarded_by_time"),
        (DiscardedFilter { tenant: Some(tenant()), ..DiscardedFilter::default() }, "discarded_by_tenant"),
    ] {
        let (sql, parameters) = discarded::page_statement(dialect, &filter, 50);
        statements.push((sql, parameters, index));
    }
    statements.push((discarded::removal_statement(dialect), vec![int(9), int(50)], "discarded_by_time"));
    let (failing, parameters) = failing_statement();
    statements.push((failing, parameters, "shelf_failing"));
    let acme = || Some(tenant());
    let place = BatchPlace { first_seen_at: 7, key: "acme/b7".parse().unwrap() };
    let of = |tenant, state| BatchFilter { tenant, state, since: Some(2), until: Some(9_999) };
    for (filter, index) in [
        (of(None, None), "batches_by_arrival"),
        (of(acme(), None), "batches_by_tenant_and_arrival"),
        (of(None, Some(BatchState::Delivered)), "batches_by_arrival"),
        (of(None, Some(BatchState::Failed)), "batches_in_rare_states"),
        (of(acme(), Some(BatchState::Partial)), "batches_of_tenant_in_rare_states"),
        (of(None, Some(BatchState::Open)), "batches_not_finished"),
        (of(acme(), Some(BatchState::Open)), "batches_not_finished"),
    ] {
        for after in [None, Some(&place)] {
            let (sql, parameters) = ledger::list_statement(&filter, after, 50);
            statements.push((sql, parameters, index));
        }
        let (sql, parameters) = ledger::totals_statement(&filter, 50);
        statements.push((sql, parameters, index));
    }
    for tenant in [None, acme()] {
        let (sql, parameters) = ledger::recent_statement(7, tenant.as_ref(), 50);
        statements.push((sql, parameters, "batches_to_prune"));
    }
    let batch = || Some(BatchId::new("b7").unwrap());
    for (filter, index) in [
        (ShelfFilter::default(), "shelf_by_age"),
        (ShelfFilter { state: Some(ShelfState::Dead), ..ShelfFilter::default() }, "shelf_by_state_and_age"),
        (ShelfFilter { reason: Some(Reason::NoRoom), ..ShelfFilter::default() }, "shelf_by_reason_and_age"),
        (ShelfFilter { tenant: acme(), state: Some(ShelfState::Parked), ..ShelfFilter::default() }, "shelf_by_arrival"),
        (ShelfFilter { tenant: acme(), batch: batch(), ..ShelfFilter::default() }, "shelf_by_batch"),
        // Of few rows of a cause, a server also takes the index of the groups.
        (
            ShelfFilter { cause: CauseId::from_number(7), ..ShelfFilter::default() },
            if dialect.is_shared() { "shelf_by_" } else { "shelf_by_cause" },
        ),
    ] {
        for from in [(Order::OldestFirst, None), (Order::OldestFirst, Some((7, 8))), (Order::NewestFirst, Some((7, 8)))]
        {
            let (sql, parameters) = page_statement(dialect, "*", &filter, from, 50);
            statements.push((sql, parameters, index));
        }
        let (sql, parameters) = totals_statement(dialect, &filter, 50);
        statements.push((sql, parameters, index));
    }
    for (sql, parameters, index) in statements {
        let plan = reads_by(&f, (sql.clone(), parameters), index).await;
        for table in ["shelf", "batches", "outbox", "audit", "batch_history", "discarded"] {
            let whole = [format!("SCAN {table}\n"), format!("Seq Scan on {table}")];
            assert!(whole.iter().all(|whole| !plan.contains(whole)), "{table} is read whole by {sql}:\n{plan}");
        }
    }
}

#[tokio::test]
async fn counting_the_shelf_sorts_none_of_its_rows() {
    let f = sqlite().await;
    let plan = plan_of(&f, COUNTS, &[]).await;
    let (rows, groups) = plan.split_once("SCAN by_tenant").expect("a plan that groups twice");
    assert!(!rows.contains("TEMP B-TREE") && groups.contains("TEMP B-TREE"), "{plan}");
}

async fn what_waits_for_a_connection_is_due_once_it_is_verified_anew(f: SqlStore) {
    let failed_with = async |batch: &str, version: Option<&str>| {
        let content = Shelving { connection: version.map(Into::into), ..shelving(batch, ShelvedUntil::Connection) };
        f.store.commit(Commit { shelve: Some(content), ..Commit::default() }.into()).await.unwrap();
    };
    for (batch, version) in [("none", None), ("older", Some("v1")), ("newer", Some("v3")), ("same", Some("v2"))] {
        failed_with(batch, version).await;
    }
    let verified = |verified_at| ConnectionRow { verified_at: Some(verified_at), ..connection("v2", true) };
    f.store.set_connection(&connection("v2", false)).await.unwrap();
    let lease = async || {
        let due = f.store.due_tenants(9).await.unwrap()[0].is_due;
        let leased = f.store.lease_due("w", HOUR, &[(tenant(), 9)], usize::MAX).await.unwrap();
        assert_eq!(due, !leased.is_empty());
        leased.into_iter().map(|row| row.id.0).collect::<Vec<_>>()
    };
    assert_eq!(lease().await, [0; 0], "the connection does not work");
    let held = async || f.store.held_of(&tenant()).await.unwrap();
    assert_eq!(held().await, []);
    f.connect(&verified(1)).await;
    assert_eq!(lease().await, [1, 2, 3], "the last one failed after the connection was verified");
    assert_eq!(held().await, [Held { reason: Reason::KeyRefused, batches: 1 }], "that one waits for a person");
    f.connect(&verified(1_000_001)).await;
    assert_eq!(held().await, []);
    assert_eq!(lease().await, [4]);
    assert_eq!(lease().await, [0; 0], "all of them are leased");
}

async fn a_list_is_read_page_by_page_in_the_order_of_arrival(f: SqlStore) {
    fill(&f, 1_201).await;
    let all: Vec<i64> = f.store.shelf_ids(&ShelfFilter::default()).await.unwrap().iter().map(|id| id.0).collect();
    assert_eq!(all, (1..=1_201).collect::<Vec<_>>());
    let of_tenant = ShelfFilter { tenant: Some(tenant()), ..ShelfFilter::default() };
    let ids = |rows: Vec<ShelfId>| rows.into_iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(ids(f.store.shelf_ids(&of_tenant).await.unwrap()), all, "whatever the state");
    let dead = ShelfFilter { state: Some(ShelfState::Dead), ..of_tenant.clone() };
    assert_eq!(ids(f.store.shelf_ids(&dead).await.unwrap()), (10..=1_200).step_by(10).collect::<Vec<_>>());
    for most in [0, 1, 500, 501] {
        let rows = f.store.shelf(&of_tenant, most).await.unwrap();
        assert_eq!(ids(rows.iter().map(|row| row.id).collect()), (1..=i64::from(most)).collect::<Vec<_>>());
    }
    let since = ShelfFilter { since: Some(900_001), ..of_tenant };
    assert!(f.store.shelf_ids(&since).await.unwrap().is_empty());
}

async fn the_newest_come_first_and_all_are_counted_up_to_a_bound(f: SqlStore) {
    fill(&f, 1_201).await;
    let ids = |rows: Vec<crate::store::shelf::Shelved>| rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>();
    let of_reason = ShelfFilter { reason: Some(Reason::NoRoom), ..ShelfFilter::default() };
    for filter in [ShelfFilter::default(), ShelfFilter { tenant: Some(tenant()), ..ShelfFilter::default() }] {
        for most in [1, 500, 501, u32::MAX] {
            let newest: Vec<i64> = (1..=1_201).rev().take(usize::try_from(most).unwrap()).collect();
            assert_eq!(ids(f.store.newest_on_shelf(&filter, most).await.unwrap()), newest);
        }
    }
    assert_eq!(ids(f.store.newest_on_shelf(&of_reason, 2).await.unwrap()), [1_197, 1_190], "whatever the state");
    let total = |state, reason, count| ShelfTotal { state, reason: Some(reason), tenant: Some(tenant()), count };
    let (totals, is_all) = f.store.shelf_totals(&ShelfFilter::default(), 1_201).await.unwrap();
    let expected = [
        total(ShelfState::Dead, Reason::KeyRefused, 103),
        total(ShelfState::Dead, Reason::NoRoom, 17),
        total(ShelfState::Parked, Reason::KeyRefused, 927),
        total(ShelfState::Parked, Reason::NoRoom, 154),
    ];
    assert_eq!((totals, is_all), (expected.to_vec(), false), "there may be more");
    let (totals, is_all) = f.store.shelf_totals(&of_reason, 172).await.unwrap();
    assert_eq!((totals.iter().map(|total| total.count).collect::<Vec<_>>(), is_all), (vec![17, 154], true));
    let of_tenant = ShelfFilter { tenant: Some(tenant()), ..of_reason.clone() };
    let (totals, is_all) = f.store.shelf_totals(&of_tenant, 100).await.unwrap();
    assert_eq!((totals.iter().map(|total| total.count).collect::<Vec<_>>(), is_all), (vec![100, 17], false));
    let later = ShelfFilter { since: Some(900_001), ..ShelfFilter::default() };
    assert_eq!(f.store.shelf_totals(&later, 5_000).await.unwrap(), (vec![], true));
    assert_eq!(
        f.store.batch_totals(&BatchFilter::default(), 9).await.unwrap(),
        [("delivered".into(), "acme".into(), 9)]
    );
    assert_eq!(
        f.store.batch_totals(&BatchFilter { tenant: Some(tenant()), ..BatchFilter::default() }, 9_999).await.unwrap()
            [0]
        .2,
        1_201
    );
}

async fn what_waits_is_found_by_tenant_and_reason_up_to_a_bound(f: SqlStore) {
    use crate::store::shelf::ShelfIdentity;
    use crate::store::waiting::WaitingGroup;
    fill(&f, 1_401).await;
    let raw = Shelving {
        identity: ShelfIdentity::Raw("h".into(), None, None),
        reason: Reason::Suspect,
        arrived_at: 77,
        ..shelving("x", ShelvedUntil::After(HOUR))
    };
    f.store.commit(Commit { shelve: Some(raw), ..Commit::default() }.into()).await.unwrap();
    f.store.lease_due("w", HOUR, &[(tenant(), 1)], usize::MAX).await.unwrap();
    let (groups, is_more) = f.store.waiting(9).await.unwrap();
    let said: Vec<_> = groups.iter().map(|group| (group.tenant.clone(), group.reason, group.count)).collect();
    let expected = [
        (None, Some(Reason::Suspect), 1),
        (Some(tenant()), Some(Reason::KeyRefused), 1_001),
        (Some(tenant()), Some(Reason::NoRoom), 180),
    ];
    assert_eq!((said, is_more), (expected.to_vec(), false));
    let WaitingGroup { oldest, due_at, leased, lease_until, .. } = groups[2].clone();
    assert_eq!((oldest, due_at, leased, lease_until), (2, Some(2_000_021), 0, None));
    let (groups, is_more) = f.store.waiting(1).await.unwrap();
    assert_eq!((groups.len(), is_more), (2, true));
    assert_eq!(f.store.requests_under_way().await.unwrap(), []);
}

/// A batch that is stored as it is now, sent to an account.
async fn stored(f: &SqlStore, batch: &str, account: &str, state: &str, doubt_since: &str, open_push: &str) {
    let settled_at = if state == "open" { "NULL" } else { "2000000" };
    let sql = format!(
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, claimed_at, first_seen_at, settled_at) VALUES ('acme', '{batch}', '1:f', '{state}', 1, 3, \
         '[{{\"account\":\"{account}\",\"project\":1,\"folder\":2}}]', '[{{\"k\":\"a\",\"s\":\"waiting\"}}]', {open_push}, \
         {doubt_since}, 1, 1, {settled_at})"
    );
    sql::execute(&mut f.store.writing().await.unwrap(), sql, vec![]).await.unwrap();
}

async fn an_unknown_outcome_keeps_only_batches_of_its_own_account(f: SqlStore) {
    let open = |tag: &str| format!("'{{\"id\":\"p\",\"connection\":\"v\",\"batch_tag\":{tag},\"committed\":false}}'");
    stored(&f, "unclear tagged", "https://a", "open", "1000000", &open("\"sqai-x\"")).await;
    stored(&f, "unclear untagged", "https://b", "open", "1000000", &open("null")).await;
    for account in ["a", "b", "c"] {
        stored(&f, account, &format!("https://{account}"), "delivered", "NULL", "NULL").await;
    }
    let pruned = async |days: i64| {
        f.set_time(2_000_000 + 86_400_000 * days).await;
        f.store.prune(DAY * 30, 9).await.unwrap().batches
    };
    assert_eq!(pruned(31).await, 1, "the one of another account");
    assert_eq!(pruned(59).await, 0);
    assert_eq!(pruned(61).await, 1, "after twice the retention the tag is enough");
    assert_eq!(pruned(9_999).await, 0, "without a tag there is no end, and an unknown outcome stays");
    for (batch, cases) in [("a", 0), ("b", 1), ("c", 0), ("unclear tagged", 1), ("unclear untagged", 1)] {
        let sql = format!("SELECT cases FROM batches WHERE tenant_id = 'acme' AND batch_id = '{batch}'");
        let rows = sql::fetch(&mut f.store.reading().await.unwrap(), sql, vec![]).await.unwrap();
        assert_eq!(rows[0].text("cases").unwrap().matches("waiting").count(), cases, "{batch}");
    }
}

async fn what_stays_is_examined_once_in_a_round(f: SqlStore) {
    for n in 0..4 {
        stored(&f, &format!("a{n}"), "https://a", "open", "NULL", "NULL").await;
        stored(&f, &format!("b{n}"), "https://a", "of_a_later_version", "NULL", "NULL").await;
        stored(&f, &format!("c{n}"), "https://a", "delivered", "NULL", "NULL").await;
    }
    f.store.commit(Commit { events: vec![event("unsent")], ..Commit::default() }.into()).await.unwrap();
    f.set_time(2_000_000 + 86_400_000 * 31).await;
    let mut round = f.store.begin_pruning(DAY * 30).await.unwrap();
    assert_eq!(round.reached(), None);
    let mut steps = Vec::new();
    while !round.is_done() {
        steps.push(f.store.prune_step(&mut round, 3).await.unwrap().batches);
    }
    assert_eq!(steps, [0, 2, 2], "four that stay, and then four that go");
    assert_eq!(round.reached(), Some(round.before));
    assert_eq!(f.store.unsent_count().await.unwrap(), 1);
}
