//! Turns the texts of cases into the HTML of Testmo's editor: a fixed list of tags and attributes, and nothing else.

mod code;
mod escape;
mod line_breaks;
mod link;
mod markdown;
mod name;
mod plain;

pub(super) use self::code::{code_block, gherkin};
pub(super) use self::link::write_link;
pub(super) use self::name::name;
use crate::batch::message::TextFormat;

/// Returns a text as HTML.
pub(super) fn html(text: &str, format: TextFormat) -> String {
    match format {
        TextFormat::Plain => plain::html(text),
        TextFormat::Markdown => markdown::html(text),
    }
}

/// Appends a text of one line, escaped.
pub(super) fn write_text(html: &mut String, text: &str) {
    escape::write_line(html, text, false);
}

#[cfg(test)]
mod tests;
