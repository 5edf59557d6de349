//! Opens an account as a person orders, and makes due what waits on the shelf for it.

use std::collections::BTreeSet;

use super::super::audit::{self, AuditEntry};
use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};
use super::AccountStates;
use crate::batch::Reason;

/// How many rows of the shelf are made due in one transaction: workers store in between.
const STEP: u64 = 500;

/// Why a row waits on the shelf for its account.
const FOR_ITS_ACCOUNT: [Reason; 5] =
    [Reason::Throttled, Reason::NoRoom, Reason::ServerError, Reason::NoAnswer, Reason::Unreachable];

impl Store {
    /// Ends an account's rate-limit pause and closes its circuit breaker, and makes due what waits on the shelf for that.
    /// Returns whether the account was closed; only then are the entries of the audit stored.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read what is known of the account. The account may then be
    /// open, and part of the shelf due.
    pub async fn open_account(&self, account: &str, audit: &[AuditEntry]) -> Result<bool, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let mut known = AccountStates::keep(transaction.conn()?, BTreeSet::from([account])).await?;
        known.readable(account)?;
        let was_closed = known.open(account, now);
        known.store(transaction.conn()?).await?;
        audit::put(transaction.conn()?, now, audit.iter().filter(|_| was_closed)).await?;
        transaction.commit().await?;
        let sql = "SELECT tenant_id FROM connections WHERE origin = $1 ORDER BY tenant_id";
        let tenants = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Text(account.into())]).await?;
        for tenant in &tenants {
            let tenant = tenant.text("tenant_id")?;
            while self.make_due(&tenant).await? == STEP {}
        }
        Ok(was_closed)
    }

    /// Makes some rows due now that wait for a later time; returns how many.
    async fn make_due(&self, tenant: &str) -> Result<u64, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let reasons = FOR_ITS_ACCOUNT.map(|reason| format!("'{}'", reason.code())).join(", ");
        let sql = format!(
            "UPDATE shelf SET due_at = $1 WHERE id IN (SELECT id FROM shelf WHERE tenant_id = $2 AND state = 'parked' \
             AND waits_for = 'time' AND due_at > $1 AND reason IN ({reasons}) LIMIT {STEP})"
        );
        sql::execute(&mut conn, sql, vec![Bound::Int(now), Bound::Text(tenant.into())]).await
    }
}
