//! Finds what has been on the shelf for longest.

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use super::{ShelfAge, ShelfAges};
use crate::batch::Reason;
use crate::batch::verdict::FAILING;

/// Walks from one pair of state and reason to the next by an index, and finds the oldest row of each.
pub(in crate::store) const OLDEST: &str = "WITH RECURSIVE kinds(kind) AS (\
    SELECT (SELECT s.state || ':' || s.reason FROM shelf s ORDER BY s.state || ':' || s.reason LIMIT 1) \
    UNION ALL SELECT (SELECT s.state || ':' || s.reason FROM shelf s WHERE s.state || ':' || s.reason > kinds.kind \
    ORDER BY s.state || ':' || s.reason LIMIT 1) FROM kinds WHERE kinds.kind IS NOT NULL) \
    SELECT kind, (SELECT MIN(s.arrived_at) FROM shelf s WHERE s.state || ':' || s.reason = kind) AS since \
    FROM kinds WHERE kind IS NOT NULL";

impl Store {
    pub(super) async fn ages(&self) -> Result<ShelfAges, StoreError> {
        let mut conn = self.reading().await?;
        let mut ages = ShelfAges::default();
        for row in &sql::fetch(&mut conn, OLDEST, vec![]).await? {
            let kind = row.text("kind")?;
            // What is in a state that this version does not know is left to the newer version.
            let Some((Ok(state), reason)) = kind.split_once(':').map(|(state, reason)| (state.parse(), reason)) else {
                continue;
            };
            let (reason, since): (Option<Reason>, i64) = (reason.parse().ok(), row.int("since")?);
            match ages.oldest.iter_mut().find(|known| known.state == state && known.reason == reason) {
                Some(known) => known.since = known.since.min(since),
                None => ages.oldest.push(ShelfAge { state, reason, since }),
            }
        }
        let (sql, parameters) = failing_statement();
        let rows = sql::fetch(&mut conn, sql, parameters).await?;
        ages.failing_since = rows.first().map(|row| row.maybe_int("since")).transpose()?.flatten();
        Ok(ages)
    }
}

/// Returns the statement that finds since when the parked batch fails that has been failing for longest.
pub(in crate::store) fn failing_statement() -> (String, Vec<Bound>) {
    let of = |n: usize| {
        format!(
            "SELECT MIN(failing_since) AS since FROM shelf WHERE state = 'parked' AND reason = ${n} \
             AND failing_since IS NOT NULL"
        )
    };
    let each: Vec<String> = (1..=FAILING.len()).map(of).collect();
    let parameters = FAILING.iter().map(|reason| Bound::Text(reason.code().into())).collect();
    (format!("SELECT MIN(since) AS since FROM ({}) AS failing", each.join(" UNION ALL ")), parameters)
}
