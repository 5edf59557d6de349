//! Reads the words that generators write for priorities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// The urgency of a case, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// The most urgent.
    Critical,
    /// Urgent.
    High,
    /// The usual urgency.
    Normal,
    /// To be done when there is time.
    Low,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// Returns the name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// The words for each priority, beside its name, as [`folded_word`] returns them; docs/publishing.md lists them.
pub const WORDS: [(Priority, &[&str]); 4] = [
    (Priority::Critical, &["blocker", "highest", "urgent", "veryhigh", "showstopper", "p0", "prio0"]),
    (Priority::High, &["major", "important", "p1", "prio1", "hoch"]),
    (Priority::Normal, &["medium", "moderate", "middle", "default", "standard", "p2", "prio2", "mittel"]),
    (Priority::Low, &["minor", "lowest", "trivial", "verylow", "p3", "p4", "prio3", "prio4", "niedrig"]),
];

/// The priority of a case as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Urgency {
    /// A word that always means the same.
    Known(Priority),
    /// Another word, as [`folded_word`] returns it: a mapping may know it.
    Other(String),
}

impl Urgency {
    /// Returns what a word means.
    pub fn of(word: &str) -> Self {
        let folded = folded_word(word);
        let means = |(priority, words): &(Priority, &[&str])| {
            let is_meant = priority.name() == folded || words.contains(&folded.as_str());
            is_meant.then_some(*priority)
        };
        WORDS.iter().find_map(means).map_or(Self::Other(folded), Self::Known)
    }

    /// Returns the priority that is meant where a mapping knows further words.
    pub fn meant_by(&self, words: &BTreeMap<String, Priority>) -> Option<Priority> {
        match self {
            Self::Known(priority) => Some(*priority),
            Self::Other(word) => {
                words.iter().find(|(known, _)| folded_word(known) == *word).map(|(_, priority)| *priority)
            }
        }
    }
}

/// Returns a word in the form in which words for priorities are compared: lower-case letters and digits alone.
pub fn folded_word(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_one_meaning_in_any_spelling() {
        for (priority, words) in WORDS {
            assert_eq!(Urgency::of(priority.name()), Urgency::Known(priority));
            for word in words {
                assert_eq!(folded_word(word), *word);
                assert_eq!(Urgency::of(&format!(" {} ", word.to_uppercase())), Urgency::Known(priority), "{word}");
            }
        }
        assert_eq!(Urgency::of("Very high"), Urgency::Known(Priority::Critical));
        assert_eq!(Urgency::of("P-1"), Urgency::Known(Priority::High));
    }

    #[test]
    fn every_word_is_documented() {
        let guide = include_str!("../../../docs/publishing.md");
        for (priority, words) in WORDS {
            let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            assert!(guide.contains(&format!("| `{}` | {} |", priority.name(), listed.join(", "))), "{priority:?}");
        }
    }

    #[test]
    fn a_mapping_can_add_words() {
        let word = Urgency::of("Must have");
        assert_eq!(word.meant_by(&BTreeMap::new()), None);
        assert_eq!(word.meant_by(&[("must-have".to_owned(), Priority::High)].into()), Some(Priority::High));
    }
}
