//! Brings texts into the form in which they are compared: one line, without case.

use unicode_normalization::UnicodeNormalization;

use crate::batch::message::text::is_blank;

/// Returns a text as it is compared: composed (NFC), in lower case, with one blank between words. Accents stay.
pub fn folded(text: &str) -> String {
    let lower: String = text.nfc().flat_map(char::to_lowercase).collect();
    spaced(&lower)
}

/// Returns a text on one line, with one blank between words.
pub(super) fn spaced(text: &str) -> String {
    let words: Vec<&str> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_without_case_and_kinds_of_blanks() {
        for (text, same) in [
            ("  Sign\tin\u{a0}With\r\na code ", "sign in with a code"),
            ("PRU\u{308}FUNG", "prüfung"),
            ("ΟΔΟΣ", "οδοσ"),
            ("a\0b\u{feff}", "a b"),
            ("\u{1b}[2J", "[2j"),
            ("  ", ""),
        ] {
            assert_eq!(folded(text), same, "{text:?}");
        }
    }
}
