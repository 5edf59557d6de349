//! Estimates how many requests a replay takes, and how long.

use std::collections::BTreeMap;

use crate::app::request_time::FIRST_GUESS_MS;
use crate::batch::replay::Window;

/// The most cases in one create request.
const MOST_IN_REQUEST: u64 = 100;

/// What is tried of one part.
#[derive(Clone, Debug, Default)]
pub(super) struct PartSize {
    pub(super) account: Option<String>,
    pub(super) batches: u64,
    pub(super) cases: u64,
}

/// How fast an account takes requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// How many requests may be under way at once.
    pub(super) at_once: u32,
    /// How long one takes, in milliseconds, where known.
    pub(super) request_ms: Option<u64>,
}

/// Returns how many requests the parts are expected to take, and how many seconds at the accounts' rates and at a rate of
/// batches per minute. Accounts work at the same time; the batches of a canary go one by one, each in a request of its own.
pub(super) fn estimate(
    parts: &[PartSize],
    speed_of: impl Fn(Option<&str>) -> Speed,
    per_minute: Option<u32>,
) -> (u64, u64) {
    let mut requests = 0;
    let mut busy: BTreeMap<Option<&str>, (u64, u64)> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.batches > 0) {
        let canary = Window::canary(part.batches).min(part.batches);
        let rest = part.cases.saturating_sub(part.cases * canary / part.batches);
        let packed = if part.batches > canary { rest.div_ceil(MOST_IN_REQUEST).max(1) } else { 0 };
        requests += canary + packed;
        let (longest_canary, all_packed) = busy.entry(part.account.as_deref()).or_default();
        *longest_canary = canary.max(*longest_canary);
        *all_packed += packed;
    }
    let ms_of = |(account, (canary, packed)): (&Option<&str>, &(u64, u64))| {
        let speed = speed_of(*account);
        let request = speed.request_ms.unwrap_or(FIRST_GUESS_MS);
        canary * request + packed * request / u64::from(speed.at_once.max(1))
    };
    let at_accounts = busy.iter().map(ms_of).max().unwrap_or(0).div_ceil(1_000);
    let batches: u64 = parts.iter().map(|part| part.batches).sum();
    let at_rate = per_minute.map_or(0, |rate| (batches * 60).div_ceil(u64::from(rate.max(1))));
    (requests, at_accounts.max(at_rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(account: &str, batches: u64, cases: u64) -> PartSize {
        PartSize { account: Some(account.into()), batches, cases }
    }

    #[test]
    fn accounts_work_at_once_and_a_canary_one_by_one() {
        let speed = |_: Option<&str>| Speed { at_once: 2, request_ms: Some(1_000) };
        assert_eq!(estimate(&[], speed, None), (0, 0));
        assert_eq!(estimate(&[part("a", 1, 10)], speed, None), (1, 1));
        // 10 of 500 batches go first; the other 4,900 cases need 49 requests, two at a time.
        assert_eq!(estimate(&[part("a", 500, 5_000)], speed, None), (59, 35));
        assert_eq!(estimate(&[part("a", 500, 5_000), part("b", 500, 5_000)], speed, None), (118, 35));
        assert_eq!(estimate(&[part("a", 500, 5_000), part("a", 500, 5_000)], speed, None), (118, 59));
        assert_eq!(estimate(&[part("a", 500, 5_000)], speed, Some(60)), (59, 500));
        let unknown = |_: Option<&str>| Speed { at_once: 1, request_ms: None };
        assert_eq!(estimate(&[part("a", 20, 2_000)], unknown, None).1, 4);
    }
}
