//! Builds the events about a tenant's connection and API key.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::TenantId;
use crate::batch::event::{
    CONNECTION_FAILED, CONNECTION_RESTORED, DAY, Event, KEY_EXPIRED, KEY_EXPIRING, Why, event, event_id,
};
use crate::batch::verdict::reason::Reason;

const RENEW: &str = "Generate a new API key on the user profile page in Testmo and enter it for this connection together \
    with its expiration date; for integrations a separate API user is recommended. Then revoke the old key and others \
    that are no longer used.";
const REPLACE: &str = "Generate a new API key on the user profile page in Testmo and enter it for this connection together \
    with its expiration date; for integrations a separate API user is recommended. Waiting batches are then sent automatically. \
    Once the new key works, revoke the old one and others that are no longer used.";

/// The event data of a connection that stopped working.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConnectionFailed {
    /// The tenant that the connection belongs to.
    pub tenant_id: String,
    /// The version of the connection: equal for equal base URL, key, project, folder and mapping.
    pub version: String,
    /// Grows with each change of the connection: of two events, the one with the higher revision is newer.
    pub revision: u64,
    /// Why the connection does not work.
    #[serde(flatten)]
    pub why: Why,
}

/// The event data of a connection that works again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConnectionRestored {
    /// The tenant that the connection belongs to.
    pub tenant_id: String,
    /// The version of the connection: equal for equal base URL, key, project, folder and mapping.
    pub version: String,
    /// Grows with each change of the connection: of two events, the one with the higher revision is newer.
    pub revision: u64,
    /// The number of batches that waited for the connection and are now sent.
    pub batches: u64,
}

/// The event data of an API key that is about to expire.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyExpiring {
    /// The tenant that the key belongs to.
    pub tenant_id: String,
    /// The last day of the key, such as `2026-12-31`.
    #[schemars(extend("format" = "date", "pattern" = DAY))]
    pub expires_on: String,
    /// The number of days left after the day of the event, at most 14; 0 on the last day. A reminder is due at 14, 7, 1 and 0
    /// days, and later where no worker ran or the date was entered late.
    #[schemars(range(min = 0, max = 14))]
    pub days_left: u8,
    /// What to do, as a text for people.
    pub remedy: &'static str,
}

/// The event data of an API key that has expired.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyExpired {
    /// The tenant that the key belongs to.
    pub tenant_id: String,
    /// The last day of the key, such as `2026-12-31`.
    #[schemars(extend("format" = "date", "pattern" = DAY))]
    pub expires_on: String,
    /// What to do, as a text for people.
    pub remedy: &'static str,
}

/// The reminders of an expiring key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DaysLeft {
    /// On the last day.
    None,
    /// One day before.
    One,
    /// A week before.
    Seven,
    /// Two weeks before.
    Fourteen,
}

impl DaysLeft {
    /// Every reminder, the earliest first.
    pub const ALL: [Self; 4] = [Self::Fourteen, Self::Seven, Self::One, Self::None];

    /// Returns the number of days at which the reminder is first due.
    pub fn days(self) -> u8 {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Seven => 7,
            Self::Fourteen => 14,
        }
    }

    /// Returns the reminder that is due this many days before a key expires; nothing before the first reminder, and once the
    /// key has expired.
    pub fn due(days_left: u8) -> Option<Self> {
        match days_left {
            0 => Some(Self::None),
            1 => Some(Self::One),
            2..=7 => Some(Self::Seven),
            8..=14 => Some(Self::Fourteen),
            _ => None,
        }
    }
}

/// A change of a tenant's connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionChange<'a> {
    /// The tenant that the connection belongs to.
    pub tenant: &'a TenantId,
    /// The version that failed or works again.
    pub version: &'a str,
    /// The epoch of the connection after the change.
    pub epoch: u64,
    /// When the change was noticed, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
}

impl ConnectionChange<'_> {
    fn event(&self, kind: &'static str, data: impl Serialize) -> Event {
        let id = event_id(&["connection", self.tenant.as_str(), self.version, &self.at.to_string(), kind]);
        event(id, kind, Some(self.tenant), None, None, data, self.at)
    }
}

/// Returns the event of a connection that stopped working.
pub fn connection_failed(change: ConnectionChange<'_>, reason: Reason, detail: Option<&str>) -> Event {
    let ConnectionChange { tenant, version, epoch: revision, .. } = change;
    let why = Why::new(reason, detail);
    let data = ConnectionFailed { tenant_id: tenant.to_string(), version: version.into(), revision, why };
    change.event(CONNECTION_FAILED, data)
}

