//! Checks that replays started no more at once than their windows allow, and no faster than their rates allow.

use std::collections::BTreeMap;

use testmo_courier::app::audit::{self, AuditAction, AuditFilter};
use testmo_courier::app::replays::ItemOutcome;
use testmo_courier::batch::replay::Window;

use crate::replays::{Replay, Replays};
use crate::stage::Stage;

/// So many are started until as many outcomes are known.
const FIRST: usize = 20;
/// The most that are under way at once.
const MOST_UNDER_WAY: usize = 200;
/// The longest time that a transaction on a server takes, in milliseconds. What it stores has the time of its beginning.
const LONGEST_TRANSACTION_MS: i64 = 5_000;
/// How long after the end of a worker another one may take its replays over, in milliseconds.
const TAKEN_OVER_MS: i64 = 20_000;
const MINUTE_MS: i64 = 60_000;

/// An entry of a part that was started; times are in milliseconds.
#[derive(Clone, Copy)]
struct Started {
    at: i64,
    ended_at: i64,
    /// Whether it succeeded, if its outcome shows anything.
    succeeded: Option<bool>,
}

pub(super) async fn check(stage: &Stage, replays: &Replays) -> anyhow::Result<Vec<String>> {
    let mut begins: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for action in [AuditAction::StartReplay, AuditAction::ResumeReplay] {
        let filter = AuditFilter { action: Some(action), ..AuditFilter::default() };
        for entry in audit::list(&stage.store, &filter, None, 0).await?.entries {
            begins.entry(entry.row.subject).or_default().push(entry.row.at);
        }
    }
    // A file has one transaction at a time.
    let blur = if stage.postgres.is_some() { LONGEST_TRANSACTION_MS } else { 0 };
    let turns: Vec<i64> = stage.workers.iter().flat_map(|worker| worker.turns.iter().copied()).collect();
    let mut broken = Vec::new();
    for replay in &replays.0 {
        let subject = format!("replay {}", replay.row.id);
        let mut begins = begins.remove(&subject).unwrap_or_default();
        begins.sort_unstable();
        for (part, started) in parts_of(replay) {
            let here = beyond_window(&started, &begins, blur).into_iter().chain(after_canary(&started, &begins, blur));
            broken.extend(here.map(|what| format!("{subject}, part {part}: {what}")));
        }
        let too_fast =
            replay.row.per_minute.and_then(|rate| too_fast(&times_of(replay), rate, &[&begins, &turns[..]].concat()));
        broken.extend(too_fast.map(|what| format!("{subject}: {what}")));
    }
    Ok(broken)
}

/// Returns the entries that were started, by part, in the order of their starts.
fn parts_of(replay: &Replay) -> BTreeMap<i64, Vec<Started>> {
    let mut parts: BTreeMap<i64, Vec<Started>> = BTreeMap::new();
    for item in &replay.items {
        let (Some(at), Some(part)) = (item.started_at, replay.parts.get(&item.place)) else { continue };
        let outcome: Option<ItemOutcome> = item.outcome.as_deref().and_then(|outcome| outcome.parse().ok());
        let succeeded = outcome.and_then(ItemOutcome::is_success);
        parts.entry(*part).or_default().push(Started { at, ended_at: item.ended_at.unwrap_or(i64::MAX), succeeded });
    }
    parts.values_mut().for_each(|part| part.sort_by_key(|entry| entry.at));
    parts
}

fn times_of(replay: &Replay) -> Vec<i64> {
    let mut times: Vec<i64> = replay.items.iter().filter_map(|item| item.started_at).collect();
    times.sort_unstable();
    times
}

/// Returns when the window in which an entry was started began, and when the next one did.
fn window_of(entry: &Started, begins: &[i64]) -> Option<(i64, i64)> {
    let next = begins.partition_point(|begin| *begin <= entry.at);
    let begin = begins[..next].last()?;
    Some((*begin, begins.get(next).copied().unwrap_or(i64::MAX)))
}

/// Counts the outcomes that a window that began at `begin` may have known at `at`.
fn known(started: &[Started], begin: i64, at: i64, blur: i64) -> usize {
    let is_known = |entry: &&Started| (begin - blur..=at).contains(&entry.ended_at) && entry.succeeded.is_some();
    started.iter().filter(is_known).count()
}

/// Returns the least size of the canary of a window that began at `begin`.
fn canary(started: &[Started], begin: i64) -> usize {
    let left = started.iter().filter(|entry| entry.at >= begin).count();
    usize::try_from(Window::canary(left as u64)).unwrap_or(usize::MAX)
}

