//! Decides what a round of pruning leaves alone, and remembers how far it has come.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batch::ledger::{OpenPush, Target};

/// Reconciliation accepts rows that are older than the unknown outcome by a margin for clocks; ids that other batches hold
/// are kept for as long as a reconciliation can come. In milliseconds.
const DOUBT_MARGIN_MS: i64 = 3_600_000;

/// The batches that are kept because a batch of the same account has an unknown outcome. Times are milliseconds on the
/// store's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// From which time on finished batches are kept, by account.
    accounts: BTreeMap<String, i64>,
    /// The same for every account: the account of an unknown outcome cannot be read.
    all: Option<i64>,
}

impl HeldBack {
    /// Adds a batch whose outcome has been unknown `since`, and which was sent to `targets`.
    ///
    /// After twice the retention it holds back no other batch if its cases carry a batch tag: reconciliation then
    /// recognizes them without the ids of others.
    pub fn add(
        &mut self,
        since: i64,
        targets: Option<&[Target]>,
        open: Option<&OpenPush>,
        before: i64,
        retention_ms: i64,
    ) {
        let is_tagged = open.is_some_and(|open| open.batch_tag.is_some());
        if is_tagged && since < before.saturating_sub(retention_ms) {
            return;
        }
        let from = since.saturating_sub(DOUBT_MARGIN_MS);
        let Some(targets) = targets else {
            self.all = Some(self.all.map_or(from, |all| all.min(from)));
            return;
        };
        for target in targets {
            self.accounts.entry(target.account.clone()).and_modify(|known| *known = from.min(*known)).or_insert(from);
        }
    }

    /// Returns whether a batch that finished at a time is kept for its accounts.
    pub fn holds(&self, settled_at: i64, targets: &[Target]) -> bool {
        let accounts = targets.iter().filter_map(|target| self.accounts.get(&target.account));
        accounts.chain(self.all.iter()).any(|from| settled_at >= *from)
    }

    /// Returns the latest time since which an outcome can be unknown so that batches finished before `before` are kept.
    pub fn latest(before: i64) -> i64 {
        before.saturating_add(DOUBT_MARGIN_MS)
    }
}

/// A round of pruning: all rows that are old enough when it begins, in steps.
#[derive(Clone, Debug, Default)]
pub struct PruneRound {
    /// What finished before this time is old enough, in milliseconds on the store's clock.
    pub before: i64,
    /// The retention, in milliseconds.
    pub retention_ms: i64,
    /// What is kept for reconciliation.
    pub held_back: HeldBack,
    /// The last batch that was examined: when it finished, its tenant and its id.
    pub last_batch: Option<(i64, String, String)>,
    /// The last event that was examined: when it was stored, its subject and its id.
    pub last_event: Option<(i64, String, String)>,
    /// Whether no batches are left to examine.
    pub no_batches_left: bool,
    /// Whether no published events are left to examine.
    pub no_events_left: bool,
    /// Whether no events that no queue is bound for are left to remove.
    pub no_unroutable_left: bool,
    /// The last time, the tenant and the batch of the last entry of a history that was examined.
    pub last_entry: Option<(i64, String, String)>,
    /// Whether no entries of histories are left to examine.
    pub no_entries_left: bool,
    /// Whether no discarded entries are left to remove.
    pub no_discarded_left: bool,
    /// How long the transaction of the latest step took.
    pub took: Duration,
}

impl PruneRound {
    /// Returns a round at a time, in milliseconds on the store's clock.
    pub fn new(now: i64, retention: Duration) -> Self {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        Self { before: now.saturating_sub(retention_ms), retention_ms, ..Self::default() }
    }

    /// Returns whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        let is_done = self.no_batches_left && self.no_events_left && self.no_unroutable_left;
        is_done && self.no_entries_left && self.no_discarded_left
    }

    /// Returns the time up to which everything was examined; `None` if nothing was examined yet.
    pub fn reached(&self) -> Option<i64> {
        let of = |last: &Option<(i64, String, String)>, is_done| {
            if is_done { Some(self.before) } else { last.as_ref().map(|(at, ..)| *at) }
        };
        let batches = of(&self.last_batch, self.no_batches_left)?;
        Some(batches.min(of(&self.last_event, self.no_events_left)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const RETENTION: i64 = 1_000 * HOUR;
    const BEFORE: i64 = 5_000 * HOUR;

    fn target(account: &str) -> Target {
        Target { account: account.into(), project: 1, folder: 2 }
    }

    fn open(tag: Option<&str>) -> OpenPush {
        OpenPush { id: "p".into(), connection: "v".into(), batch_tag: tag.map(Into::into), committed: false }
    }

    #[test]
    fn an_unknown_outcome_holds_back_later_batches_of_its_own_accounts() {
        let mut held = HeldBack::default();
        let since = BEFORE - 100 * HOUR;
        held.add(since, Some(&[target("a"), target("b")]), Some(&open(Some("tag"))), BEFORE, RETENTION);
        held.add(since - HOUR, Some(&[target("b")]), None, BEFORE, RETENTION);
        for (account, settled_at, holds) in [
            ("a", since - HOUR, true),
            ("a", since - HOUR - 1, false),
            ("b", since - 2 * HOUR, true),
            ("b", since - 2 * HOUR - 1, false),
            ("c", BEFORE, false),
        ] {
            assert_eq!(held.holds(settled_at, &[target(account)]), holds, "{account} {settled_at}");
        }
        assert!(held.holds(BEFORE, &[target("c"), target("a")]), "it was sent to both accounts");
        assert!(!held.holds(BEFORE, &[]), "it was sent to no account");
    }

    #[test]
    fn after_twice_the_retention_a_tagged_batch_holds_back_no_other() {
        for (tag, age, holds) in
            [(Some("tag"), RETENTION, true), (Some("tag"), RETENTION + 1, false), (None, RETENTION + 1, true)]
        {
            let mut held = HeldBack::default();
            held.add(BEFORE - age, Some(&[target("a")]), Some(&open(tag)), BEFORE, RETENTION);
            assert_eq!(held.holds(BEFORE, &[target("a")]), holds, "{tag:?} {age}");
        }
        let mut held = HeldBack::default();
        held.add(0, Some(&[target("a")]), None, BEFORE, RETENTION);
        assert!(held.holds(BEFORE, &[target("a")]), "nothing shows that its cases have a tag");
    }

    #[test]
    fn an_unknown_outcome_whose_account_cannot_be_read_holds_back_all() {
        let mut held = HeldBack::default();
        held.add(BEFORE, None, None, BEFORE, RETENTION);
        assert!(held.holds(BEFORE, &[target("a")]) && held.holds(BEFORE - HOUR, &[]));
        assert!(!held.holds(BEFORE - HOUR - 1, &[target("a")]));
    }

    #[test]
    fn a_round_has_reached_the_older_of_what_it_examined_last() {
        let at = |at: i64| Some((at, "t".to_owned(), "b".to_owned()));
        let mut round = PruneRound::new(BEFORE + RETENTION, Duration::from_secs(3_600_000));
        assert_eq!((round.before, round.reached(), round.is_done()), (BEFORE, None, false));
        (round.last_batch, round.last_event) = (at(7), at(5));
        assert_eq!(round.reached(), Some(5));
        round.no_events_left = true;
        assert_eq!(round.reached(), Some(7));
        (round.no_batches_left, round.no_unroutable_left) = (true, true);
        assert_eq!((round.reached(), round.is_done()), (Some(BEFORE), false));
        (round.no_entries_left, round.no_discarded_left) = (true, true);
        assert_eq!((round.reached(), round.is_done()), (Some(BEFORE), true));
    }
}
