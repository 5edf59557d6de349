//! Makes the names of cases safe for lists.

use std::borrow::Cow;

/// Returns a name without the invisible marks that change the direction of text, which would reorder the line in which a
/// list shows the name; a name of nothing else stays as it is.
pub(in super::super) fn name(name: &str) -> Cow<'_, str> {
    // Most names are ASCII.
    if name.is_ascii() || !name.contains(is_direction_mark) {
        return Cow::Borrowed(name);
    }
    let kept = name.replace(is_direction_mark, "");
    let trimmed = kept.trim();
    if trimmed.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(trimmed.to_owned()) }
}

/// Returns whether a character is one of Unicode's explicit marks of direction.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
