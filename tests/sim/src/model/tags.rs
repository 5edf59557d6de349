//! Stores the tags of an account, and checks their form.

use std::collections::HashMap;

/// The tag names of an account; ids rise from 1 in the order in which names first appear.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    names: Vec<String>,
    ids: HashMap<String, u64>,
}

impl Tags {
    /// Returns every tag with its id, in order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        (1..).zip(self.names.iter().map(String::as_str))
    }

    /// Returns the name of a tag.
    pub fn name(&self, id: u64) -> &str {
        let index = usize::try_from(id).unwrap_or(0).checked_sub(1);
        index.and_then(|index| self.names.get(index)).map_or("", String::as_str)
    }

    /// Returns the id of a name, whose capitals are folded.
    pub fn id(&self, name: &str) -> Option<u64> {
        self.ids.get(&name.to_ascii_lowercase()).copied()
    }

    /// Returns the id of a name, and creates the tag with this spelling if it does not exist.
    pub(crate) fn id_or_new(&mut self, name: &str) -> u64 {
        if let Some(id) = self.id(name) {
            return id;
        }
        self.names.push(name.to_owned());
        let id = self.names.len() as u64;
        self.ids.insert(name.to_ascii_lowercase(), id);
        id
    }
}

/// Returns whether Testmo accepts a tag: `[A-Za-z0-9_-]`, recorded. Dots and other letters are unknown and refused
/// here.
pub(crate) fn is_tag(name: &str, max_chars: usize) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= max_chars && name.chars().all(is_safe)
}

/// Folds capitals unless they are kept, sorts, and removes repetitions, as Testmo stores and echoes a tag list
/// (recorded).
pub(crate) fn folded(names: &[&str], lowers: bool) -> Vec<String> {
    let spelt = |name: &&str| if lowers { name.to_ascii_lowercase() } else { (*name).to_owned() };
    let mut folded: Vec<String> = names.iter().map(spelt).collect();
    folded.sort();
    folded.dedup();
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_characters_make_a_tag() {
        for good in ["ai-draft", "sqai-0123456789ab", "MultiLine", "a_b", "7"] {
            assert!(is_tag(good, 32), "{good}");
        }
        for bad in ["", "two words", "a(b)", "#a", "a→b", "a/b", "a.b", "é"] {
            assert!(!is_tag(bad, 32), "{bad}");
        }
        assert!(!is_tag(&"x".repeat(33), 32));
    }

    #[test]
    fn capitals_are_folded_and_names_sorted() {
        let stored = folded(&["PSIM", "Astock", "MultiLine", "astock"], true);
        assert_eq!(stored, ["astock", "multiline", "psim"]);
        assert_eq!(folded(&["b", "A"], false), ["A", "b"]);
    }
}
