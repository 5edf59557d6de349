//! Writes results to standard output, in colour only on a terminal, and ends quietly when the reader has gone.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use testmo_courier::app::visible::hidden;
pub(crate) use testmo_courier::app::visible::{in_shell, visible};

use super::failure::Failure;

/// Where a command writes its results.
pub(crate) struct Output {
    sink: Box<dyn Write + Send>,
    coloured: bool,
}

/// The colours of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Green,
    Amber,
    Red,
}

impl Output {
    /// Opens standard output; `plain` keeps it without colours on a terminal too.
    pub(crate) fn stdout(plain: bool) -> Self {
        let stdout = io::stdout();
        let coloured = !plain && stdout.is_terminal();
        Self { sink: Box::new(stdout), coloured }
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.sink, "{text}").map_err(Failure::from_output)
    }

    /// Writes text that ends its own lines.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(bytes).and_then(|()| self.sink.flush()).map_err(Failure::from_output)
    }

    /// Writes JSON for programs, indented so that people can read it too.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let value = serde_json::to_value(value).map_err(|error| Failure::from_output(error.into()))?;
        self.line(escaped(&format!("{value:#}")))
    }

    /// Returns a text in a colour, where colours are shown.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Amber => 33,
            Colour::Red => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Returns JSON with such characters written as JSON's escapes. Outside of strings JSON has only line breaks, which stay.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        match c {
            '\n' => text.push(c),
            c if hidden(c) => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_value_without_characters_that_control_a_terminal() {
        let value = serde_json::json!({"detail": "a\u{9b}2Jb\u{202e}c\u{200e}\n\"ü\""});
        let text = escaped(&format!("{value:#}"));
        assert_eq!(text, "{\n  \"detail\": \"a\\u009b2Jb\\u202ec\\u200e\\n\\\"ü\\\"\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn no_colour_codes_are_written_where_colours_are_not_shown() {
        let mut out = Output { sink: Box::new(Vec::new()), coloured: false };
        assert_eq!(out.paint(Colour::Red, "no"), "no");
        out.coloured = true;
        assert_eq!(out.paint(Colour::Red, "no"), "\x1b[31mno\x1b[0m");
    }
}
