//! May a look ask for the cases of some batches alone? If what Testmo then shows has a case that it must have, too.
//!
//! A look reads everything that was created in a folder of late, which is much where much is created. Some tenants' lists
//! can be filtered by tags; others ignore that without a word, and whether it means any or all of several tags is written
//! nowhere, nor how soon a new case is found by it. So a look asks for one case more, of which it is known that it is
//! there and that it is younger than what is looked for. If that is shown, the others would be, too.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::Courier;
use crate::batch::answer::Trouble;
use crate::batch::ledger::Target;
use crate::testmo::{Access, Look};

/// The most folders of which a case is remembered; then all are forgotten, which costs longer looks only.
const MOST_FOLDERS: usize = 1_000;
/// The most pushes of which an end is remembered; likewise.
const MOST_ENDS: usize = 1_000;
/// For how long an account is not asked by tags after it did not show what it had to.
const DISTRUST: Duration = Duration::from_secs(3_600);

/// A case whose creation was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// The tag it carries.
    pub(super) tag: String,
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
    /// When the last pushes were worked on no more, of those of which Testmo said so.
    ended: HashMap<String, Instant>,
    /// Accounts that did not show one, and when that was.
    distrusted: HashMap<String, Instant>,
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

    /// Remembers that Testmo works on a push no more.
    pub(super) fn note_end(&self, push: &str) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.ended.len() >= MOST_ENDS {
            known.ended.clear();
        }
        known.ended.insert(push.to_owned(), Instant::now());
    }

    /// When Testmo worked on a push no more, if it said so.
    pub(super) fn ended(&self, push: &str) -> Option<Instant> {
        self.known.lock().ok()?.ended.get(push).copied()
    }

    /// A case of a folder that is younger than anything that was worked on at a time; none in an account that did not
    /// show one lately.
    pub(super) fn younger_than(&self, target: &Target, time: Instant, now: Instant) -> Option<Sample> {
        let known = self.known.lock().ok()?;
        let is_distrusted = known.distrusted.get(&target.account).is_some_and(|since| now - *since < DISTRUST);
        known.latest.get(target).filter(|sample| sample.sent_at > time && !is_distrusted).cloned()
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
        since: i64,
        tags: &[String],
        sample: u64,
    ) -> Result<Option<Look>, Trouble> {
        match self.client.look(access, target.project, target.folder, since, tags).await {
            Ok(look) => Ok(look.rows.iter().any(|row| row.id == sample).then_some(look)),
            Err(Trouble::Invalid(_) | Trouble::Rejected { .. } | Trouble::TooLarge) => Ok(None),
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
        Sample { tag: "sqai-1".into(), id, sent_at }
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
        (0..=MOST_ENDS).for_each(|push| samples.note_end(&push.to_string()));
        let known = samples.known.lock().unwrap();
        assert_eq!((known.latest.len(), known.ended.len()), (1, 1));
    }
}
