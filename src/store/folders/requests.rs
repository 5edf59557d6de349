//! Decides whether one more create request for a folder may be sent, from those that were.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::{after, between};
use super::{FolderEnd, FolderLimits};

/// The most create requests for one folder in a window of time that may have created it.
pub const MOST_REQUESTS: usize = 2;

/// The create requests for one folder that may have created it, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequests(Vec<CreateRequest>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CreateRequest {
    /// When it was counted, in milliseconds on the store's clock.
    at: i64,
    outcome: RequestOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RequestOutcome {
    Unknown,
    Astray,
    Created,
}

impl CreateRequests {
    /// Counts one more request, or returns how long none may be sent.
    ///
    /// # Errors
    /// With that time.
    pub fn begin(&mut self, limits: &FolderLimits, now: i64) -> Result<(), Duration> {
        let window = |request: &CreateRequest| match request.outcome {
            RequestOutcome::Unknown => limits.unknown.min(limits.window),
            RequestOutcome::Astray | RequestOutcome::Created => limits.window,
        };
        self.0.retain(|request| after(request.at, limits.window) > now);
        let mut counted: Vec<i64> = self.0.iter().map(|request| after(request.at, window(request))).collect();
        counted.sort_unstable();
        let full = counted.iter().rev().nth(MOST_REQUESTS - 1).copied();
        let recent = self.0.last().filter(|last| last.outcome != RequestOutcome::Created);
        let recent = recent.map(|last| after(last.at, limits.spacing));
        match full.max(recent).filter(|until| *until > now) {
            Some(until) => Err(between(now, until)),
            None => {
                self.0.push(CreateRequest { at: now, outcome: RequestOutcome::Unknown });
                Ok(())
            }
        }
    }

    /// Notes what became of the last request; one that created nothing does not count.
    pub fn end(&mut self, end: &FolderEnd) {
        let outcome = match end {
            FolderEnd::NotCreated => {
                self.0.pop();
                return;
            }
            FolderEnd::Created { .. } => RequestOutcome::Created,
            FolderEnd::Astray(_) => RequestOutcome::Astray,
            FolderEnd::Unknown(_) => RequestOutcome::Unknown,
        };
        if let Some(last) = self.0.last_mut() {
            last.outcome = outcome;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const LIMITS: FolderLimits = FolderLimits {
        window: Duration::from_secs(24 * 3_600),
        unknown: Duration::from_secs(24 * 3_600),
        spacing: Duration::from_secs(60),
    };

    fn asked(times: &[(i64, FolderEnd)]) -> CreateRequests {
        let mut requests = CreateRequests::default();
        for (at, end) in times {
            requests.begin(&LIMITS, *at).unwrap();
            requests.end(end);
        }
        requests
    }

    #[test]
    fn there_are_at_most_two_requests_in_any_day() {
        let unknown = || FolderEnd::Unknown(Duration::ZERO);
        for (end, count) in [(unknown(), 2), (FolderEnd::Astray(Duration::ZERO), 2), (FolderEnd::NotCreated, 9)] {
            let mut requests = CreateRequests::default();
            let begun = (0..9).filter(|hour| {
                let begun = requests.begin(&LIMITS, hour * HOUR).is_ok();
                if begun {
                    requests.end(&end);
                }
                begun
            });
            assert_eq!(begun.count(), count, "{end:?}");
        }
        let mut requests = asked(&[(0, unknown()), (23 * HOUR, unknown())]);
        assert_eq!(requests.begin(&LIMITS, 23 * HOUR + 1_800_000), Err(Duration::from_secs(1_800)));
        assert_eq!(requests.begin(&LIMITS, 24 * HOUR), Ok(()));
        assert_eq!(requests.begin(&LIMITS, 25 * HOUR), Err(Duration::from_secs(22 * 3_600)), "the window slides");
    }

    #[test]
    fn a_request_that_returned_no_folder_is_not_repeated_at_once() {
        let mut requests = asked(&[(0, FolderEnd::Unknown(Duration::ZERO))]);
        assert_eq!(requests.begin(&LIMITS, 20_000), Err(Duration::from_secs(40)));
        assert_eq!(requests.begin(&LIMITS, 60_000), Ok(()));
        let mut vanished = asked(&[(0, FolderEnd::Created { id: 7, shown_as: None })]);
        assert_eq!(vanished.begin(&LIMITS, 1), Ok(()));
    }

    #[test]
    fn where_the_list_shows_new_folders_only_those_that_were_said_to_be_created_count_for_a_day() {
        let shown = FolderLimits { unknown: Duration::from_secs(600), ..LIMITS };
        let mut requests =
            asked(&[(0, FolderEnd::Unknown(Duration::ZERO)), (60_000, FolderEnd::Unknown(Duration::ZERO))]);
        assert_eq!(requests.clone().begin(&LIMITS, 600_000), Err(Duration::from_secs(24 * 3_600 - 600)));
        assert_eq!(requests.begin(&shown, 600_000), Ok(()));
        let mut requests =
            asked(&[(0, FolderEnd::Astray(Duration::ZERO)), (60_000, FolderEnd::Astray(Duration::ZERO))]);
        assert_eq!(requests.begin(&shown, 600_000), Err(Duration::from_secs(24 * 3_600 - 600)));
    }
}
