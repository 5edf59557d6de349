//! Holds the values of a batch by which it is found, and matches texts with them.

use super::fold::{folded, spaced};
use super::{Needle, Reach, TextPart};

/// The most characters of a case's name that are searched.
pub const MAX_SEARCHED_NAME: usize = 200;
/// The most characters of another value.
const MAX_VALUE: usize = 255;
/// The most bytes of a batch's values; cases beyond are found by their ids in Testmo only.
const MAX_BYTES: usize = 250_000;

/// What a value of a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueKind {
    /// The id of the batch.
    BatchId,
    /// The key of the story or ticket that the batch was generated from.
    SourceKey,
    /// The tag that the batch's cases have in Testmo.
    BatchTag,
    /// The name of a case.
    Name,
    /// The generator's id of a case.
    ExternalId,
    /// The id of a case in Testmo.
    TestmoId,
}

impl ValueKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::BatchId, Self::SourceKey, Self::BatchTag, Self::Name, Self::ExternalId, Self::TestmoId];

    /// Returns the word for the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchId => "batch_id",
            Self::SourceKey => "source_key",
            Self::BatchTag => "batch_tag",
            Self::Name => "name",
            Self::ExternalId => "external_id",
            Self::TestmoId => "testmo_id",
        }
    }

    fn letter(self) -> char {
        match self {
            Self::BatchId => 'b',
            Self::SourceKey => 's',
            Self::BatchTag => 't',
            Self::Name => 'n',
            Self::ExternalId => 'e',
            Self::TestmoId => 'i',
        }
    }
}

/// What a batch is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchDocument {
    /// The id of the batch, if it is known.
    pub batch_id: Option<String>,
    /// The key of its source.
    pub source_key: Option<String>,
    /// Its tag in Testmo.
    pub batch_tag: Option<String>,
    /// Its cases, in order.
    pub cases: Vec<SearchCase>,
}

/// What a case is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchCase {
    /// Its name.
    pub name: Option<String>,
    /// The generator's id of it.
    pub external_id: Option<String>,
    /// Its id in Testmo.
    pub testmo_id: Option<u64>,
}

/// A value that a text matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// What the value is.
    pub kind: ValueKind,
    /// The index of its case; `None` for a value of the whole batch.
    pub case: Option<usize>,
}

impl SearchDocument {
    /// Returns the same with each value on one line, and no longer than it is searched.
    #[must_use]
    pub(super) fn bounded(mut self) -> Self {
        for value in [&mut self.batch_id, &mut self.source_key, &mut self.batch_tag] {
            *value = value.take().and_then(|text| line(&text, MAX_VALUE));
        }
        let mut left = MAX_BYTES;
        let mut fitting = |text: &mut Option<String>, most| {
            *text = text.take().and_then(|text| line(&text, most)).filter(|text| text.len() <= left);
            left -= text.as_ref().map_or(0, String::len);
        };
        for case in &mut self.cases {
            fitting(&mut case.name, MAX_SEARCHED_NAME);
            fitting(&mut case.external_id, MAX_VALUE);
        }
        self
    }

    /// Returns what is known of a batch now, with what was known of it before where that is missing.
    #[must_use]
    pub fn over(mut self, before: Self) -> Self {
        self.batch_id = self.batch_id.or(before.batch_id);
        self.source_key = self.source_key.or(before.source_key);
        self.batch_tag = self.batch_tag.or(before.batch_tag);
        let mut before = before.cases.into_iter();
        for case in &mut self.cases {
            let Some(known) = before.next() else { break };
            case.name = case.name.take().or(known.name);
            case.external_id = case.external_id.take().or(known.external_id);
            case.testmo_id = case.testmo_id.or(known.testmo_id);
        }
        self.cases.extend(before);
        self
    }

    /// Returns every value, with the index of its case.
    pub fn values(&self) -> impl Iterator<Item = (Matched, String)> {
        let of_batch = [
            (ValueKind::BatchId, &self.batch_id),
            (ValueKind::SourceKey, &self.source_key),
            (ValueKind::BatchTag, &self.batch_tag),
        ];
        let of_batch = of_batch.into_iter().map(|(kind, value)| (kind, None, value.clone()));
        let of_cases = self.cases.iter().enumerate().flat_map(|(index, case)| {
            let id = case.testmo_id.map(|id| id.to_string());
            let values = [
                (ValueKind::Name, case.name.clone()),
                (ValueKind::ExternalId, case.external_id.clone()),
                (ValueKind::TestmoId, id),
            ];
            values.into_iter().map(move |(kind, value)| (kind, Some(index), value))
        });
        of_batch.chain(of_cases).filter_map(|(kind, case, value)| Some((Matched { kind, case }, value?)))
    }

