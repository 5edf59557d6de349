//! Decides how an instance of a worker starts, from how its earlier processes ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// After this time an unclean end does not count any more.
const FORGOTTEN_AFTER_MS: i64 = 600_000;
/// An unclean end this soon after a start belongs to a series, in which each start waits longer.
const SOON_MS: i64 = 60_000;
/// The longest wait before a start.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How an instance starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRule {
    /// Whether it works on one message at a time at first, because its last process did not end in order.
    pub one_by_one: bool,
    /// How long it waits before it takes anything.
    pub wait: Duration,
}

/// What is known of the processes of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The latest process.
    run: String,
    /// When it began to work, in milliseconds on the store's clock.
    started_at: i64,
    /// Whether it has not ended in order.
    running: bool,
    /// How many processes in a row have not ended in order.
    unclean_ends: u32,
    /// When the last of them was noticed, likewise.
    unclean_at: i64,
    rule: StartRule,
    /// The hash of the message that it has in hand, while it works on one at a time.
    in_hand: Option<String>,
    /// The version of the latest process; earlier versions note none.
    #[serde(default)]
    version: Option<String>,
}

impl Instance {
    /// Begins a process; returns the instance, and the hash of the message over which the process before may have ended.
    /// A second call for the same process changes nothing.
    pub fn begin(before: Option<Self>, run: &str, now: i64) -> (Self, Option<String>) {
        let fresh = Self {
            run: run.to_owned(),
            started_at: now,
            running: true,
            unclean_ends: 0,
            unclean_at: i64::MIN,
            rule: StartRule::default(),
            in_hand: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        let Some(before) = before else { return (fresh, None) };
        if before.run == run {
            return (before, None);
        }
        let is_recent = before.unclean_at > now.saturating_sub(FORGOTTEN_AFTER_MS);
        let (ends, at) = if is_recent { (before.unclean_ends, before.unclean_at) } else { (0, i64::MIN) };
        if !before.running {
            return (Self { unclean_ends: ends, unclean_at: at, ..fresh }, None);
        }
        let ends = ends.saturating_add(1);
        let was_soon = now.saturating_sub(before.started_at) <= SOON_MS;
        let wait = if was_soon { wait_after(ends) } else { Duration::ZERO };
        let started_at = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let rule = StartRule { one_by_one: true, wait };
        (Self { started_at, unclean_ends: ends, unclean_at: now, rule, ..fresh }, before.in_hand)
    }

    /// Returns an instance of which nothing is known but that it did not end in order.
    pub fn unknown() -> Self {
        let (instance, _) = Self::begin(None, "", i64::MIN);
        Self { version: None, ..instance }
    }

    /// Ends a process in order.
    pub fn end(&mut self, run: &str) {
        if self.run == run {
            (self.running, self.in_hand) = (false, None);
        }
    }

    /// Notes what a process has in hand.
    pub fn take_in_hand(&mut self, run: &str, hash: Option<&str>) {
        if self.run == run {
            self.in_hand = hash.map(Into::into);
        }
    }

    /// Returns how the process starts.
    pub fn rule(&self) -> StartRule {
        self.rule
    }

    /// Returns the version of the latest process, if that one noted it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns whether the latest process has not ended in order.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Returns when the process began to work, in milliseconds on the store's clock.
    pub fn started_at(&self) -> i64 {
        self.started_at
    }
}

/// Returns how long a start waits after so many unclean ends: nothing after the first, then 1 s, 2 s, 4 s and so on.
fn wait_after(ends: u32) -> Duration {
    match ends {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_secs(2_u64.saturating_pow(ends - 2)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts an instance at each of these times, in milliseconds, and returns how; `ended` tells whether the process
    /// before had ended in order.
    fn starts(times: &[(i64, bool)]) -> Vec<(bool, u64)> {
        let mut instance: Option<Instance> = None;
        let mut rules = Vec::new();
        for (n, (now, ended)) in times.iter().enumerate() {
            if let Some(before) = instance.as_mut().filter(|_| *ended) {
                let run = before.run.clone();
                before.end(&run);
            }
            let (next, _) = Instance::begin(instance.take(), &format!("run-{n}"), *now);
            rules.push((next.rule().one_by_one, next.rule().wait.as_secs()));
            instance = Some(next);
        }
        rules
    }

    #[test]
    fn a_worker_that_ends_in_order_starts_at_once_and_works_on_many_messages() {
        assert_eq!(starts(&[(0, true), (5, true), (10, true), (20, true)]), [(false, 0); 4]);
    }

    #[test]
    fn the_first_unclean_end_costs_no_wait_and_each_further_one_soon_after_a_start_doubles_it() {
        let crashes: Vec<(i64, bool)> = (0..11).map(|n| (n * 61_000, false)).collect();
        let waits: Vec<u64> = starts(&crashes).into_iter().map(|(_, wait)| wait).collect();
        // The process begins to work after its wait.
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "each process lived for more than a minute");
        let crashes: Vec<(i64, bool)> = (0..11).map(|n| (n * 1_000, false)).collect();
        assert_eq!(
            starts(&crashes),
            [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
                .iter()
                .enumerate()
                .map(|(n, wait)| (n > 0, *wait))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_unclean_end_is_forgotten_after_ten_minutes() {
        assert_eq!(
            starts(&[(0, false), (1_000, false), (2_000, false), (700_000, true), (701_000, false)])[4],
            (true, 0)
        );
        assert_eq!(
            starts(&[(0, false), (1_000, false), (2_000, false), (60_000, true), (61_000, false)])[4],
            (true, 2)
        );
    }

    #[test]
    fn only_what_was_in_hand_at_an_unclean_end_is_suspected() {
        let (mut instance, _) = Instance::begin(None, "a", 0);
        instance.take_in_hand("a", Some("x"));
        instance.take_in_hand("another", Some("y"));
        let (again, suspect) = Instance::begin(Some(instance.clone()), "a", 5);
        assert_eq!((again, suspect), (instance.clone(), None), "the same process asks twice");
        assert_eq!(Instance::begin(Some(instance.clone()), "b", 5).1.as_deref(), Some("x"));
        instance.end("another");
        assert_eq!(Instance::begin(Some(instance.clone()), "b", 5).1.as_deref(), Some("x"));
        instance.end("a");
        assert_eq!(Instance::begin(Some(instance.clone()), "b", 5).1, None);
        let (known, _) = Instance::begin(Some(Instance::unknown()), "b", 5);
        assert_eq!(known.rule(), StartRule { one_by_one: true, wait: Duration::ZERO });
    }
}
