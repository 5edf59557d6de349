//! Replaces the message of a row by the one that a person made of it, in the transaction of the change that does so.

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound};
use super::EditedMessage;
use crate::batch::message::case_count::cases_of;

/// Keeps others from changing a row until the transaction ends; returns whether its message can be replaced.
pub(in crate::store) async fn hold_edited(
    conn: &mut AnyConnection,
    now: i64,
    edited: &EditedMessage,
) -> Result<bool, StoreError> {
    let sql = "UPDATE shelf SET generation = generation WHERE id = $1 AND generation = $2 \
               AND (lease_until IS NULL OR lease_until <= $3) AND replay IS NULL \
               AND NOT EXISTS (SELECT 1 FROM shelf other WHERE other.identity = $4 AND other.id <> $1)";
    let bounds = vec![
        Bound::Int(edited.id.0),
        Bound::Int(edited.generation),
        Bound::Int(now),
        Bound::Text(edited.identity.to_string()),
    ];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}

/// Replaces the message of a row that is held. Whether and when it is retried stays as it was.
pub(in crate::store) async fn put_edited(conn: &mut AnyConnection, edited: &EditedMessage) -> Result<(), StoreError> {
    let (tenant, batch) = edited.identity.names();
    let sql = "UPDATE shelf SET generation = generation + 1, identity = $2, tenant_id = $3, batch_id = $4, headers = $5, \
               body = $6, lease_until = NULL, holder = NULL, cases = $7, searched = NULL, connection = NULL, \
               person_epoch = person_epoch + 1 WHERE id = $1";
    let bounds = vec![
        Bound::Int(edited.id.0),
        Bound::Text(edited.identity.to_string()),
        Bound::MaybeText(tenant.map(|tenant| tenant.as_str().to_owned())),
        Bound::MaybeText(batch.map(|batch| batch.as_str().to_owned())),
        Bound::Text(crate::batch::json_of(&edited.headers)),
        Bound::Blob(edited.body.clone()),
        Bound::Int(cases_of(&edited.body)),
    ];
    sql::execute(conn, sql, bounds).await.map(drop)
}