    /// Returns the values line by line, and for each line a letter for its kind. Each case begins with a line for its name,
    /// which may be empty.
    pub fn lines(&self) -> (String, String) {
        let (mut lines, mut letters): (Vec<String>, String) = Default::default();
        let mut add = |kind: ValueKind, value: String| {
            lines.push(value);
            letters.push(kind.letter());
        };
        let of_batch = [
            (ValueKind::BatchId, &self.batch_id),
            (ValueKind::SourceKey, &self.source_key),
            (ValueKind::BatchTag, &self.batch_tag),
        ];
        of_batch.into_iter().filter_map(|(kind, value)| Some((kind, value.clone()?))).for_each(|(k, v)| add(k, v));
        for case in &self.cases {
            add(ValueKind::Name, case.name.clone().unwrap_or_default());
            case.external_id.iter().for_each(|id| add(ValueKind::ExternalId, id.clone()));
            case.testmo_id.iter().for_each(|id| add(ValueKind::TestmoId, id.to_string()));
        }
        (lines.join("\n"), letters)
    }

    /// Reads what [`Self::lines`] returned. A kind that this version does not know is left out.
    pub fn of_lines(lines: &str, letters: &str) -> Self {
        let mut document = Self::default();
        for (letter, line) in letters.chars().zip(lines.split('\n')) {
            let value = Some(line.to_owned()).filter(|line| !line.is_empty());
            match ValueKind::ALL.into_iter().find(|kind| kind.letter() == letter) {
                Some(ValueKind::BatchId) => document.batch_id = value,
                Some(ValueKind::SourceKey) => document.source_key = value,
                Some(ValueKind::BatchTag) => document.batch_tag = value,
                Some(ValueKind::Name) => document.cases.push(SearchCase { name: value, ..SearchCase::default() }),
                Some(ValueKind::ExternalId) => {
                    document.cases.iter_mut().last().into_iter().for_each(|case| case.external_id.clone_from(&value));
                }
                Some(ValueKind::TestmoId) => {
                    let id = line.parse().ok();
                    document.cases.iter_mut().last().into_iter().for_each(|case| case.testmo_id = id);
                }
                None => {}
            }
        }
        document
    }

    /// Returns the values that a text matches, in order.
    pub fn matches(&self, needle: &Needle, reach: Reach) -> Vec<Matched> {
        let is_match = |matched: &Matched, value: &str| match matched.kind {
            ValueKind::TestmoId => needle.testmo_id.is_some_and(|id| value == id.to_string()),
            ValueKind::BatchId
            | ValueKind::SourceKey
            | ValueKind::BatchTag
            | ValueKind::Name
            | ValueKind::ExternalId => needle.text.as_ref().is_some_and(|part| is_in(part, &folded(value), reach)),
        };
        self.values().filter(|(matched, value)| is_match(matched, value)).map(|(matched, _)| matched).collect()
    }
}

/// Returns whether a folded value has a text in it.
fn is_in(part: &TextPart, value: &str, reach: Reach) -> bool {
    match (part, reach) {
        (TextPart::Whole(text), _) => value == text,
        (TextPart::Any(text), Reach::AnyPart) => value.contains(text),
        (TextPart::Any(text), Reach::WordBeginnings) => {
            text.split(' ').all(|word| value.split(' ').any(|begun| begun.starts_with(word)))
        }
    }
}

