//! How do results reach the one who asked? Lines on standard output, in colour only on a terminal, and quietly over
//! when nobody reads them any more.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use super::failure::Failure;

/// Where a command writes its results.
pub(crate) struct Output {
    sink: Box<dyn Write + Send>,
    coloured: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Green,
    Amber,
    Red,
}

impl Output {
    /// Standard output; `plain` keeps it without colours on a terminal too.
    pub(crate) fn stdout(plain: bool) -> Self {
        let stdout = io::stdout();
        let coloured = !plain && stdout.is_terminal();
        Self { sink: Box::new(stdout), coloured }
    }

    /// A place that keeps nothing.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { sink: Box::new(io::sink()), coloured: false }
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
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(format_args!("{value:#}"))
    }

    /// A text in a colour, where colours are shown.
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

/// A text from outside as a terminal may be given it: what would move the cursor or turn the writing direction is
/// written out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
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
    fn a_text_from_outside_cannot_command_the_terminal() {
        assert_eq!(visible("Prüfung 一"), "Prüfung 一");
        assert_eq!(visible("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb c");
        assert_eq!(visible("x\u{202e}y"), "x\\u{202e}y");
    }

    #[test]
    fn colours_are_left_out_where_they_are_not_shown() {
        let mut out = Output { sink: Box::new(Vec::new()), coloured: false };
        assert_eq!(out.paint(Colour::Red, "no"), "no");
        out.coloured = true;
        assert_eq!(out.paint(Colour::Red, "no"), "\x1b[31mno\x1b[0m");
    }
}
