//! Decides which trigrams and junctions of a text a server's indexes are asked for: those that take the least time.
//!
//! Each trigram and each junction has a list of its rows in an index, which is read whole. Frequent ones have long lists and
//! exclude few rows; each row that is left is read to compare the text itself. Both times are estimated from a sample of
//! rows.

use super::junction;

/// How many characters a trigram has.
const TRIGRAM: usize = 3;
/// The time to read a row in the list of an index, to note a row that one index finds, and to read a row of the table, in
/// nanoseconds.
const LISTED: f64 = 17.0;
const NOTED: f64 = 80.0;
const VISITED: f64 = 5_000.0;

/// What the indexes of a server are asked for: a row that has all of it may have the texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// For each text the pattern that its rows match.
    pub(super) patterns: Vec<Option<String>>,
    /// The junctions that a row has.
    pub(super) junctions: Vec<String>,
}

/// Something that an index lists rows for.
#[derive(Clone, Debug)]
enum Key {
    /// The characters of a text from a place on.
    Trigram {
        of: usize,
        at: usize,
    },
    Junction(String),
}

/// A key with the rows of the sample that have it.
struct Listed {
    key: Key,
    is_in: Vec<bool>,
}

/// Some keys, and what asking for them costs.
#[derive(Clone)]
struct Chosen {
    keys: Vec<usize>,
    /// The rows of the sample that have all trigrams, and those that have all junctions; `None` without such a key.
    by_index: [Option<Vec<bool>>; 2],
    /// How many rows of the sample have all keys; less than one if none has.
    rows: f64,
    /// How many rows of the sample are in the lists of the keys.
    listed: f64,
}

/// Chooses what to ask for rows that have all of some texts, given rows of the table that are typical of all.
pub(super) fn choose(texts: &[&str], samples: &[String]) -> Choice {
    let listed = listed(texts, samples);
    let mut chosen = Chosen { keys: Vec::new(), by_index: [None, None], rows: samples.len() as f64, listed: 0.0 };
    loop {
        let rest = (0..listed.len()).filter(|key| !chosen.keys.contains(key));
        let next =
            rest.map(|key| chosen.with(key, &listed[key])).min_by(|one, other| one.cost().total_cmp(&other.cost()));
        match next {
            Some(next) if chosen.keys.is_empty() || next.cost() < chosen.cost() => chosen = next,
            Some(_) | None => break,
        }
    }
    let keys: Vec<&Key> = chosen.keys.iter().map(|key| &listed[*key].key).collect();
    let junction = |key: &&Key| match key {
        Key::Junction(junction) => Some(junction.clone()),
        Key::Trigram { .. } => None,
    };
    let junctions: Vec<String> = keys.iter().filter_map(junction).collect();
    if keys.is_empty() {
        // All words are so short that only an index knows what to do with them.
        let whole = texts.iter().map(|text| Some(format!("%{text}%")));
        return Choice { patterns: whole.collect(), junctions };
    }
    let places = |text: usize| {
        let place = |key: &&Key| match key {
            Key::Trigram { of, at } if *of == text => Some(*at),
            Key::Trigram { .. } | Key::Junction(_) => None,
        };
        keys.iter().filter_map(place).collect::<Vec<usize>>()
    };
    Choice { patterns: texts.iter().enumerate().map(|(of, text)| pattern(text, places(of))).collect(), junctions }
}

impl Chosen {
    fn with(&self, index: usize, listed: &Listed) -> Self {
        let mut by_index = self.by_index.clone();
        let found = &mut by_index[listed.key.index()];
        *found = Some(found.take().map_or_else(|| listed.is_in.clone(), |found| both(&found, &listed.is_in)));
        let (have, all) = (count(&listed.is_in), listed.is_in.len().max(1) as f64);
        let rows = match &by_index {
            [Some(one), Some(other)] => count(&both(one, other)),
            [Some(one), None] | [None, Some(one)] => count(one),
            [None, None] => 0.0,
        };
        // If the sample has no such row, the key excludes about as many of those that were left as of all.
        let rows = if rows > 0.0 { rows } else { (self.rows * have.max(0.5) / all).min(1.0) };
        let keys = self.keys.iter().copied().chain([index]).collect();
        Self { keys, by_index, rows, listed: self.listed + have }
    }

    fn cost(&self) -> f64 {
        let noted: f64 = self.by_index.iter().flatten().map(|found| count(found)).sum();
        self.rows * VISITED + noted * NOTED + self.listed * LISTED
    }
}

impl Key {
    /// Returns which index lists the rows.
    fn index(&self) -> usize {
        match self {
            Self::Trigram { .. } => 0,
            Self::Junction(_) => 1,
        }
    }
}

fn both(one: &[bool], other: &[bool]) -> Vec<bool> {
    one.iter().zip(other).map(|(one, other)| *one && *other).collect()
}

