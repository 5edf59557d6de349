//! Holds the faults of a message, each with its place as a JSON pointer.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::message::text::excerpt;

/// The most characters of a key that a pointer shows.
const LONGEST_KEY: usize = 64;
/// The most characters of a pointer.
const LONGEST_POINTER: usize = 512;
/// The most faults that are kept of one case beyond the faults that are listed for the whole message.
pub(super) const FAULTS_OF_CASE: usize = 3;
/// The most cases whose faults are kept apart: a batch has no more.
pub(super) const MOST_CASES: usize = 1_000;

/// One thing wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// The place of the fault as a JSON pointer (RFC 6901); empty for the whole message. Very long keys are cut and end
    /// with `…`.
    pub pointer: String,
    /// The position of the case that the fault is in, from 1 like everywhere outside of pointers; absent elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<usize>,
    /// What is wrong at that place.
    pub what: String,
    /// How to fix the fault.
    pub remedy: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.place(), self.what, self.remedy)
    }
}

impl Fault {
    /// Returns a fault at the place that a JSON pointer names.
    pub fn at(pointer: String, what: String, remedy: String) -> Self {
        let index = pointer.strip_prefix("/cases/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
        Self { case: index.map(|index| index.saturating_add(1)), pointer, what, remedy }
    }

    /// Returns the pointer with the position of the case, or `the message` if the pointer is empty.
    pub fn place(&self) -> String {
        match (self.pointer.as_str(), self.case) {
            ("", _) => "the message".into(),
            (pointer, None) => pointer.into(),
            (pointer, Some(position)) => format!("{pointer} (case #{position})"),
        }
    }
}

/// The faults of a message: a limited number is listed and the others are counted, so that the report stays short.
#[derive(Debug)]
pub(super) struct Faults {
    named: Vec<Fault>,
    most: usize,
    more: usize,
    /// The number of faults in each case that has one, by index.
    of_cases: BTreeMap<usize, usize>,
    /// The number of faults outside of cases.
    of_message: usize,
}

impl Faults {
    pub(super) fn naming(most: usize) -> Self {
        Self { named: Vec::new(), most, more: 0, of_cases: BTreeMap::new(), of_message: 0 }
    }

    pub(super) fn add(&mut self, place: &Place<'_>, what: &dyn Display, remedy: &dyn Display) {
        let count = match place.case() {
            Some(index) => self.of_cases.entry(index).or_default(),
            None => &mut self.of_message,
        };
        *count += 1;
        let is_kept = place.case().is_some() && *count <= FAULTS_OF_CASE;
        if self.named.len() >= self.most && !is_kept {
            self.more += 1;
            return;
        }
        self.named.push(Fault::at(place.pointer(), what.to_string(), remedy.to_string()));
    }

    /// Returns whether every fault is inside of a case.
    pub(super) fn are_of_cases(&self) -> bool {
        self.of_message == 0
    }

    /// Returns the first faults of each case that has one, by index, with the number of its further faults.
    pub(super) fn by_case(&self) -> BTreeMap<usize, (Vec<Fault>, usize)> {
        let mut cases: BTreeMap<usize, (Vec<Fault>, usize)> =
            self.of_cases.iter().map(|(index, count)| (*index, (Vec::new(), *count))).collect();
        for fault in &self.named {
            let index = fault.case.map(|position| position.saturating_sub(1));
            let Some((first, more)) = index.and_then(|index| cases.get_mut(&index)) else { continue };
            if first.len() < FAULTS_OF_CASE {
                first.push(fault.clone());
                *more -= 1;
            }
        }
        cases
    }

    /// Returns the listed faults, followed by one that gives the number of the others.
    pub(super) fn list(mut self) -> Vec<Fault> {
        let beyond = self.named.len().saturating_sub(self.most);
        self.named.truncate(self.most);
        if self.more + beyond > 0 {
            let what = format!("has {} more faults", self.more + beyond);
            let remedy = "fix the named faults, then check the message again".into();
            self.named.push(Fault::at(String::new(), what, remedy));
        }
        self.named
    }
}

/// The path from the root of a document to a place in it; costs nothing until a pointer is needed.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    pub(super) fn pointer(&self) -> String {
        let mut pointer = String::new();
        self.write(&mut pointer);
        excerpt(&pointer, LONGEST_POINTER)
    }

    /// Returns the index of the case that the place is in.
    fn case(&self) -> Option<usize> {
        match self {
            Self::Root => None,
            Self::Index(Place::Key(Place::Root, "cases"), index) => Some(*index).filter(|index| *index < MOST_CASES),
            Self::Key(above, _) | Self::Index(above, _) => above.case(),
        }
    }

    fn write(&self, pointer: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(above, key) => {
                above.write(pointer);
                let cut = key.char_indices().nth(LONGEST_KEY).map_or(*key, |(end, _)| &key[..end]);
                let rest = if cut.len() < key.len() { "…" } else { "" };
                let shown: String = cut.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                *pointer += &format!("/{}{rest}", shown.replace('~', "~0").replace('/', "~1"));
            }
            Self::Index(above, index) => {
                above.write(pointer);
                *pointer += &format!("/{index}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::message::decode::Undecodable;

    #[test]
    fn a_pointer_is_bounded_and_holds_no_control_characters() {
        let long = "k".repeat(1_000_000);
        let key = Place::Key(&Place::Root, &long);
        assert_eq!(key.pointer(), format!("/{}…", "k".repeat(64)));
        assert_eq!(Place::Key(&Place::Root, "a\x1b[2J/~").pointer(), "/a\u{fffd}[2J~1~0");
        fn deep(above: &Place<'_>, key: &str, left: usize) -> String {
            if left == 0 { above.pointer() } else { deep(&Place::Key(above, key), key, left - 1) }
        }
        assert_eq!(deep(&Place::Root, &long, 100).chars().count(), LONGEST_POINTER + 1);
    }

    #[test]
    fn the_detail_has_the_first_faults_and_says_whether_there_are_more() {
        for (count, more) in [(1, false), (10, false), (11, true)] {
            let fault = |n| Fault::at(format!("/cases/{n}"), "is odd".into(), "leave it out".into());
            let faults: Vec<Fault> = (0..count).map(fault).collect();
            let detail = Undecodable::Schema { faults: faults.clone(), key: None, tenant: None }.detail();
            assert!(detail.starts_with(&faults[0].to_string()), "{detail}");
            assert_eq!(detail.ends_with("; and more"), more, "{count} faults: {detail}");
        }
    }

    #[test]
    fn faults_beyond_the_limit_are_counted() {
        let mut faults = Faults::naming(2);
        for _ in 0..5 {
            faults.add(&Place::Root, &"is odd", &"fix it");
        }
        let list = faults.list();
        assert_eq!(list.len(), 3);
        assert_eq!(
            list[2].to_string(),
            "the message has 3 more faults: fix the named faults, then check the message again"
        );
    }
}
