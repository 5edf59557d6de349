//! Stores what the worker that holds a replay has decided, if it still holds it.

use serde_json::{Value, json};

use super::super::sql::{self, Bound, Dialect, Kind, Transaction};
use super::super::{Store, StoreError, audit};
use super::ReplayStep;

const PART: [(&str, Kind); 5] = [
    ("part_no", Kind::Int),
    ("counted_now", Kind::Int),
    ("passed_now", Kind::Int),
    ("known_now", Kind::Text),
    ("why_now", Kind::Text),
];

/// Stores how parts of the replay `$2` are now. Here and below, each row is found by its key: the sum keeps SQLite from reading all
/// rows of the replay first.
pub(in crate::store) fn parts_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replay_parts SET counted = r.counted_now, passed = r.passed_now, known = r.known_now, why = r.why_now \
         FROM {} WHERE replay_parts.replay = $2 + r.part_no * 0 AND replay_parts.part = r.part_no",
        dialect.rows(&PART)
    )
}

/// Marks outcomes of the replay `$2` as counted.
pub(in crate::store) fn counted_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replay_items SET state = 'counted' FROM {} WHERE replay_items.replay = $2 + r.at_place * 0 \
         AND replay_items.place = r.at_place AND replay_items.state = 'ended'",
        dialect.rows(&[("at_place", Kind::Int)])
    )
}

/// Ends entries of the replay `$2` that were not started, at `$3`.
pub(in crate::store) fn passed_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replay_items SET state = 'counted', outcome = r.outcome_now, outcome_detail = r.detail_now, \
         ended_at = $3 FROM {} WHERE replay_items.replay = $2 + r.at_place * 0 AND replay_items.place = r.at_place \
         AND replay_items.state = 'waiting'",
        dialect.rows(&[("at_place", Kind::Int), ("outcome_now", Kind::Text), ("detail_now", Kind::Text)])
    )
}

/// Gives the replay `$1` with the epoch `$2`, which `$3` holds, the state `$4` because of `$5`, at `$6`.
pub(in crate::store) const CHANGE: &str = "UPDATE replays SET state = COALESCE($4, state), \
    why = CASE WHEN $4 IS NULL THEN why ELSE $5 END, epoch = CASE WHEN $4 IS NULL THEN epoch ELSE epoch + 1 END, \
    ended_at = CASE WHEN $4 = 'done' THEN $6 ELSE ended_at END \
    WHERE id = $1 AND epoch = $2 AND holder = $3 AND state = 'running'";

impl Store {
    pub(super) async fn store_step(&self, step: &ReplayStep) -> Result<bool, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let dialect = Dialect::of(conn);
        let (state, why) = match &step.state {
            Some((state, why)) => (Some(state.name().to_owned()), why.clone()),
            None => (None, None),
        };
        let bounds = vec![
            Bound::Int(step.replay.0),
            Bound::Int(step.epoch),
            Bound::Text(step.holder.clone()),
            Bound::MaybeText(state),
            Bound::MaybeText(why),
            Bound::Int(now),
        ];
        if sql::execute(conn, CHANGE, bounds).await? == 0 {
            transaction.roll_back().await?;
            return Ok(false);
        }
        let replay = || Bound::Int(step.replay.0);
        if !step.parts.is_empty() {
            let row = |part: &super::PartProgress| {
                json!({"part_no": part.part, "counted_now": part.counted, "passed_now": part.passed,
                       "known_now": crate::batch::json_of(&part.window), "why_now": part.why})
            };
            let rows: Vec<Value> = step.parts.iter().map(row).collect();
            sql::execute(conn, parts_statement(dialect), vec![Bound::from(rows.as_slice()), replay()]).await?;
        }
        if !step.counted.is_empty() {
            let rows: Vec<Value> = step.counted.iter().map(|place| json!({"at_place": place})).collect();
            sql::execute(conn, counted_statement(dialect), vec![Bound::from(rows.as_slice()), replay()]).await?;
        }
        if !step.passed.is_empty() {
            let row = |end: &super::ItemEnd| json!({"at_place": end.place, "outcome_now": end.outcome.name(), "detail_now": end.detail});
            let rows: Vec<Value> = step.passed.iter().map(row).collect();
            let bounds = vec![Bound::from(rows.as_slice()), replay(), Bound::Int(now)];
            sql::execute(conn, passed_statement(dialect), bounds).await?;
        }
        audit::put(conn, now, step.audit.iter()).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