fn count(rows: &[bool]) -> f64 {
    rows.iter().filter(|is_in| **is_in).count() as f64
}

/// Returns everything in some texts that an index lists rows for: trigrams within words, and junctions.
fn listed(texts: &[&str], samples: &[String]) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    for (of, text) in texts.iter().enumerate() {
        for at in 0..text.len().saturating_sub(TRIGRAM - 1) {
            let trigram = text.get(at..at + TRIGRAM);
            if let Some(trigram) = trigram.filter(|trigram| !trigram.contains(' ') && text.find(*trigram) == Some(at)) {
                let is_in = samples.iter().map(|sample| sample.contains(trigram)).collect();
                listed.push(Listed { key: Key::Trigram { of, at }, is_in });
            }
        }
    }
    let of_samples: Vec<Vec<String>> = samples.iter().map(|sample| junction::of_lines(sample).collect()).collect();
    for junction in texts.iter().flat_map(|text| junction::of_part(text)) {
        let is_in = of_samples.iter().map(|sample| sample.contains(&junction)).collect();
        listed.push(Listed { key: Key::Junction(junction), is_in });
    }
    listed
}

/// Returns a pattern of the trigrams at some places of a text, in their order. Trigrams that overlap are one part: two parts
/// of a pattern do not match the same characters.
fn pattern(text: &str, mut places: Vec<usize>) -> Option<String> {
    places.sort_unstable();
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for at in places {
        match parts.last_mut() {
            Some((_, end)) if at < *end => *end = at + TRIGRAM,
            Some(_) | None => parts.push((at, at + TRIGRAM)),
        }
    }
    let parts: Vec<&str> = parts.into_iter().filter_map(|(from, to)| text.get(from..to)).collect();
    (!parts.is_empty()).then(|| format!("%{}%", parts.join("%")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(groups: &[(usize, &str)]) -> Vec<String> {
        groups.iter().flat_map(|(times, line)| vec![format!("zy{line}zy"); *times]).collect()
    }

    fn chosen(texts: &[&str], groups: &[(usize, &str)]) -> (Vec<String>, Vec<String>) {
        let choice = choose(texts, &samples(groups));
        (choice.patterns.into_iter().flatten().collect(), choice.junctions)
    }

    #[test]
    fn what_few_rows_have_is_asked_for() {
        let frequent = [(90, "verify the user"), (9, "coupon then shipping"), (1, "coupon shipping")];
        for (texts, patterns, junctions) in [
            (&["upon shi"][..], vec![], vec!["on sh"]),
            (&["verify"], vec!["%ver%"], vec![]),
            (&["zeppelin"], vec!["%zeppelin%"], vec![]),
            (&["the user shi"], vec!["%shi%"], vec!["er sh"]),
            (&["n s"], vec!["%n s%"], vec![]),
            (&["verify", "zyx123zy"], vec!["%zyx123zy%"], vec![]),
        ] {
            let (found_patterns, found_junctions) = chosen(texts, &frequent);
            assert_eq!(found_patterns, patterns, "{texts:?}");
            assert_eq!(found_junctions, junctions, "{texts:?}");
        }
    }

    #[test]
    fn parts_of_a_pattern_share_no_character() {
        for (places, expected) in [
            (vec![4, 0], Some("%sup%lie%")),
            (vec![0, 2], Some("%suppl%")),
            (vec![0, 3], Some("%sup%pli%")),
            (vec![0, 2, 4], Some("%supplie%")),
            (vec![], None),
        ] {
            assert_eq!(pattern("supplier", places.clone()).as_deref(), expected, "{places:?}");
        }
    }

    /// Returns whether a text matches a pattern of SQL that has no other sign than `%`.
    fn is_like(mut text: &str, pattern: &str) -> bool {
        pattern.split('%').filter(|part| !part.is_empty()).all(|part| match text.find(part) {
            Some(at) => {
                text = &text[at + part.len()..];
                true
            }
            None => false,
        })
    }

    proptest! {
        #[test]
        fn no_row_that_has_the_text_is_excluded(
            line in "[a-c]{1,6}( [a-c]{1,6}){0,5}", from in 0_usize..20, most in 3_usize..20,
            others in prop::collection::vec("[a-c ]{0,30}", 0..12),
        ) {
            let part: String = line.chars().skip(from).take(most).collect();
            let part = part.trim();
            prop_assume!(!part.is_empty());
            let row = format!("zyxyz1zy\nzy{line}zy");
            let choice = choose(&[part, "zyxyz1zy"], &others);
            let junctions: Vec<String> = junction::of_lines(&row).collect();
            prop_assert!(choice.junctions.iter().all(|junction| junctions.contains(junction)));
            for pattern in choice.patterns.iter().flatten() {
                prop_assert!(is_like(&row, pattern), "{pattern}: {row}");
            }
            prop_assert!(choice.patterns.iter().any(Option::is_some) || !choice.junctions.is_empty());
        }
    }
}
