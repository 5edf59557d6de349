//! Cuts names that others chose, such as those of projects, folders and people in Testmo, which may be of any length.

/// How many characters are shown.
const LONGEST: usize = 300;

/// Returns the beginning of a text.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_only_if_it_is_long() {
        for text in ["", "Generated", &"ü".repeat(LONGEST)] {
            assert_eq!(short(text), text);
        }
        assert_eq!(short(&"ü".repeat(LONGEST + 1)), "ü".repeat(LONGEST) + "…");
    }
}
