//! May a look ask for the cases of some batches alone? If what Testmo then shows has a case that it must have, too.
//!
//! A look reads everything that was created in a folder of late, which is much where much is created. Some tenants' lists
//! can be filtered by tags; others ignore that without a word, and whether it means any or all of several tags is written
//! nowhere, nor how soon a new case is found by it. So a look asks for one case more, of which it is known that it is
//! there and that it is younger than what is looked for. If that is shown, the others would be, too.
//!
//! What is known of an account's ids and of its times is kept here, too: which ids were answered of late, so that none is
//! taken for two cases, and how far its times of creation are from its clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::Courier;
use crate::batch::ledger::Target;
use crate::batch::ledger::reconcile::CLOCK_MARGIN_MS;
use crate::batch::verdict::answer::ApiError;
use crate::testmo::{Access, Look, Past};

/// The most folders of which a case is remembered; then all are forgotten, which costs longer looks only.
const MOST_FOLDERS: usize = 1_000;
/// The most pushes with an unclear end that are remembered; likewise.
const MOST_DOUBTS: usize = 1_000;
/// The most accounts of which ids are remembered; likewise.
const MOST_ACCOUNTS: usize = 100;
/// The most ranges of ids that are remembered of an account: those of requests that can be under way at once.
const MOST_RANGES: usize = 64;
/// For how long an account is not asked by tags after it did not show what it had to.
const DISTRUST: Duration = Duration::from_secs(3_600);

/// A case whose creation was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// The tag it carries, unless the tenant has switched that off.
    pub(super) tag: Option<String>,
    /// Its id.
    pub(super) id: u64,
    /// When the request that created it began.
    pub(super) sent_at: Instant,
}

/// The last case that was created in each folder.
#[derive(Debug, Default)]
pub(super) struct Samples {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    latest: HashMap<Target, Sample>,
    /// What is known of the last pushes with an unclear end.
    doubts: HashMap<String, UnclearPush>,
    /// Accounts that did not show one, and when that was.
    distrusted: HashMap<String, Instant>,
    /// Ranges of ids that were answered last, by account: first and last.
    answered: HashMap<String, BTreeMap<u64, u64>>,
    /// How far times of creation are from the clock of their account, in milliseconds.
    offsets: HashMap<String, i64>,
}

/// What is known of a push whose end is unclear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnclearPush {
    /// When Testmo had answered that it was worked on no more; none where nobody said so.
    pub(super) ended_at: Option<Instant>,
}

impl Samples {
    /// Remembers a case in place of the one before.
    pub(super) fn keep(&self, target: Target, sample: Sample) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.latest.len() >= MOST_FOLDERS && !known.latest.contains_key(&target) {
            known.latest.clear();
        }
        known.latest.insert(target, sample);
    }

    /// Remembers what is known of a push for one of its batches.
    pub(super) fn note_doubt(&self, push: &str, doubt: UnclearPush) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.doubts.len() >= MOST_DOUBTS {
            known.doubts.clear();
        }
        known.doubts.entry(push.to_owned()).or_insert(doubt);
    }

    /// What is known of a push with an unclear end.
    pub(super) fn doubt(&self, push: &str) -> UnclearPush {
        self.known.lock().ok().and_then(|known| known.doubts.get(push).copied()).unwrap_or_default()
    }

    /// Takes ids of an account as those of new cases, and gives those that were answered for other cases before.
    pub(super) fn take_ids(&self, account: &str, ids: &[u64]) -> Vec<u64> {
        let Ok(mut known) = self.known.lock() else { return Vec::new() };
        if known.answered.len() >= MOST_ACCOUNTS && !known.answered.contains_key(account) {
            known.answered.clear();
        }
        let answered = known.answered.entry(account.to_owned()).or_default();
        let is_taken =
            |ranges: &BTreeMap<u64, u64>, id: u64| ranges.range(..=id).next_back().is_some_and(|(_, last)| *last >= id);
        let taken: Vec<u64> = ids.iter().copied().filter(|id| is_taken(answered, *id)).collect();
        let mut free: Vec<u64> = ids.iter().copied().filter(|id| !taken.contains(id)).collect();
        free.sort_unstable();
        for run in free.chunk_by(|one, next| *next == one + 1) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                answered.insert(*first, *last);
            }
        }
        while answered.len() > MOST_RANGES {
            answered.pop_first();
        }
        taken
    }

    /// How far the times of creation of an account are from its clock, in milliseconds, if that is known.
    pub(super) fn offset(&self, account: &str) -> Option<i64> {
        self.known.lock().ok()?.offsets.get(account).copied()
    }

    /// Notes how far a time of creation was from the account's clock, in milliseconds; the first one counts.
    pub(super) fn note_offset(&self, account: &str, offset: i64) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.offsets.contains_key(account) {
            return;
        }
        if known.offsets.len() >= MOST_ACCOUNTS {
            known.offsets.clear();
        }
        known.offsets.insert(account.to_owned(), offset);
        if offset.abs() > CLOCK_MARGIN_MS {
            let minutes = offset / 60_000;
            tracing::warn!(
                account,
                minutes,
                "Testmo's times of creation differ from its clock, as of another time zone"
            );
        }
    }

    /// A case of a folder that is younger than anything that was worked on at a time; none in an account that did not
    /// show one lately.
    pub(super) fn younger_than(&self, target: &Target, time: Instant, now: Instant) -> Option<Sample> {
        let known = self.known.lock().ok()?;
        let is_distrusted = known.distrusted.get(&target.account).is_some_and(|since| now - *since < DISTRUST);
        let sample = known.latest.get(target).filter(|sample| sample.sent_at > time && !is_distrusted);
        sample.filter(|sample| sample.tag.is_some()).cloned()
    }

    /// An account did not show a case that it had to.
    pub(super) fn distrust(&self, account: &str, now: Instant) {
        let Ok(mut known) = self.known.lock() else { return };
        known.distrusted.retain(|_, since| now - *since < DISTRUST);
        known.distrusted.insert(account.to_owned(), now);
    }
}

