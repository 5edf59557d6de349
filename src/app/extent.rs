//! Says how much of a list is shown, and what the whole of it consists of.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

/// Of a list at most so many entries are counted: the newest.
pub const COUNTED: u32 = 10_001;

/// How many values of a kind are named.
const NAMED: usize = 10;

/// How much of a list is shown, with the totals of the whole list.
#[derive(Clone, Debug)]
pub struct Extent {
    shown: u64,
    counted: u64,
    is_all: bool,
    kinds: Vec<(&'static str, BTreeMap<String, u64>)>,
}

impl Extent {
    /// Returns the extent of a list of which `shown` entries are shown, with totals of these kinds. `is_all` says whether
    /// all entries are counted.
    pub(super) fn new(shown: usize, is_all: bool, kinds: &[&'static str]) -> Self {
        let kinds = kinds.iter().map(|kind| (*kind, BTreeMap::new())).collect();
        Self { shown: u64::try_from(shown).unwrap_or(u64::MAX), counted: 0, is_all, kinds }
    }

    /// Adds `count` entries with these values, one of each kind.
    pub(super) fn add(&mut self, values: &[&str], count: u64) {
        self.counted += count;
        for ((_, totals), value) in self.kinds.iter_mut().zip(values) {
            *totals.entry((*value).to_owned()).or_default() += count;
        }
    }

    /// Returns how many entries are counted, and whether these are all.
    pub fn counted(&self) -> (u64, bool) {
        (self.counted.min(u64::from(COUNTED) - 1), self.is_all)
    }

    /// Returns whether the list has entries that are not shown.
    pub fn is_cut(&self) -> bool {
        self.shown < self.counted || !self.is_all
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.counted.min(u64::from(COUNTED) - 1);
        let (more, of_which) = if self.is_all { ("", "") } else { ("more than ", "of the newest, ") };
        write!(f, "{} of {more}{counted}, --limit 0 for all", self.shown)?;
        for (kind, totals) in &self.kinds {
            let mut totals: Vec<(&String, &u64)> = totals.iter().collect();
            totals.sort_by_key(|(value, count)| (Reverse(**count), *value));
            let named: Vec<String> =
                totals.iter().take(NAMED).map(|(value, count)| format!("{value} {count}")).collect();
            write!(f, "\n{of_which}by {kind}: {}", named.join(", "))?;
            if let Some(others) = totals.len().checked_sub(NAMED).filter(|others| *others > 0) {
                write!(f, ", and {others} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_says_so_with_its_totals() {
        let mut extent = Extent::new(50, true, &["reason", "tenant"]);
        extent.add(&["key_refused", "acme"], 300);
        extent.add(&["no_room", "acme"], 70);
        extent.add(&["no_room", "birch"], 6);
        assert!(extent.is_cut());
        let expected =
            "50 of 376, --limit 0 for all\nby reason: key_refused 300, no_room 76\nby tenant: acme 370, birch 6";
        assert_eq!(extent.to_string(), expected);
    }

    #[test]
    fn a_long_list_is_counted_up_to_a_bound_and_the_largest_totals_are_named() {
        let mut extent = Extent::new(50, false, &["tenant"]);
        for n in 0..12 {
            extent.add(&[&format!("t{n:02}")], if n == 11 { 9_990 } else { 1 });
        }
        let expected = "50 of more than 10000, --limit 0 for all\nof the newest, by tenant: t11 9990, t00 1, t01 1, t02 1, \
                        t03 1, t04 1, t05 1, t06 1, t07 1, t08 1, and 2 more";
        assert_eq!(extent.to_string(), expected);
    }

    #[test]
    fn a_list_that_is_whole_is_not_cut() {
        let mut extent = Extent::new(3, true, &["tenant"]);
        extent.add(&["acme"], 3);
        assert!(!extent.is_cut());
        assert!(!Extent::new(0, true, &["tenant"]).is_cut());
    }
}
