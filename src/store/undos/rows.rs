//! Stores the steps of undos.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Dialect, Kind};
use super::UndoStep;
use crate::batch::undo::UndoItem;
use crate::batch::{BatchKey, json_of};

const ITEM: [(&str, Kind); 2] = [("at_place", Kind::Int), ("item", Kind::Text)];

/// Stores a step in the transaction of `conn`.
pub(in crate::store) async fn store(
    conn: &mut AnyConnection,
    now: i64,
    key: &BatchKey,
    step: &UndoStep,
) -> Result<(), StoreError> {
    if let Some(begin) = &step.begins {
        let sql = "INSERT INTO undos (tenant_id, batch_id, number, kind, how, state_before, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let mut bounds = place_of(key, step.number);
        bounds.extend(
            [begin.kind.name(), &json_of(&begin.how), begin.before.name()].map(|text| Bound::Text(text.to_owned())),
        );
        bounds.push(Bound::Int(now));
        sql::execute(conn, sql, bounds).await?;
    }
    if !step.items.is_empty() {
        let row = |(place, item): &(u32, UndoItem)| json!({"at_place": place, "item": json_of(item)});
        let rows: Vec<Value> = step.items.iter().map(row).collect();
        let sql = format!(
            "INSERT INTO undo_items (tenant_id, batch_id, number, place, body) SELECT $2, $3, $4, at_place, item FROM {} \
             WHERE true ON CONFLICT (tenant_id, batch_id, number, place) DO UPDATE SET body = excluded.body",
            Dialect::of(conn).rows(&ITEM)
        );
        let bounds = [Bound::from(rows.as_slice())].into_iter().chain(place_of(key, step.number)).collect();
        sql::execute(conn, sql, bounds).await?;
    }
    if step.ends {
        let sql = "UPDATE undos SET ended_at = $4 WHERE tenant_id = $1 AND batch_id = $2 AND number = $3";
        let mut bounds = place_of(key, step.number);
        bounds.push(Bound::Int(now));
        sql::execute(conn, sql, bounds).await?;
    }
    Ok(())
}

pub(super) fn of_batch(key: &BatchKey) -> Vec<Bound> {
    [key.tenant.as_str(), key.batch.as_str()].map(|name| Bound::Text(name.to_owned())).into()
}

pub(super) fn place_of(key: &BatchKey, number: u64) -> Vec<Bound> {
    let mut bounds = of_batch(key);
    bounds.push(Bound::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    bounds
}
