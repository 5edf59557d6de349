//! May a look ask for the cases of some batches alone? If what Testmo then shows has a case that it must have, too.
//!
//! A look reads everything that was created in a folder of late, which is much where much is created. Some tenants' lists
//! can be filtered by tags; others ignore that without a word, and whether it means any or all of several tags is written
//! nowhere, nor how soon a new case is found by it. So a look asks for one case more, of which it is known that it is
//! there and that it is younger than what is looked for. If that is shown, the others would be, too.
//!
//! Where the folder itself is read, newest first, a case that was there before the request was sent is where that ends:
//! ids ascend as cases are created. An account where they once did not is read by time alone.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::Courier;
use crate::batch::answer::Trouble;
use crate::batch::ledger::Target;
use crate::testmo::{Access, Look, Past};

/// The most folders of which a case is remembered; then all are forgotten, which costs longer looks only.
const MOST_FOLDERS: usize = 1_000;
/// The most pushes with an unclear end that are remembered; likewise.
const MOST_DOUBTS: usize = 1_000;
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
    doubts: HashMap<String, Doubt>,
    /// Accounts that did not show one, and when that was.
    distrusted: HashMap<String, Instant>,
    /// Accounts in which ids do not ascend.
    unordered: HashSet<String>,
}

/// What is known of a push whose end is unclear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    /// When Testmo had answered that it was worked on no more; none where nobody said so.
    pub(super) ended_at: Option<Instant>,
    /// The id of a case that was there before anything was sent that is in doubt.
    pub(super) above: Option<u64>,
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
    pub(super) fn note_doubt(&self, push: &str, doubt: Doubt) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.doubts.len() >= MOST_DOUBTS {
            known.doubts.clear();
        }
        let noted = known.doubts.entry(push.to_owned()).or_insert(doubt);
        // What holds for all of its batches.
        noted.above = noted.above.zip(doubt.above).map(|(one, other)| one.min(other));
    }

    /// What is known of a push with an unclear end.
    pub(super) fn doubt(&self, push: &str) -> Doubt {
        self.known.lock().ok().and_then(|known| known.doubts.get(push).copied()).unwrap_or_default()
    }

    /// The id of a case of a folder that is there: what is sent from now on gets higher ones.
    pub(super) fn id_below(&self, target: &Target) -> Option<u64> {
        self.known.lock().ok()?.latest.get(target).map(|sample| sample.id)
    }

    /// Whether ids of an account tell what is older, as far as is known.
    pub(super) fn ids_ascend(&self, account: &str) -> bool {
        self.known.lock().is_ok_and(|known| !known.unordered.contains(account))
    }

    /// A case got a lower id than one that was there before.
    pub(super) fn note_disorder(&self, account: &str) {
        let Ok(mut known) = self.known.lock() else { return };
        if known.unordered.insert(account.to_owned()) {
            tracing::warn!(account, "ids of cases do not ascend; looks read everything that was created of late");
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
    ) -> Result<Option<Look>, Trouble> {
        match self.client.look(access, target, past, tags).await {
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
        assert_eq!(samples.id_below(&target(2)), Some(12));
    }

    #[test]
    fn of_a_push_holds_what_holds_for_all_of_its_batches() {
        let samples = Samples::default();
        let doubt = |above| Doubt { ended_at: None, above };
        for (push, noted, held) in [
            ("p", vec![Some(7), Some(5), Some(6)], Some(5)),
            ("q", vec![Some(7), None, Some(6)], None),
            ("r", vec![None, Some(6)], None),
        ] {
            noted.into_iter().for_each(|above| samples.note_doubt(push, doubt(above)));
            assert_eq!(samples.doubt(push), doubt(held), "{push}");
        }
        assert_eq!(samples.doubt("unknown"), Doubt::default());
    }

    #[test]
    fn where_ids_do_not_ascend_they_tell_nothing() {
        let samples = Samples::default();
        samples.keep(target(2), sample(10, Instant::now()));
        assert_eq!((samples.id_below(&target(2)), samples.id_below(&target(3))), (Some(10), None));
        assert!(samples.ids_ascend("https://acme.testmo.net"));
        samples.note_disorder("https://acme.testmo.net");
        assert!(!samples.ids_ascend("https://acme.testmo.net") && samples.ids_ascend("https://oak.testmo.net"));
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
        (0..=MOST_DOUBTS).for_each(|push| samples.note_doubt(&push.to_string(), Doubt::default()));
        let known = samples.known.lock().unwrap();
        assert_eq!((known.latest.len(), known.doubts.len()), (1, 1));
    }
}
