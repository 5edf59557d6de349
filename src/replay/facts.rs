//! Gathers what the forecast for an entry depends on.

use crate::account::{Permission, Throttle};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState};
use crate::batch::replay::{AccountState, Circumstances, ConnectionState, LedgerState};
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::connections::ConnectionRow;
use crate::store::shelf::Shelved;

/// Returns what the forecast for an entry depends on at `now`, in milliseconds on the store's clock. `record` is what the
/// ledger holds of its batch; `throttle` is what is known of the account of `connection`.
pub fn circumstances(
    row: &Shelved,
    record: Option<&BatchRecord>,
    connection: Option<&ConnectionRow>,
    throttle: &Throttle,
    overrides: &[LaneOverride],
    now: i64,
) -> Circumstances {
    let state = |connection: &ConnectionRow| ConnectionState {
        verified: connection.is_verified(),
        is_same: row.content.connection.as_deref() == Some(connection.version.as_str()),
        verified_at: connection.verified_at,
    };
    Circumstances {
        reason: row.content.reason,
        shelved_at: row.shelved_at,
        ledger: record.map_or(LedgerState::Unknown, ledger_state),
        connection: connection.map(state),
        account: connection
            .map_or_else(AccountState::default, |connection| account_state(connection, throttle, overrides, now)),
    }
}

fn ledger_state(record: &BatchRecord) -> LedgerState {
    match record.state {
        BatchState::Delivered => LedgerState::Delivered,
        BatchState::Open | BatchState::Partial | BatchState::Failed | BatchState::Discarded | BatchState::Undone => {
            let lost = |state: &CaseState| matches!(state, CaseState::Lost | CaseState::Claimed);
            let is_unclear = record.open_push.is_some()
                || record.unclear_since.is_some()
                || record.cases.iter().any(|case| case.unclear || case.is_writing() || lost(&case.state));
            if is_unclear { LedgerState::Unclear } else { LedgerState::Known }
        }
    }
}

/// Returns what keeps the account of a connection, and its tenant, from sending at `now`.
fn account_state(
    connection: &ConnectionRow,
    throttle: &Throttle,
    overrides: &[LaneOverride],
    now: i64,
) -> AccountState {
    let is_meant = |lane: &LaneSelector| match lane {
        LaneSelector::Tenant(tenant) => *tenant == connection.tenant,
        LaneSelector::Account(account) => *account == connection.origin,
    };
    let paused = overrides.iter().any(|order| order.paused && is_meant(&order.lane));
    let (rate_limited_until, failing_until) = match throttle.permission(now, 1) {
        Permission::Granted { .. } => (None, None),
        Permission::RateLimited { until } => (Some(until), None),
        Permission::Broken { until } => (None, Some(until).filter(|until| *until > now)),
    };
    AccountState { paused, rate_limited_until, failing_until }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Signal;
    use crate::app::fixture::{acme, connection, own, record};

    #[test]
    fn a_record_with_cases_of_unknown_outcome_is_unclear() {
        let state = |change: fn(&mut BatchRecord)| {
            let mut record = record(BatchState::Failed);
            change(&mut record);
            ledger_state(&record)
        };
        assert_eq!(state(|_| {}), LedgerState::Known);
        assert_eq!(state(|record| record.unclear_since = Some(1)), LedgerState::Unclear);
        assert_eq!(state(|record| record.cases[0].state = CaseState::Lost), LedgerState::Unclear);
        assert_eq!(state(|record| record.cases[0].unclear = true), LedgerState::Unclear);
        assert_eq!(state(|record| record.state = BatchState::Delivered), LedgerState::Delivered);
    }

    #[test]
    fn the_account_is_the_one_of_the_tenants_connection() {
        let order = |lane| LaneOverride { lane, paused: true, most: None };
        let row = connection();
        let state =
            |throttle: &Throttle, order| circumstances(&own(), None, Some(&row), throttle, &[order], 1_000).account;
        let other = order(LaneSelector::Account("https://other".into()));
        assert_eq!(state(&Throttle::default(), other.clone()), AccountState::default());
        assert!(state(&Throttle::default(), order(LaneSelector::Tenant(acme()))).paused);
        assert!(state(&Throttle::default(), order(LaneSelector::Account(row.origin.clone()))).paused);
        let mut throttled = Throttle::default();
        throttled.observe(Signal::Throttled(std::time::Duration::from_secs(9)), 1_000, 4);
        assert_eq!(state(&throttled, other).rate_limited_until, Some(10_000));
    }

    #[test]
    fn an_account_that_failed_is_tried_once_its_pause_is_over() {
        let row = connection();
        let state = |throttle: &Throttle| circumstances(&own(), None, Some(&row), throttle, &[], 1_000).account;
        for (until, expected) in [(1_001, Some(1_001)), (1_000, None), (1, None)] {
            let broken = Throttle { breaker_until: Some(until), ..Throttle::default() };
            assert_eq!(state(&broken).failing_until, expected, "{until}");
        }
    }
}