impl Courier {
    /// Looks for cases with these tags alone, if what Testmo then shows has the case `sample`; `None` if it has not, or
    /// if it does not take the question.
    pub(super) async fn look_by_tags(
        &self,
        access: &Access,
        target: &Target,
        past: Past,
        tags: &[String],
        sample: u64,
    ) -> Result<Option<Look>, ApiError> {
        match self.client.look(access, target, past, tags).await {
            Ok(look) => Ok(look.rows.iter().any(|row| row.id == sample).then_some(look)),
            Err(
                ApiError::Invalid(_) | ApiError::Rejected { .. } | ApiError::Inconclusive { .. } | ApiError::TooLarge,
            ) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn target(folder: u64) -> Target {
        Target { account: "https://acme.testmo.net".into(), project: 1, folder }
    }

    fn sample(id: u64, sent_at: Instant) -> Sample {
        Sample { tag: Some("sqai-1".into()), id, sent_at }
    }

    #[test]
    fn only_a_case_that_was_sent_later_tells_anything() {
        let (samples, ended) = (Samples::default(), Instant::now());
        let id = |folder, time| samples.younger_than(&target(folder), time, time).map(|sample| sample.id);
        samples.keep(target(2), sample(10, ended + MOMENT));
        assert_eq!(id(2, ended), Some(10));
        assert_eq!(id(2, ended + MOMENT), None, "as old is not younger");
        assert_eq!(id(3, ended), None, "another folder");
        samples.keep(target(2), sample(11, ended + MOMENT * 2));
        assert_eq!(id(2, ended + MOMENT), Some(11));
        samples.keep(target(2), Sample { tag: None, ..sample(12, ended + MOMENT * 3) });
        assert_eq!(id(2, ended), None, "without a tag it cannot be asked for");
    }

    #[test]
    fn an_id_is_taken_for_one_case_only() {
        let samples = Samples::default();
        assert_eq!(samples.take_ids("https://acme.testmo.net", &[3, 1, 2, 9]), [0_u64; 0]);
        assert_eq!(samples.take_ids("https://acme.testmo.net", &[4, 2, 9, 8]), [2, 9]);
        assert_eq!(samples.take_ids("https://acme.testmo.net", &[8, 5]), [8], "what was free the last time is not now");
        assert_eq!(samples.take_ids("https://oak.testmo.net", &[1, 2]), [0_u64; 0], "another account");
    }

    #[test]
    fn the_first_offset_of_an_account_counts() {
        let samples = Samples::default();
        assert_eq!(samples.offset("https://acme.testmo.net"), None);
        samples.note_offset("https://acme.testmo.net", -18_000_000);
        samples.note_offset("https://acme.testmo.net", 0);
        assert_eq!(samples.offset("https://acme.testmo.net"), Some(-18_000_000));
    }

    #[test]
    fn an_account_that_did_not_show_a_case_is_not_asked_for_a_while() {
        let (samples, ended) = (Samples::default(), Instant::now());
        samples.keep(target(2), sample(10, ended + MOMENT));
        samples.distrust("https://acme.testmo.net", ended);
        assert_eq!(samples.younger_than(&target(2), ended, ended), None);
        assert!(samples.younger_than(&target(2), ended, ended + DISTRUST).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let (samples, now) = (Samples::default(), Instant::now());
        (0..=MOST_FOLDERS as u64).for_each(|folder| samples.keep(target(folder), sample(folder, now)));
        (0..=MOST_DOUBTS).for_each(|push| samples.note_doubt(&push.to_string(), UnclearPush::default()));
        (0..2 * MOST_RANGES as u64).for_each(|id| drop(samples.take_ids("https://acme.testmo.net", &[2 * id])));
        let known = samples.known.lock().unwrap();
        assert_eq!((known.latest.len(), known.doubts.len()), (1, 1));
        assert_eq!(known.answered["https://acme.testmo.net"].len(), MOST_RANGES);
    }
}
