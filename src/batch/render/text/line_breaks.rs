//! Unifies the characters that end a line.

use std::borrow::Cow;

/// Returns a text in which each line ends with `\n`: so far with `\r\n`, a carriage return, a vertical tab, a form feed, NEL
/// or one of Unicode's separators of lines and paragraphs.
pub(super) fn unified(text: &str) -> Cow<'_, str> {
    // Few texts have one of the bytes with which such a character begins, and comparing bytes is cheap.
    let may_have = text.bytes().any(|byte| matches!(byte, b'\r' | 0x0b | 0x0c | 0xc2 | 0xe2));
    if !may_have || !text.contains(is_other_break) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").replace(is_other_break, "\n"))
}

fn is_other_break(c: char) -> bool {
    matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
