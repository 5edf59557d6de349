//! Decides whether reconciliation may use the tag filter: only if the filtered list also returns a canary case that is
//! known to exist.
//!
//! Without the filter, reconciliation reads everything that was created in a folder of late. Some tenants' lists can be
//! filtered by tags. Others ignore the filter silently, and Testmo documents neither whether several tags mean any or
//! all of them, nor how soon the filter finds a new case. So the filter asks for one case more, the canary, which
//! exists and is younger than the cases in question. If the list has the canary, it would have the others, too.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::ledger::Target;
use crate::batch::verdict::answer::ApiError;
use crate::guard::lock;
use crate::testmo::{Access, CaseList, Client, Past, ReadError, ReadPermits};

/// The most folders of which a case is remembered. Beyond it all are forgotten, which costs longer reads only.
const MOST_FOLDERS: usize = 1_000;
/// For how long the filter of an account is not used after the list lacked a canary.
const UNRELIABLE_FOR: Duration = Duration::from_secs(3_600);

/// A case whose creation Testmo confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Canary {
    /// The batch tag of the case, unless the tenant has switched that off.
    pub(in crate::worker) tag: Option<String>,
    /// The id of the case.
    pub(in crate::worker) id: u64,
    /// When the request that created the case began.
    pub(in crate::worker) sent_at: Instant,
}

/// The last case that was created in each folder.
#[derive(Debug, Default)]
pub(in crate::worker) struct Canaries(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    latest: HashMap<Target, Canary>,
    /// Accounts whose list lacked a canary, and when that was.
    unreliable: HashMap<String, Instant>,
}

impl Canaries {
    /// Remembers a case in place of the one before.
    pub(in crate::worker) fn keep(&self, target: Target, canary: Canary) {
        let mut known = lock(&self.0);
        if known.latest.len() >= MOST_FOLDERS && !known.latest.contains_key(&target) {
            known.latest.clear();
        }
        known.latest.insert(target, canary);
    }

    /// Returns a case of the folder that was sent after `time`; none for an account whose filter is unreliable.
    pub(in crate::worker) fn younger_than(&self, target: &Target, time: Instant, now: Instant) -> Option<Canary> {
        let known = lock(&self.0);
        let is_unreliable = known.unreliable.get(&target.account).is_some_and(|since| now - *since < UNRELIABLE_FOR);
        let canary = known.latest.get(target).filter(|canary| canary.sent_at > time && !is_unreliable);
        canary.filter(|canary| canary.tag.is_some()).cloned()
    }

    /// Stops using the filter of an account for an hour: its list lacked a canary.
    pub(in crate::worker) fn mark_filter_unreliable(&self, account: &str, now: Instant) {
        let mut known = lock(&self.0);
        known.unreliable.retain(|_, since| now - *since < UNRELIABLE_FOR);
        known.unreliable.insert(account.to_owned(), now);
    }
}

/// Lists the cases with these tags; `None` if the list lacks the case `canary`, or Testmo rejects the filter.
pub(in crate::worker) async fn list_by_tags<P: ReadPermits>(
    client: &Client,
    access: &Access,
    target: &Target,
    past: Past,
    (tags, canary): (&[String], u64),
    permits: &mut P,
) -> Result<Option<CaseList>, ReadError<P::Refused>> {
    match client.list_cases(access, target, past, tags, permits).await {
        Ok(list) => Ok(list.rows.iter().any(|row| row.id == canary).then_some(list)),
        Err(error) if is_filter_refused(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether a list failed in a way that can come of its filter.
pub(in crate::worker) fn is_filter_refused<R>(error: &ReadError<R>) -> bool {
    matches!(
        error,
        ReadError::Failed(
            ApiError::Invalid(_) | ApiError::Rejected { .. } | ApiError::Inconclusive { .. } | ApiError::TooLarge,
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn target(folder: u64) -> Target {
        Target { account: "https://acme.testmo.net".into(), project: 1, folder }
    }

    fn canary(id: u64, sent_at: Instant) -> Canary {
        Canary { tag: Some("sqai-1".into()), id, sent_at }
    }

    #[test]
    fn only_a_case_that_was_sent_later_proves_anything() {
        let (canaries, ended) = (Canaries::default(), Instant::now());
        let id = |folder, time| canaries.younger_than(&target(folder), time, time).map(|canary| canary.id);
        canaries.keep(target(2), canary(10, ended + MOMENT));
        assert_eq!(id(2, ended), Some(10));
        assert_eq!(id(2, ended + MOMENT), None, "as old is not younger");
        assert_eq!(id(3, ended), None, "another folder");
        canaries.keep(target(2), canary(11, ended + MOMENT * 2));
        assert_eq!(id(2, ended + MOMENT), Some(11));
        canaries.keep(target(2), Canary { tag: None, ..canary(12, ended + MOMENT * 3) });
        assert_eq!(id(2, ended), None, "without a tag the filter cannot ask for it");
    }

    #[test]
    fn the_filter_of_an_account_that_lacked_a_canary_is_not_used_for_a_while() {
        let (canaries, ended) = (Canaries::default(), Instant::now());
        canaries.keep(target(2), canary(10, ended + MOMENT));
        canaries.mark_filter_unreliable("https://acme.testmo.net", ended);
        assert_eq!(canaries.younger_than(&target(2), ended, ended), None);
        assert!(canaries.younger_than(&target(2), ended, ended + UNRELIABLE_FOR).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let (canaries, now) = (Canaries::default(), Instant::now());
        (0..=MOST_FOLDERS as u64).for_each(|folder| canaries.keep(target(folder), canary(folder, now)));
        assert_eq!(canaries.0.lock().unwrap().latest.len(), 1);
    }
}
