//! Decides whether and when a failing batch is tried again.

use std::time::Duration;

/// Whether and when a failing batch is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Try again in this process, after a jittered pause.
    InProcess,
    /// Move the batch to the shelf, for this long.
    Shelf(Duration),
    /// Mark the batch dead: it has failed for too long.
    Exhausted,
}

/// The limits that [`patience`] applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatienceLimits {
    /// The most tries in this process before the batch is moved to the shelf.
    pub in_process: u32,
    /// The first time on the shelf; it doubles each time.
    pub first_park: Duration,
    /// The longest time on the shelf.
    pub longest_park: Duration,
    /// How long a batch may fail before it is marked dead.
    pub horizon: Duration,
    /// The least number of times on the shelf before a batch is marked dead.
    pub least_parks: u32,
}

/// Decides whether and when to try again after `tries` failures in this process, `parks` times on the shelf and a
/// failing time of `failing`.
pub fn patience(tries: u32, parks: u32, failing: Duration, limits: &PatienceLimits) -> Patience {
    if tries < limits.in_process {
        Patience::InProcess
    } else if failing >= limits.horizon && parks >= limits.least_parks {
        Patience::Exhausted
    } else {
        let doubled = limits.first_park.saturating_mul(2_u32.saturating_pow(parks.min(20)));
        Patience::Shelf(doubled.min(limits.longest_park))
    }
}

/// How long a batch waits for its tenant to get a connection until that is reported again.
const REMINDER: Duration = Duration::from_secs(24 * 3_600);

/// What follows for a batch whose tenant has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTenant {
    /// It waits.
    Wait,
    /// It waits, and this is reported again.
    Remind,
    /// It has failed, until the tenant gets a connection after all.
    GiveUp,
}

/// Decides what follows for a batch whose tenant has had no connection since it arrived `waited` ago, and which is given up
/// after `limit`.
pub fn unknown_tenant(waited: Duration, limit: Duration) -> UnknownTenant {
    match waited {
        waited if waited >= limit => UnknownTenant::GiveUp,
        waited if waited >= REMINDER => UnknownTenant::Remind,
        _ => UnknownTenant::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PatienceLimits = PatienceLimits {
        in_process: 3,
        first_park: Duration::from_secs(60),
        longest_park: Duration::from_secs(3600),
        horizon: Duration::from_secs(86_400),
        least_parks: 5,
    };

    #[test]
    fn patience_ends_only_after_the_horizon_and_enough_tries() {
        let day = Duration::from_secs(86_400);
        for (tries, parks, failing, expected) in [
            (0, 0, Duration::ZERO, Patience::InProcess),
            (2, 9, day * 2, Patience::InProcess),
            (3, 0, Duration::ZERO, Patience::Shelf(Duration::from_secs(60))),
            (3, 1, Duration::ZERO, Patience::Shelf(Duration::from_secs(120))),
            (3, 30, Duration::ZERO, Patience::Shelf(Duration::from_secs(3600))),
            (3, 4, day, Patience::Shelf(Duration::from_secs(960))),
            (3, 5, day, Patience::Exhausted),
        ] {
            assert_eq!(patience(tries, parks, failing, &LIMITS), expected);
        }
    }

    #[test]
    fn a_batch_of_an_unknown_tenant_waits_is_reported_again_after_a_day_and_is_given_up() {
        let after =
            |hours: u64| unknown_tenant(Duration::from_secs(hours * 3_600), Duration::from_secs(14 * 24 * 3_600));
        assert_eq!([0, 23].map(after), [UnknownTenant::Wait; 2]);
        assert_eq!([24, 14 * 24 - 1].map(after), [UnknownTenant::Remind; 2]);
        assert_eq!([14 * 24, 9_999].map(after), [UnknownTenant::GiveUp; 2]);
    }
}