/// Returns the starts that came while too many were under way.
fn beyond_window(started: &[Started], begins: &[i64], blur: i64) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, entry) in started.iter().enumerate() {
        let Some((begin, _)) = window_of(entry, begins) else {
            broken.push(format!("an entry was started at {}, before the replay was", entry.at));
            continue;
        };
        let under_way = 1 + started[..number].iter().filter(|earlier| earlier.ended_at > entry.at).count();
        let known = known(started, begin, entry.at, blur);
        let most = match known {
            _ if known < canary(started, begin) => 1,
            // The worker may have known fewer, and allowed more.
            0..FIRST => known.min(FIRST / 2),
            _ => known.min(MOST_UNDER_WAY),
        };
        if under_way > most {
            broken.push(format!("{under_way} were under way at {}, with {known} outcomes known", entry.at));
        }
    }
    broken
}

/// Returns the starts that came after a batch of the canary had failed.
fn after_canary(started: &[Started], begins: &[i64], blur: i64) -> Vec<String> {
    let mut broken = Vec::new();
    for failed in started.iter().filter(|entry| entry.succeeded == Some(false)) {
        let Some((begin, next)) = window_of(failed, begins).filter(|(_, next)| failed.ended_at < *next) else {
            continue;
        };
        if known(started, begin, failed.ended_at, blur) > canary(started, begin) {
            continue;
        }
        let later = started.iter().filter(|entry| entry.at > failed.ended_at && entry.at < next);
        broken.extend(later.map(|entry| {
            format!("an entry was started at {}, after one of the first had failed at {}", entry.at, failed.ended_at)
        }));
    }
    broken
}

/// Returns a time in which more were started than a rate allows. Each of `budgets` is a time at which a worker may have begun
/// with a budget of its own.
fn too_fast(times: &[i64], per_minute: u32, budgets: &[i64]) -> Option<String> {
    let rate = i64::from(per_minute);
    // What may be started at once; a slow transaction can bring two such groups together.
    let burst = 2 * (rate / 30).max(1);
    for (first, from) in times.iter().enumerate() {
        for (to, count) in times[first..].iter().zip(1..) {
            let fresh = budgets.iter().filter(|at| (from - TAKEN_OVER_MS..=*to).contains(*at)).count();
            let fresh = i64::try_from(fresh).unwrap_or(i64::MAX);
            if MINUTE_MS * count > MINUTE_MS * (burst + 1 + fresh) + rate * (to - from) {
                return Some(format!("{count} were started within {} ms, at {rate} in a minute", to - from));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(at: i64, ended_at: i64, succeeded: bool) -> Started {
        Started { at, ended_at, succeeded: Some(succeeded) }
    }

    #[test]
    fn a_window_that_is_exceeded_is_noticed() {
        let one_by_one: Vec<Started> = (0..5).map(|n| ran(10 * n, 10 * n + 9, true)).collect();
        assert_eq!(beyond_window(&one_by_one, &[0], 0), Vec::<String>::new());
        assert_eq!(beyond_window(&one_by_one, &[5], 0).len(), 1, "before the replay was started");
        let two_at_first = [ran(0, 100, true), ran(50, 100, true)];
        assert_eq!(beyond_window(&two_at_first, &[0], 0).len(), 1);
        let resumed_at_60 = [ran(0, 50, true), ran(60, 100, true), ran(70, 100, true)];
        assert_eq!(beyond_window(&resumed_at_60, &[0, 60], 0).len(), 1, "a window begins empty");
        let doubled = [ran(0, 10, true), ran(10, 20, true), ran(20, 30, true), ran(21, 30, true)];
        assert_eq!(beyond_window(&doubled, &[0], 0), Vec::<String>::new());
        let tripled = [ran(0, 10, true), ran(20, 30, true), ran(21, 30, true)];
        assert_eq!(beyond_window(&tripled, &[0], 0).len(), 1, "one outcome allows one more");
    }

    #[test]
    fn a_start_after_a_failed_canary_is_noticed() {
        let goes_on = [ran(0, 10, false), ran(20, 30, true)];
        assert_eq!(after_canary(&goes_on, &[0], 0).len(), 1);
        assert_eq!(after_canary(&goes_on, &[0, 15], 0), Vec::<String>::new(), "it was resumed");
        let later = [ran(0, 10, true), ran(20, 30, false), ran(40, 50, true)];
        assert_eq!(after_canary(&later, &[0], 0), Vec::<String>::new(), "one of the next may fail");
    }

    #[test]
    fn a_rate_that_is_exceeded_is_noticed() {
        let every = |ms: i64| (0..60).map(|n| n * ms).collect::<Vec<_>>();
        assert_eq!(too_fast(&every(1_000), 60, &[]), None);
        assert!(too_fast(&every(800), 60, &[]).is_some());
        assert!(too_fast(&[0; 6], 60, &[]).is_some());
        assert_eq!(too_fast(&[0; 6], 60, &[-10]), None, "another worker has taken it over");
    }
}
