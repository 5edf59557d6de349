//! Stores plans step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::super::shelf::{ShelfId, Shelved};
use super::super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::super::{Store, StoreError, audit};
use super::{
    EndedItem, NewItem, NewPart, NewReplay, ReplayChange, ReplayId, ReplayState, ReplayStep, ReplayStore,
    RunningReplay, WaitingItem,
};
use crate::batch::replay::Window;
use crate::store::audit::AuditEntry;

const ITEM: [(&str, Kind); 13] = [
    ("at_place", Kind::Int),
    ("part_no", Kind::Int),
    ("entry_id", Kind::Int),
    ("identity_text", Kind::Text),
    ("epoch_then", Kind::Int),
    ("tenant", Kind::Text),
    ("batch", Kind::Text),
    ("reason_code", Kind::Text),
    ("case_count", Kind::Int),
    ("forecast_name", Kind::Text),
    ("detail_text", Kind::Text),
    ("state_name", Kind::Text),
    ("outcome_name", Kind::Text),
];

const PART: [(&str, Kind); 6] = [
    ("part_no", Kind::Int),
    ("cause_no", Kind::Int),
    ("account_name", Kind::Text),
    ("tenant", Kind::Text),
    ("more", Kind::Int),
    ("known_now", Kind::Text),
];

/// Adds entries to the replay `$2` at `$3`.
pub(in crate::store) fn items_statement(dialect: Dialect) -> String {
    format!(
        "INSERT INTO replay_items (replay, place, part, entry, identity, person_epoch, tenant_id, batch_id, reason, cases, \
         forecast, detail, state, outcome, ended_at) SELECT $2, at_place, part_no, entry_id, identity_text, epoch_then, \
         tenant, batch, reason_code, case_count, forecast_name, detail_text, state_name, outcome_name, \
         CASE WHEN outcome_name IS NULL THEN NULL ELSE $3 END FROM {}",
        dialect.rows(&ITEM)
    )
}

/// Adds batches to parts of the replay `$2`.
pub(in crate::store) fn parts_statement(dialect: Dialect) -> String {
    format!(
        "INSERT INTO replay_parts (replay, part, cause, account, tenant_id, batches, known) \
         SELECT $2, part_no, cause_no, account_name, tenant, more, known_now FROM {} WHERE true \
         ON CONFLICT (replay, part) DO UPDATE SET batches = replay_parts.batches + excluded.batches",
        dialect.rows(&PART)
    )
}

#[async_trait]
impl ReplayStore for Store {
    async fn lease_replays(
        &self,
        holder: &str,
        lease: Duration,
        most: u32,
        known: &[(ReplayId, i64)],
    ) -> Result<Vec<RunningReplay>, StoreError> {
        self.lease_running(holder, lease, most, known).await
    }

    async fn waiting_items(&self, replay: ReplayId, part: u32, most: u32) -> Result<Vec<WaitingItem>, StoreError> {
        self.waiting_in(replay, part, most).await
    }

    async fn ended_items(&self, replay: ReplayId, most: u32) -> Result<Vec<EndedItem>, StoreError> {
        self.ended(replay, most).await
    }

    async fn end_lost_items(&self, replay: ReplayId, most: u32) -> Result<u64, StoreError> {
        self.end_lost(replay, most).await
    }

    async fn advance(&self, step: ReplayStep) -> Result<bool, StoreError> {
        self.store_step(&step).await
    }

    async fn entry(&self, id: ShelfId) -> Result<Option<Shelved>, StoreError> {
        self.shelved(id).await
    }

    async fn create_replay(&self, replay: NewReplay, entry: AuditEntry) -> Result<ReplayId, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let sql = "INSERT INTO replays (epoch, state, name, reason, selection, owner, per_minute, most, unchanged_too, \
                   created_at) VALUES (1, 'planning', $1, $2, $3, $4, $5, $6, $7, $8) RETURNING id";
        let bounds = vec![
            Bound::MaybeText(replay.name),
            Bound::MaybeText(replay.reason),
            Bound::Text(replay.selection),
            Bound::Text(replay.owner),
            Bound::MaybeInt(replay.per_minute.map(i64::from)),
            Bound::MaybeInt(replay.most.map(i64::from)),
            Bound::Int(i64::from(replay.unchanged_too)),
            Bound::Int(now),
        ];
        let rows = sql::fetch(conn, sql, bounds).await?;
        let id = rows.first().map_or(Err(StoreError::malformed("id")), |row| row.int("id"))?;
        let subject = audit::AuditSubject { name: format!("replay {id}"), ..entry.subject.clone() };
        audit::put(conn, now, [AuditEntry { subject, ..entry }].iter()).await?;
        transaction.commit().await?;
        Ok(ReplayId(id))
    }

    async fn add_items(&self, replay: ReplayId, parts: &[NewPart], items: &[NewItem]) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let dialect = Dialect::of(conn);
        if !items.is_empty() {
            let rows: Vec<Value> = items.iter().map(item_row).collect();
            let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(replay.0), Bound::Int(now)];
            sql::execute(conn, items_statement(dialect), bounds).await?;
        }
        let parts: BTreeMap<u32, &NewPart> = parts.iter().map(|part| (part.part, part)).collect();
        if !parts.is_empty() {
            let rows: Vec<Value> = parts.values().map(|part| part_row(part)).collect();
            let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(replay.0)];
            sql::execute(conn, parts_statement(dialect), bounds).await?;
        }
        transaction.commit().await
    }

    async fn change_replay(&self, change: ReplayChange) -> Result<bool, StoreError> {
        self.store_change(change).await
    }

    async fn replay_counts(&self) -> Result<Vec<(ReplayState, u64)>, StoreError> {
        self.counts_of_replays().await
    }

    async fn stopped_replays(&self) -> Result<u64, StoreError> {
        self.count_of_stopped().await
    }

    async fn forget_replays(&self, retention: Duration, most: u32) -> Result<u64, StoreError> {
        self.forget_old_replays(retention, most).await
    }
}

fn item_row(item: &NewItem) -> Value {
    json!({
        "at_place": item.place, "part_no": item.part, "entry_id": item.entry.0, "identity_text": item.identity,
        "epoch_then": item.person_epoch, "tenant": item.tenant.as_ref().map(|tenant| tenant.as_str()),
        "batch": item.batch.as_ref().map(|batch| batch.as_str()), "reason_code": item.reason.code(),
        "case_count": item.cases, "forecast_name": item.forecast.name(), "detail_text": item.detail,
        "state_name": if item.outcome.is_some() { "counted" } else { "waiting" },
        "outcome_name": item.outcome.map(|outcome| outcome.name()),
    })
}

fn part_row(part: &NewPart) -> Value {
    json!({
        "part_no": part.part, "cause_no": part.cause.map(|cause| cause.number()), "account_name": part.account,
        "tenant": part.tenant.as_ref().map(|tenant| tenant.as_str()), "more": part.batches,
        "known_now": crate::batch::json_of(&Window::default()),
    })
}
