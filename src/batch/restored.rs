//! Decides which batches are looked up in Testmo before their next create request, because the store was restored from an
//! older copy.

use super::ledger::{BatchRecord, BatchState};

/// How far the numbers of outcomes are apart that follow different restores.
pub const REVISIONS_OF_A_RESTORE: u32 = 1_000;

/// What a store knows of the times it was restored from an older copy of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How often.
    pub times: u32,
    /// The latest time that each of the copies knew of: what is in Testmo and not in the store was created after it. In
    /// milliseconds on the store's clock, like the other times.
    pub latest_at: i64,
    /// Batches that arrive until then may have been delivered after the copy was made.
    pub until: i64,
    /// When the last restore was noted: no worker from before can begin a request after that.
    pub noted_at: i64,
}

/// One restore, as a person has noted it; times in milliseconds on the store's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Which one it is, counted from 1.
    pub number: u32,
    /// When the copy was made, as the person says.
    pub copied_at: i64,
    /// The latest time that the copy knew of.
    pub latest_at: i64,
    /// Until when batches that arrive are looked up.
    pub until: i64,
    /// When the restore was noted.
    pub noted_at: i64,
}

/// What a batch needs before its next create request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// Nothing: the ledger knows all of it.
    No,
    /// To be looked up by its tag.
    ByTag,
    /// To be looked up once a request from before the restore can no longer be carried out, in milliseconds.
    After(u64),
    /// A decision of a person, since its cases have no tag by which they could be found.
    Person,
}

impl Restored {
    /// Returns what several restores mean together at `now`.
    pub fn of(restores: &[Restore], now: i64) -> Self {
        let last = restores.iter().map(|restore| restore.number).max();
        let counts = |restore: &&Restore| restore.until > now || Some(restore.number) == last;
        Self {
            times: last.unwrap_or_default(),
            latest_at: restores.iter().filter(counts).map(|restore| restore.latest_at).min().unwrap_or_default(),
            until: restores.iter().map(|restore| restore.until).max().unwrap_or_default(),
            noted_at: restores.iter().map(|restore| restore.noted_at).max().unwrap_or_default(),
        }
    }

    /// Returns the number of the first outcome of a batch: above all that the ledger may have forgotten.
    pub fn first_revision(&self) -> u32 {
        self.times.saturating_mul(REVISIONS_OF_A_RESTORE).saturating_add(1)
    }

    /// Decides whether a batch is looked up that arrived at `arrived_at`, if a request from before the restore may still
    /// be carried out for `settling` milliseconds after the restore was noted.
    pub fn look_up(&self, record: &BatchRecord, is_tagged: bool, arrived_at: i64, now: i64, settling: i64) -> LookUp {
        let is_open = record.state == BatchState::Open && record.outcome().is_none();
        let is_known = record.restores >= self.times;
        let is_late = record.epoch == 0 && arrived_at >= self.until;
        if !is_open || is_known || is_late {
            return LookUp::No;
        }
        if !is_tagged {
            return LookUp::Person;
        }
        let from = self.noted_at.saturating_add(settling);
        match u64::try_from(from.saturating_sub(now)) {
            Ok(wait) if wait > 0 => LookUp::After(wait),
            Ok(_) | Err(_) => LookUp::ByTag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTORED: Restored = Restored { times: 1, latest_at: 100, until: 900, noted_at: 200 };

    fn record(change: impl FnOnce(&mut BatchRecord)) -> BatchRecord {
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), ["a".into()]);
        change(&mut record);
        record
    }

    #[test]
    fn what_may_have_been_delivered_after_the_copy_is_looked_up() {
        let fresh = || record(|_| {});
        let stored = |restores| record(|record| (record.epoch, record.restores) = (3, restores));
        let settled = record(|record| (record.epoch, record.state) = (3, BatchState::Partial));
        let arrived = record(|record| record.created(&[(0, 5)]));
        for (what, record, is_tagged, arrived_at, now, expected) in [
            ("published again", fresh(), true, 300, 300, LookUp::ByTag),
            ("published in time, taken later", fresh(), true, 899, 5_000, LookUp::ByTag),
            ("published too late", fresh(), true, 900, 5_000, LookUp::No),
            ("unfinished in the copy", stored(0), true, 5_000, 5_000, LookUp::ByTag),
            ("looked up before", stored(1), true, 300, 300, LookUp::No),
            ("finished in the copy", settled, true, 300, 300, LookUp::No),
            ("nothing left to send", arrived, true, 300, 300, LookUp::No),
            ("a request may be under way", fresh(), true, 210, 210, LookUp::After(40)),
            ("no longer", fresh(), true, 210, 250, LookUp::ByTag),
            ("without a tag", fresh(), false, 210, 210, LookUp::Person),
        ] {
            assert_eq!(RESTORED.look_up(&record, is_tagged, arrived_at, now, 50), expected, "{what}");
        }
        assert_eq!(Restored::default().look_up(&fresh(), true, 0, 0, 50), LookUp::No, "never restored");
    }

    #[test]
    fn several_restores_are_taken_together_for_as_long_as_each_counts() {
        let restore = |number, latest_at, until| Restore {
            number,
            copied_at: latest_at + 1,
            latest_at,
            until,
            noted_at: latest_at + 2,
        };
        let both = [restore(1, 100, 900), restore(2, 500, 800)];
        let at = |now| Restored::of(&both, now);
        assert_eq!(at(700), Restored { times: 2, latest_at: 100, until: 900, noted_at: 502 });
        assert_eq!(at(900).latest_at, 500, "the first one is over");
        assert_eq!(Restored::of(&[], 5), Restored::default());
    }

    #[test]
    fn numbers_of_outcomes_go_on_a_thousand_higher_after_each_restore() {
        let first = |times| Restored { times, ..RESTORED }.first_revision();
        assert_eq!([first(0), first(1), first(2), first(u32::MAX)], [1, 1_001, 2_001, u32::MAX]);
    }
}