/// Returns a value on one line, cut to `most` characters; `None` if nothing is left.
fn line(text: &str, most: usize) -> Option<String> {
    let text = spaced(text);
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    Some(text[..end].to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, external_id: Option<&str>, testmo_id: Option<u64>) -> SearchCase {
        SearchCase { name: Some(name.into()), external_id: external_id.map(Into::into), testmo_id }
    }

    fn document() -> SearchDocument {
        SearchDocument {
            batch_id: Some("shop-142-1".into()),
            source_key: Some("SHOP-142".into()),
            batch_tag: Some("sqai-0123456789ab".into()),
            cases: vec![
                case("Sign in with a  code", Some("TC-1"), Some(3721)),
                SearchCase { external_id: Some("7".into()), ..SearchCase::default() },
                case("Überweisung prüfen", None, Some(3722)),
            ],
        }
    }

    fn found(text: &str, reach: Reach) -> Vec<(&'static str, Option<usize>)> {
        let needle: Needle = text.parse().unwrap();
        let matches = document().bounded().matches(&needle, reach);
        matches.into_iter().map(|matched| (matched.kind.name(), matched.case)).collect()
    }

    /// Kinds of values, with the indexes of their cases.
    type Kinds<'a> = &'a [(&'a str, Option<usize>)];

    #[test]
    fn a_text_matches_any_part_of_a_value_but_ids_in_testmo_as_a_whole() {
        let table: [(&str, Kinds<'_>); 12] = [
            ("SHOP-142", &[("batch_id", None), ("source_key", None)]),
            ("op-142-", &[("batch_id", None)]),
            ("sqai-0123456789AB", &[("batch_tag", None)]),
            ("in  with A", &[("name", Some(0))]),
            ("ÜBERWEISUNG", &[("name", Some(2))]),
            ("uberweisung", &[]),
            ("tc-", &[("external_id", Some(0))]),
            ("7", &[("external_id", Some(1))]),
            ("3721", &[("testmo_id", Some(0))]),
            ("#3721", &[("testmo_id", Some(0))]),
            ("372", &[]),
            ("https://acme.testmo.net/repositories/3?group_id=4&case_id=3722", &[("testmo_id", Some(2))]),
        ];
        for (text, expected) in table {
            assert_eq!(found(text, Reach::AnyPart), expected, "{text}");
        }
    }

    #[test]
    fn without_trigrams_each_word_has_to_begin_a_word() {
        let table: [(&str, Kinds<'_>); 5] = [
            ("with sig", &[("name", Some(0))]),
            ("ign", &[]),
            ("shop-1", &[("batch_id", None), ("source_key", None)]),
            ("sign code prüfen", &[]),
            ("3721", &[("testmo_id", Some(0))]),
        ];
        for (text, expected) in table {
            assert_eq!(found(text, Reach::WordBeginnings), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let document = document().bounded();
        let (lines, letters) = document.lines();
        assert_eq!(letters, "bstneineni");
        assert_eq!(SearchDocument::of_lines(&lines, &letters), document);
        assert_eq!(SearchDocument::of_lines("", ""), SearchDocument::default());
        assert_eq!(SearchDocument::of_lines("x\ny", "?e"), SearchDocument::default(), "of a later version, or damaged");
    }

    #[test]
    fn what_is_missing_is_taken_from_what_was_known_before() {
        let bare = SearchDocument {
            batch_id: Some("shop-142-1".into()),
            cases: vec![SearchCase { testmo_id: Some(9), ..SearchCase::default() }],
            ..SearchDocument::default()
        };
        let expected = SearchDocument {
            cases: vec![
                SearchCase { testmo_id: Some(9), ..document().cases[0].clone() },
                document().cases[1].clone(),
                document().cases[2].clone(),
            ],
            ..document()
        };
        assert_eq!(bare.over(document()), expected);
    }

    #[test]
    fn values_are_bounded() {
        let huge = SearchDocument {
            cases: vec![case(&"ü".repeat(1_000), Some(&"x\ny".repeat(500)), Some(1)); 1_000],
            ..SearchDocument::default()
        };
        let huge = huge.bounded();
        assert!(huge.values().map(|(_, value)| value.len()).sum::<usize>() <= MAX_BYTES + 4_000);
        assert_eq!(huge.cases[0].name.as_ref().unwrap().chars().count(), 200);
        assert_eq!(huge.cases[0].external_id.as_ref().unwrap().chars().count(), 255);
        assert!(huge.cases.iter().all(|case| case.testmo_id.is_some()));
        let (lines, letters) = huge.lines();
        assert_eq!(SearchDocument::of_lines(&lines, &letters), huge);
    }
}
