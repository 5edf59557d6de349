//! Writes texts from outside so that they act neither on a terminal nor on a shell.

use std::borrow::Cow;

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

/// Returns an argument as it is written in a shell.
pub fn in_shell(argument: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return Cow::Borrowed(argument);
    }
    Cow::Owned(format!("'{}'", argument.replace('\'', "'\\''")))
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

    #[test]
    fn an_argument_is_quoted_where_a_shell_would_read_something_else() {
        for (argument, written) in
            [("TC-2=3722", "TC-2=3722"), ("#2=3722", "'#2=3722'"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(in_shell(argument), written);
        }
    }
}
