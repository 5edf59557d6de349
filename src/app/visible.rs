//! Writes texts from outside so that they act neither on a terminal nor on a shell.

use std::borrow::Cow;

pub use crate::shell::in_shell;

/// Returns whether a character moves a terminal's cursor or turns its writing direction.
pub fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a text from outside without what would move a terminal's cursor or turn its writing direction: such
/// characters are escaped.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| match c {
        '\n' | '\t' | '\r' => " ".to_owned(),
        c if hidden(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_cannot_control_the_terminal() {
        assert_eq!(visible("Prüfung 一"), "Prüfung 一");
        assert_eq!(visible("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb c");
        assert_eq!(visible("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(visible("x\u{200f}y\u{85}"), "x\\u{200f}y\\u{85}");
    }
}
