//! Decides which entry of a history a new one repeats, and which place it gets.

use super::entry::HistoryEntry;

/// The most entries that are kept of a batch; the oldest ones are dropped.
pub const MOST_ENTRIES: u64 = 100;

/// So many of the latest entries are compared with a new one: a batch that keeps failing goes through a cycle of a few.
pub const COMPARED: usize = 6;

/// The latest entries of a batch, each with its place, oldest first; `None` stands for one that this version cannot read.
#[derive(Clone, Debug, Default)]
pub struct Recent(Vec<(u64, Option<HistoryEntry>)>);

impl Recent {
    /// Adds an entry that is stored at a place after all others.
    pub fn stored(&mut self, place: u64, entry: Option<HistoryEntry>) {
        self.0.push((place, entry));
    }

    /// Adds a new entry, and returns what is to be stored at which place: the entry that it repeats with another count, or
    /// the new one behind all others.
    pub fn add(&mut self, new: HistoryEntry) -> (u64, HistoryEntry) {
        let latest = self.0.iter_mut().rev().take(COMPARED);
        let mut repeatable = latest.map_while(|(place, entry)| Some((*place, entry.as_mut()?)));
        if let Some((place, before)) = find_repeated(&mut repeatable, &new) {
            repeat(before, new);
            return (place, before.clone());
        }
        let place = self.0.last().map_or(1, |(place, _)| place + 1);
        self.0.push((place, Some(new.clone())));
        (place, new)
    }
}

/// Adds an entry to a list of entries that are not stored yet, of which the latest `most` are kept.
pub fn note(entries: &mut Vec<HistoryEntry>, new: HistoryEntry, most: usize) {
    let mut latest = entries.iter_mut().rev().take(COMPARED).map(|entry| ((), entry));
    if let Some(((), before)) = find_repeated(&mut latest, &new) {
        repeat(before, new);
        return;
    }
    if entries.len() >= most {
        entries.remove(0);
    }
    entries.push(new);
}

/// Finds the entry that a new one repeats, among the latest ones, newest first: nothing that changed something or needed a
/// person lies between them.
fn find_repeated<'a, P>(
    latest: &mut impl Iterator<Item = (P, &'a mut HistoryEntry)>,
    new: &HistoryEntry,
) -> Option<(P, &'a mut HistoryEntry)> {
    latest.take_while(|(_, entry)| entry.what.may_repeat()).find(|(_, entry)| entry.what == new.what)
}

fn repeat(before: &mut HistoryEntry, new: HistoryEntry) {
    before.times = before.times.saturating_add(new.times);
    (before.last_at, before.until) = (new.last_at.max(before.last_at), new.until);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::entry::{Happening, Reconciliation};
    use super::*;
    use crate::batch::Reason;
    use crate::store::shelf::ShelvedUntil;

    /// Returns an entry by a letter: `w` waits, `t` waits for another reason, `r` retries, `n` finds nothing, `f` finds a
    /// case, `p` waits for a person.
    fn entry(letter: char, at: i64) -> HistoryEntry {
        let shelved = |reason, until| Happening::shelved(reason, None, until);
        let found = |adopted| Happening::Reconciled(Reconciliation { unknown: 1, adopted, ..Default::default() });
        let what = match letter {
            'w' => shelved(Reason::ServerError, ShelvedUntil::After(Duration::ZERO)),
            't' => shelved(Reason::Throttled, ShelvedUntil::After(Duration::ZERO)),
            'r' => Happening::retried(Reason::ServerError, None),
            'n' => found(0),
            'f' => found(1),
            'p' => shelved(Reason::CaseRefused, ShelvedUntil::Person),
            other => panic!("{other}"),
        };
        HistoryEntry::once(what, at, Some(at + 100))
    }

    /// Writes entries as letters, with a count where there is one.
    fn letters<'a>(entries: impl Iterator<Item = &'a HistoryEntry>) -> String {
        let known = ['w', 't', 'r', 'n', 'f', 'p'];
        let letter = |entry: &HistoryEntry| {
            let letter = known.into_iter().find(|letter| self::entry(*letter, 0).what == entry.what).unwrap();
            if entry.times == 1 { letter.to_string() } else { format!("{letter}{}", entry.times) }
        };
        entries.map(letter).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn repeated_entries_are_one_with_a_count_unless_something_happened_in_between() {
        for (new, expected) in [
            ("w", "w"),
            ("www", "w3"),
            ("wtwtw", "w3 t2"),
            ("rnwrnwrnw", "r3 n3 w3"),
            ("rfr", "r f r"),
            ("wpw", "w p w"),
            ("pp", "p p"),
            ("ff", "f f"),
            ("wnfwnw", "w n f w2 n"),
        ] {
            let (mut recent, mut stored) = (Recent::default(), std::collections::BTreeMap::new());
            let mut noted = Vec::new();
            for (at, letter) in (0..).zip(new.chars()) {
                let (place, entry) = recent.add(self::entry(letter, at));
                stored.insert(place, entry);
                note(&mut noted, self::entry(letter, at), 99);
            }
            assert_eq!(letters(stored.values()), expected, "{new}");
            assert_eq!(letters(noted.iter()), expected, "{new}");
            assert_eq!(stored.keys().copied().collect::<Vec<_>>(), (1..=stored.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_repeated_entry_has_the_first_and_the_last_time_and_the_last_end() {
        let mut recent = Recent::default();
        recent.stored(41, Some(HistoryEntry { times: 3, ..entry('w', 5) }));
        let (place, entry) = recent.add(HistoryEntry { times: 2, last_at: 9, ..entry('w', 7) });
        assert_eq!((place, entry.times, entry.first_at, entry.last_at, entry.until), (41, 5, 5, 9, Some(107)));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_passed_by_nothing() {
        let mut recent = Recent::default();
        recent.stored(7, Some(entry('w', 1)));
        recent.stored(8, None);
        assert_eq!(recent.add(entry('w', 2)).0, 9);
        assert_eq!(recent.add(entry('w', 3)).0, 9);
    }

    #[test]
    fn only_the_latest_entries_are_compared_and_the_latest_notes_kept() {
        let mut recent = Recent::default();
        recent.stored(1, Some(entry('w', 0)));
        for place in 2..=7 {
            let what = Happening::retried(Reason::ServerError, Some(&place.to_string()));
            recent.stored(place, Some(HistoryEntry::once(what, 0, None)));
        }
        assert_eq!(recent.add(entry('w', 9)).0, 8);
        let mut noted = Vec::new();
        "pppw".chars().for_each(|letter| note(&mut noted, entry(letter, 0), 2));
        assert_eq!(letters(noted.iter()), "p w");
    }
}
