//! Decides whether two folder names mean the same folder.

use unicode_normalization::UnicodeNormalization;

/// Returns a folder name in the form in which names are compared: Unicode NFC, without blanks and invisible characters
/// at its ends, and with one space for each run of blanks inside.
///
/// Testmo may fold blanks when it saves a name. Upper and lower case stay apart, because nothing shows that Testmo takes
/// `login` and `Login` for the same folder.
pub fn folded_folder_name(name: &str) -> String {
    // Byte order mark, zero width space, direction marks: web frameworks remove them at the ends of a text.
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{200e}' | '\u{200f}');
    let composed: String = name.trim_matches(is_edge).nfc().collect();
    let mut folded = String::with_capacity(composed.len());
    for word in composed.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_forms_of_unicode_make_no_other_folder_but_letters_do() {
        for same in ["Prüfung A", " Prüfung  A ", "Pru\u{308}fung\u{a0}A", "\u{feff}Prüfung\t A\u{200b}"] {
            assert_eq!(folded_folder_name(same), "Prüfung A", "{same:?}");
        }
        for other in ["prüfung A", "Prufung A", "PrüfungA"] {
            assert_ne!(folded_folder_name(other), "Prüfung A", "{other:?}");
        }
        assert_eq!(folded_folder_name(" \u{200b} "), "");
    }
}
