//! Notes how pushes ended, and pushes that were found though the ledger had forgotten them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Dialect, Kind};
use super::{PushEnded, PushFound};

pub(super) async fn store_ends(conn: &mut AnyConnection, now: i64, ends: Vec<&PushEnded>) -> Result<(), StoreError> {
    let row = |end: &PushEnded| {
        json!({"push_id": end.push, "answer": end.answer, "detail": end.detail,
               "first_id": end.ids.map(|ids| ids.0), "last_id": end.ids.map(|ids| ids.1)})
    };
    // Each batch of a push reports its end.
    let mut of_pushes: BTreeMap<&str, PushEnded> = BTreeMap::new();
    for end in ends {
        let ids = of_pushes.get(end.push.as_str()).and_then(|before| before.ids);
        of_pushes.insert(&end.push, PushEnded { ids: around(ids, end.ids), ..end.clone() });
    }
    let rows: Vec<Value> = of_pushes.values().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        ("push_id", Kind::Text),
        ("answer", Kind::Text),
        ("detail", Kind::Text),
        ("first_id", Kind::Int),
        ("last_id", Kind::Int),
    ];
    let sql = format!(
        "UPDATE pushes SET answer = CASE WHEN r.answer = 'adopted' THEN COALESCE(pushes.answer || ', ', '') || r.answer \
         ELSE r.answer END, detail = COALESCE(r.detail, pushes.detail), ended_at = $2, \
         first_id = CASE WHEN r.first_id < COALESCE(pushes.first_id, r.first_id + 1) THEN r.first_id \
         ELSE pushes.first_id END, \
         last_id = CASE WHEN r.last_id > COALESCE(pushes.last_id, r.last_id - 1) THEN r.last_id \
         ELSE pushes.last_id END FROM {} WHERE pushes.push_id = r.push_id",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    Ok(())
}

/// Stores pushes that were found; their ends come with the same changes. That is rare, so each has statements of its own.
pub(super) async fn store_found(conn: &mut AnyConnection, now: i64, found: Vec<&PushFound>) -> Result<(), StoreError> {
    for push in found {
        let text = |text: &str| Bound::Text(text.to_owned());
        let int = |number: u64| Bound::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let (key, target) = (&push.batch, &push.target);
        let sql = "INSERT INTO pushes (push_id, account, project_id, folder_id, tenant_id, connection, batches, cases, \
                   holder, claimed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let bounds = vec![
            text(&push.push),
            text(&target.account),
            int(target.project),
            int(target.folder),
            text(key.tenant.as_str()),
            text(&push.connection),
            Bound::Text(json!([key.to_string()]).to_string()),
            int(push.cases as u64),
            text(&push.holder),
            Bound::Int(now),
        ];
        sql::execute(conn, sql, bounds).await?;
        let sql = "INSERT INTO push_parts (tenant_id, batch_id, push_id) VALUES ($1, $2, $3)";
        let bounds = [key.tenant.as_str(), key.batch.as_str(), &push.push].map(text);
        sql::execute(conn, sql, bounds.into()).await?;
    }
    Ok(())
}

/// The first and last of the ids of two spans: reconciliation finds a push's rows batch by batch, in any order.
fn around(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (ids, None) | (None, ids) => ids,
    }
}
