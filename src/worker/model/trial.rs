//! Decides how long a suspect is tried while others wait, and remembers in which accounts trials take long.
//!
//! One suspect is tried at a time, by all workers together: if the process ends then, this one is counted, and no other.
//! So a suspect whose account hangs must not be in hand for long. It goes back to the shelf as a suspect while nothing is
//! done for it; that it was tried does not count then.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::guard::lock;

/// The longest time for which a suspect waits in its lane.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After this time in hand nothing more is begun for a suspect.
const LONGEST_TRIAL: Duration = Duration::from_secs(60);
/// A trial that takes longer is a reason not to begin another one in the same account soon.
const LONG: Duration = Duration::from_secs(5);
/// For how long other suspects of an account wait after a trial that took long.
pub(in crate::worker) const REST: Duration = Duration::from_secs(60);

/// What a trial shows about how long it will take.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Trial {
    /// Since when the suspect has been in hand.
    pub(in crate::worker) since: Instant,
    /// Since when nothing has been done for it.
    pub(in crate::worker) waiting_since: Instant,
}

impl Trial {
    /// Returns whether the suspect has to go back to the shelf before anything more is done for it.
    pub(in crate::worker) fn is_over(self, now: Instant) -> bool {
        now.saturating_duration_since(self.waiting_since) >= LONGEST_WAIT || self.was_too_long(now)
    }

    /// Returns whether a pause of this length would last until the trial is over.
    pub(in crate::worker) fn outlasts(self, pause: Duration, now: Instant) -> bool {
        pause >= LONGEST_WAIT || self.was_too_long(now + pause)
    }

    /// Returns whether the trial has taken so long that other suspects of its account have to wait.
    pub(in crate::worker) fn was_long(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LONG
    }

    fn was_too_long(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= LONGEST_TRIAL
    }
}

/// Accounts in which a trial took long.
#[derive(Debug, Default)]
pub(in crate::worker) struct SlowTrials(Mutex<HashMap<String, Instant>>);

impl SlowTrials {
    /// Notes that a trial in an account took long.
    pub(in crate::worker) fn note(&self, account: &str, now: Instant) {
        let mut until = lock(&self.0);
        until.retain(|_, until| *until > now);
        until.insert(account.to_owned(), now + REST);
    }

    /// Returns whether suspects of an account have to wait.
    pub(in crate::worker) fn has(&self, account: &str, now: Instant) -> bool {
        lock(&self.0).get(account).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_trial_is_over_once_it_waited_or_took_too_long() {
        let since = Instant::now();
        for (waits_after, now, expected) in
            [(0, 29, false), (0, 30, true), (20, 49, false), (20, 50, true), (59, 59, false), (59, 60, true)]
        {
            let trial = Trial { since, waiting_since: since + at(waits_after) };
            assert_eq!(trial.is_over(since + at(now)), expected, "waits after {waits_after} s, now {now} s");
        }
    }

    #[test]
    fn a_pause_is_waited_out_in_hand_only_if_the_trial_is_not_over_then() {
        let since = Instant::now();
        let trial = Trial { since, waiting_since: since };
        for (now, pause, expected) in [(0, 29, false), (0, 30, true), (35, 20, false), (35, 25, true), (60, 0, true)] {
            assert_eq!(trial.outlasts(at(pause), since + at(now)), expected, "{pause} s after {now} s");
        }
    }

    #[test]
    fn other_suspects_of_an_account_wait_for_a_minute_after_a_slow_trial() {
        let (slow, now) = (SlowTrials::default(), Instant::now());
        slow.note("x", now);
        assert!(slow.has("x", now + at(59)) && !slow.has("y", now));
        assert!(!slow.has("x", now + at(60)));
        slow.note("y", now + at(30));
        assert!(slow.has("x", now + at(59)) && slow.has("y", now + at(89)), "each has its own minute");
        slow.note("z", now + at(60));
        assert_eq!(lock(&slow.0).len(), 2, "what is over is forgotten");
    }

    #[test]
    fn a_trial_was_long_from_five_seconds_on() {
        let since = Instant::now();
        let trial = Trial { since, waiting_since: since + at(9) };
        assert!(!trial.was_long(since + at(4)) && trial.was_long(since + at(5)));
    }
}
