//! Reports API keys that expire: 14, 7 and 1 days before, on the last day, and when it has happened.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};
use tokio_util::sync::CancellationToken;

use super::every::Every;
use crate::batch::TenantId;
use crate::batch::event::{DaysLeft, Event, key_expired, key_expiring};
use crate::guard::{Task, guarded_now, may_panic};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::worker::context::WorkerContext;
use crate::worker::unit::{panicked, unit};

/// How often the keys are checked. An event is stored once, so a frequent check costs a read only.
const PERIOD: Duration = Duration::from_secs(600);

/// Reports expiring keys until `stop`.
pub(in crate::worker) async fn report_expiring_keys(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(PERIOD, stop);
    while every.is_due().await {
        let reporting = unit(&context, Task::Expiry, &"expiring keys", report_due(&context));
        if let Some(Err(error)) = every.unless_stopped(reporting).await {
            tracing::warn!(%error, "expiring API keys cannot be reported");
        }
    }
}

async fn report_due(context: &WorkerContext) -> Result<(), StoreError> {
    let now = context.clock.now();
    let Some(last) = today(now).and_then(|today| today.checked_add(Span::new().days(DaysLeft::ALL[0].days())).ok())
    else {
        return Ok(());
    };
    let due = |(tenant, expires_on): (TenantId, String)| {
        let reminding = guarded_now(|| {
            may_panic("expiry", &tenant);
            reminder(&tenant, expires_on.parse().ok()?, now)
        });
        reminding.unwrap_or_else(|panic| {
            panicked(context, Task::Expiry, &format!("key of {tenant}"), panic);
            None
        })
    };
    let keys = context.store.keys_expiring_by(&last.to_string()).await?;
    let events: Vec<Event> = keys.into_iter().filter_map(due).collect();
    if !events.is_empty() {
        context.store.commit(Commit { events, ..Commit::default() }.into()).await?;
        context.outbox_wanted.notify_one();
    }
    Ok(())
}

/// Returns the event that is due for a key at `now`, in milliseconds since 1970. The key is valid throughout its last
/// day (UTC).
fn reminder(tenant: &TenantId, expires_on: Date, now: i64) -> Option<Event> {
    let left = today(now)?.until((Unit::Day, expires_on)).ok()?.get_days();
    if left < 0 {
        return Some(key_expired(tenant, expires_on, now));
    }
    let left = u8::try_from(left).ok()?;
    DaysLeft::due(left).map(|due| key_expiring(tenant, expires_on, due, left, now))
}

fn today(now: i64) -> Option<Date> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).ok()?).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_are_due_at_14_7_and_1_days_on_the_last_day_and_after_it() {
        let tenant: TenantId = "acme".parse().unwrap();
        let now = "2026-11-23T23:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        let kind = |date: &str| {
            let event = reminder(&tenant, date.parse().unwrap(), now)?;
            let body: serde_json::Value = serde_json::from_str(&event.body).unwrap();
            Some((event.kind.rsplit('.').nth(1).unwrap().to_owned(), body["data"]["days_left"].as_u64()))
        };
        for (date, expected) in [
            ("2026-12-08", None),
            ("2026-12-07", Some(("expiring", Some(14)))),
            ("2026-12-05", Some(("expiring", Some(12)))),
            ("2026-12-01", Some(("expiring", Some(8)))),
            ("2026-11-30", Some(("expiring", Some(7)))),
            ("2026-11-25", Some(("expiring", Some(2)))),
            ("2026-11-24", Some(("expiring", Some(1)))),
            ("2026-11-23", Some(("expiring", Some(0)))),
            ("2026-11-22", Some(("expired", None))),
            ("2020-01-01", Some(("expired", None))),
        ] {
            let expected = expected.map(|(kind, days)| (kind.to_owned(), days));
            assert_eq!(kind(date), expected, "{date}");
        }
    }

    #[test]
    fn the_same_reminder_has_the_same_id_on_the_next_day() {
        let tenant: TenantId = "acme".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let date = "2026-12-05".parse().unwrap();
        let first = reminder(&tenant, date, at("2026-11-23T00:00:00Z")).unwrap();
        assert_eq!(reminder(&tenant, date, at("2026-11-24T00:00:00Z")).unwrap().id, first.id);
    }
}
