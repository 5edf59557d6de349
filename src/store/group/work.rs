//! Carries out what one transaction holds, in the order that keeps replicas from blocking each other.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::accounts::{AccountObservation, AccountStates};
use super::super::ledger::{self, Claim, ClaimOutcome, Commit, CommitOutcome};
use super::super::outbox::{self, PublishAttempt};
use super::super::sql;
use crate::clock::Clock;
use crate::guard;

/// What one transaction carries out.
#[derive(Debug, Default)]
pub(super) struct GroupWork {
    pub(super) claims: Vec<Claim>,
    pub(super) changes: Vec<Arc<Commit>>,
    pub(super) sent: Vec<Vec<PublishAttempt>>,
}

impl GroupWork {
    /// Whether it may be lost: events that the broker has confirmed are then published again, which is allowed.
    pub(super) fn is_only_sent(&self) -> bool {
        self.claims.is_empty() && self.changes.is_empty()
    }
}

impl fmt::Display for GroupWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claimed = self.claims.iter().flat_map(|claim| &claim.batches).map(|batch| batch.record.key.to_string());
        let changed = self.changes.iter().map(|change| match (&change.batch, &change.shelve) {
            (Some(batch), _) => batch.record.key.to_string(),
            (None, Some(shelving)) => format!("{:?}", shelving.identity),
            (None, None) => "another change".into(),
        });
        let sent = self.sent.iter().flatten().map(|time| format!("{time:?}"));
        let named: Vec<String> = claimed.chain(changed).chain(sent).collect();
        f.write_str(&named.join(", "))
    }
}

/// What came of it, in the same order.
pub(super) struct GroupOutcome {
    pub(super) claims: Vec<ClaimOutcome>,
    pub(super) changes: Vec<CommitOutcome>,
}

pub(super) async fn carry_out(
    conn: &mut AnyConnection,
    clock: &Clock,
    begun: i64,
    work: &GroupWork,
) -> Result<GroupOutcome, StoreError> {
    guard::may_panic("transaction", work);
    let GroupWork { claims, changes, sent } = work;
    ledger::lock(conn, changes).await?;
    let observations: Vec<&AccountObservation> =
        changes.iter().filter_map(|change| change.observation.as_ref()).collect();
    let is_news = !claims.is_empty() || AccountStates::is_news(conn, begun, &observations).await?;
    let observed: &[&AccountObservation] = if is_news { &observations } else { &[] };
    let claimed = claims.iter().map(|claim| &claim.account);
    let accounts: BTreeSet<&str> =
        observed.iter().map(|observation| &observation.account).chain(claimed).map(String::as_str).collect();
    let (mut states, mut now) = (AccountStates::default(), begun);
    if !accounts.is_empty() {
        // Before anything else, and then the time: what is observed of an account and granted for it is stored in
        // the order of its times.
        states = AccountStates::keep(conn, accounts).await?;
        now = sql::time(conn, clock).await?;
    }
    // Before a change can make one of them due again.
    outbox::sent(conn, now, sent.iter().flatten().cloned().collect()).await?;
    let changes = ledger::commit(conn, now, changes).await?;
    // An observation holds even if the change that came with it was not stored.
    observed.iter().for_each(|observation| states.observe(observation, now));
    let mut granted = Vec::new();
    if !claims.is_empty() {
        states.count(conn, now).await?;
        granted = ledger::claim(conn, now, claims, &mut states).await?;
    }
    states.store(conn).await?;
    Ok(GroupOutcome { claims: granted, changes })
}
