//! Writes texts into pages so that they act neither on the page nor on its reader: everything that a template shows goes through
//! this.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html};

use crate::app::visible::hidden;

/// Escapes markup, and shows control characters and those that turn the writing direction as their code.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::http) struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let is_shown = |c: char| !hidden(c) || matches!(c, '\n' | '\t');
        let mut rest = text;
        while let Some(at) = rest.find(|c| !is_shown(c)) {
            let (plain, from) = rest.split_at(at);
            Html.write_escaped_str(&mut dest, plain)?;
            let mut characters = from.chars();
            if let Some(c) = characters.next() {
                write!(dest, "\\u{{{:x}}}", u32::from(c))?;
            }
            rest = characters.as_str();
        }
        Html.write_escaped_str(dest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut page = String::new();
        Visible.write_escaped_str(&mut page, text).unwrap();
        page
    }

    #[test]
    fn markup_and_hidden_characters_are_shown_as_text() {
        assert_eq!(written("<b>'\"&"), "&#60;b&#62;&#39;&#34;&#38;");
        assert_eq!(written("a\u{202e}b\u{0}c\u{1b}[2J\r"), "a\\u{202e}b\\u{0}c\\u{1b}[2J\\u{d}");
        assert_eq!(written("two\nlines\tü"), "two\nlines\tü");
        assert_eq!(written("\u{202e}"), "\\u{202e}");
    }
}
