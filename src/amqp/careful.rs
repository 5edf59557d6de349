//! Decides for how long messages are taken one by one after something unexpected came, so that only the message that is
//! the cause counts as delivered again.

use std::time::Duration;

use tokio::time::Instant;

/// How many messages are taken one by one.
const DELIVERIES: u64 = 20;
/// The longest time for which messages are taken one by one, because a message in hand must not hold up all others for
/// longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether messages are taken one by one, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Careful(Option<Instant>);

impl Careful {
    /// Takes messages one by one from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// Ends the careful mode if it has lasted long enough, by the messages of a session or by time.
    pub(super) fn relax(&mut self, handed_over: u64, now: Instant) {
        if self.0.is_some_and(|since| handed_over >= DELIVERIES || now >= since + LONGEST) {
            self.0 = None;
        }
    }

    /// Waits until the careful mode has lasted long enough; waits forever if it is off.
    pub(super) async fn lasted(self) {
        match self.0 {
            Some(since) => tokio::time::sleep_until(since + LONGEST).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_after_twenty_messages_or_a_minute() {
        let now = Instant::now();
        let mut careful = Careful::default();
        careful.relax(1_000, now + 2 * LONGEST);
        assert!(!careful.is_on());
        for (handed_over, later, ends) in [
            (0, Duration::ZERO, false),
            (19, LONGEST - Duration::from_secs(1), false),
            (20, Duration::ZERO, true),
            (0, LONGEST, true),
        ] {
            careful.begin(now);
            careful.relax(handed_over, now + later);
            assert_eq!(careful.is_on(), !ends, "{handed_over} in {later:?}");
        }
        careful.begin(now.checked_sub(LONGEST).expect("a machine that has run for a minute"));
        careful.lasted().await;
        careful.relax(0, Instant::now());
        assert!(!careful.is_on());
    }
}
