//! Finds what waits, over all workers: on the shelf by tenant and reason, and in requests that are under way.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};
use crate::batch::{Reason, TenantId};

/// Of a group at most so many rows are read.
pub const MOST_READ: u64 = 1_001;

/// Parked batches of one tenant with one reason. Of a group with more than a thousand, times are those of a thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingGroup {
    /// Whose they are; `None` for messages of which that could not be read.
    pub tenant: Option<TenantId>,
    /// Why they wait; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// How many there are, at most [`MOST_READ`].
    pub count: u64,
    /// When the oldest of them arrived, in milliseconds on the store's clock.
    pub oldest: i64,
    /// When the first of them is due, if they wait for a time.
    pub due_at: Option<i64>,
    /// How many of them a worker has taken.
    pub leased: u64,
    /// When the last of these is given to another worker at the latest.
    pub lease_until: Option<i64>,
}

/// Create requests of a tenant to an account that are under way, or whose worker has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequests {
    /// The account.
    pub account: String,
    /// The tenant.
    pub tenant: String,
    /// How many requests.
    pub requests: u64,
    /// How many cases they have.
    pub cases: u64,
    /// When the last of their claims ends at the latest, in milliseconds on the store's clock.
    pub lease_until: i64,
}

/// Finds the first pair of tenant and reason behind another one.
pub(super) const NEXT_GROUP: &str = "SELECT tenant_id, reason FROM shelf WHERE state = 'parked' \
    AND (tenant_id, reason) > ($1, $2) ORDER BY tenant_id, reason LIMIT 1";

/// Finds the requests that are under way at `$1`.
pub(super) const UNDER_WAY: &str = "SELECT account, tenant_id, COUNT(*) AS n, CAST(SUM(cases) AS BIGINT) AS cases, \
    MAX(lease_until) AS lease_until FROM pushes WHERE ended_at IS NULL AND lease_until > $1 \
    GROUP BY account, tenant_id ORDER BY account, tenant_id";

impl Store {
    /// Returns the groups of parked batches, up to `most` of those with a tenant, and whether there are more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn waiting(&self, most: usize) -> Result<(Vec<WaitingGroup>, bool), StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let mut groups = groups(&mut conn, None, now).await?;
        let (mut found, mut after) = (0, (String::new(), String::new()));
        loop {
            let bounds = vec![Bound::Text(after.0), Bound::Text(after.1)];
            let next = sql::fetch(&mut conn, NEXT_GROUP, bounds).await?;
            let Some(row) = next.first() else { return Ok((groups, false)) };
            if found == most {
                return Ok((groups, true));
            }
            after = (row.text("tenant_id")?, row.text("reason")?);
            groups.extend(self::groups(&mut conn, Some(&after), now).await?);
            found += 1;
        }
    }

    /// Returns the create requests of all workers that are under way.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn requests_under_way(&self) -> Result<Vec<OpenRequests>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let rows = sql::fetch(&mut conn, UNDER_WAY, vec![Bound::Int(now)]).await?;
        let of_row = |row: &AnyRow| {
            Ok(OpenRequests {
                account: row.text("account")?,
                tenant: row.text("tenant_id")?,
                requests: row.whole("n")?,
                cases: row.whole("cases")?,
                lease_until: row.int("lease_until")?,
            })
        };
        rows.iter().map(of_row).collect()
    }
}

/// Returns the statement that reads a group, or the groups without a tenant, at `$1`.
pub(super) fn group_statement(has_tenant: bool) -> String {
    let whose = if has_tenant { "tenant_id = $2 AND reason = $3" } else { "tenant_id IS NULL" };
    format!(
        "SELECT tenant_id, reason, COUNT(*) AS n, MIN(arrived_at) AS oldest, \
         MIN(CASE WHEN waits_for = 'time' THEN due_at END) AS due, \
         CAST(SUM(CASE WHEN lease_until > $1 THEN 1 ELSE 0 END) AS BIGINT) AS leased, \
         MAX(CASE WHEN lease_until > $1 THEN lease_until END) AS leased_until \
         FROM (SELECT tenant_id, reason, arrived_at, waits_for, due_at, lease_until FROM shelf \
         WHERE state = 'parked' AND {whose} LIMIT {MOST_READ}) AS waiting GROUP BY tenant_id, reason ORDER BY reason"
    )
}

async fn groups(
    conn: &mut AnyConnection,
    of: Option<&(String, String)>,
    now: i64,
) -> Result<Vec<WaitingGroup>, StoreError> {
    let mut bounds = vec![Bound::Int(now)];
    if let Some((tenant, reason)) = of {
        bounds.extend([Bound::Text(tenant.clone()), Bound::Text(reason.clone())]);
    }
    let rows = sql::fetch(conn, group_statement(of.is_some()), bounds).await?;
    let group = |row: &AnyRow| {
        Ok(WaitingGroup {
            tenant: row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok()),
            reason: row.text("reason")?.parse().ok(),
            count: row.whole("n")?,
            oldest: row.int("oldest")?,
            due_at: row.maybe_int("due")?,
            leased: row.whole("leased")?,
            lease_until: row.maybe_int("leased_until")?,
        })
    };
    rows.iter().map(group).collect()
}