/// Returns the event of a connection that works again; `batches` is the number of batches that waited for it.
pub fn connection_restored(change: ConnectionChange<'_>, batches: u64) -> Event {
    let ConnectionChange { tenant, version, epoch: revision, .. } = change;
    let data = ConnectionRestored { tenant_id: tenant.to_string(), version: version.into(), revision, batches };
    change.event(CONNECTION_RESTORED, data)
}

/// Returns a reminder of a key that expires in so many days; `now` is in milliseconds since 1970-01-01 UTC. The event has the
/// same id on each day on which the same reminder is due.
pub fn key_expiring(tenant: &TenantId, expires_on: Date, reminder: DaysLeft, days_left: u8, now: i64) -> Event {
    let data =
        KeyExpiring { tenant_id: tenant.to_string(), expires_on: expires_on.to_string(), days_left, remedy: RENEW };
    let id = key_event_id(tenant, expires_on, reminder.days(), KEY_EXPIRING);
    event(id, KEY_EXPIRING, Some(tenant), None, None, data, now)
}

/// Returns the event of a key that has expired; `now` is in milliseconds since 1970-01-01 UTC.
pub fn key_expired(tenant: &TenantId, expires_on: Date, now: i64) -> Event {
    let data = KeyExpired { tenant_id: tenant.to_string(), expires_on: expires_on.to_string(), remedy: REPLACE };
    let id = key_event_id(tenant, expires_on, 0, KEY_EXPIRED);
    event(id, KEY_EXPIRED, Some(tenant), None, None, data, now)
}

fn key_event_id(tenant: &TenantId, expires_on: Date, days_left: u8, kind: &str) -> String {
    event_id(&["key", tenant.as_str(), &expires_on.to_string(), &days_left.to_string(), kind])
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::Value;

    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("acme.eu").unwrap()
    }

    fn data(event: &Event) -> Value {
        serde_json::from_str::<Value>(&event.body).unwrap()["data"].take()
    }

    #[test]
    fn events_of_connections_and_keys_read_like_this() {
        let tenant = tenant();
        let change = ConnectionChange { tenant: &tenant, version: "v1", epoch: 7, at: 1_000 };
        let events = [
            connection_failed(change, Reason::KeyRefused, Some("Testmo answered 401 Unauthorized\n")),
            connection_restored(change, 3),
            key_expiring(&tenant, date(2026, 12, 31), DaysLeft::Seven, 5, 0),
            key_expired(&tenant, date(2026, 12, 31), 0),
        ];
        let sentences: Vec<String> =
            events.iter().map(|event| format!("{}\n{}\n{:#}", event.routing_key, event.subject, data(event))).collect();
        insta::assert_snapshot!(sentences.join("\n\n"));
    }

    #[test]
    fn each_change_of_a_connection_is_told_once() {
        let tenant = tenant();
        let change = |version, at| ConnectionChange { tenant: &tenant, version, epoch: 1, at };
        let failed = |change| connection_failed(change, Reason::KeyRefused, None).id;
        let first = failed(change("v1", 5));
        assert_eq!(connection_failed(change("v1", 5), Reason::Forbidden, Some("x")).id, first);
        let restored = connection_restored(change("v1", 5), 1).id;
        for other in [failed(change("v1", 6)), failed(change("v2", 5)), restored] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn each_reminder_of_a_key_is_told_once() {
        let (tenant, day) = (tenant(), date(2026, 12, 31));
        let mut ids: Vec<String> = DaysLeft::ALL.map(|left| key_expiring(&tenant, day, left, left.days(), 0).id).into();
        ids.push(key_expired(&tenant, day, 0).id);
        ids.push(key_expired(&tenant, date(2027, 1, 1), 0).id);
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
        assert_eq!(key_expiring(&tenant, day, DaysLeft::One, 1, 99).id, ids[2]);
        assert_eq!(
            key_expiring(&tenant, day, DaysLeft::Fourteen, 12, 99).id,
            ids[0],
            "of the same reminder, a day later"
        );
    }

    #[test]
    fn a_reminder_that_was_missed_is_made_up_for_until_the_next_one() {
        let due = |days| DaysLeft::due(days).map(DaysLeft::days);
        assert_eq!([15, 14, 10, 7, 3, 1, 0].map(due), [None, Some(14), Some(14), Some(7), Some(7), Some(1), Some(0)]);
    }
}
