//! Makes texts from outside safe for events, the shelf and single lines, so that none can control a terminal.

use std::borrow::Cow;

/// Returns a text on one line: control characters become blanks, and blanks at the ends are dropped.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(is_blank);
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

/// Returns a text on one line, cut to at most `most` characters; a cut text ends with `…`.
pub fn excerpt(text: &str, most: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(most) {
        None => line.into_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// Returns whether a character is invisible at the end of a text; U+FEFF is a blank in other languages.
pub(in crate::batch) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_bounded_line() {
        assert_eq!(excerpt(" a\x1b[2Jb\nc\u{feff}\u{85} ", 20), "a [2Jb c");
        assert_eq!(excerpt("überlang", 4), "über…");
        assert_eq!(excerpt("kurz", 4), "kurz");
    }
}
