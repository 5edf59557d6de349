//! Lays out lists as columns for people, or as tab-separated lines for scripts.

use std::io::{self, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use testmo_courier::app::extent::Extent;
pub(crate) use testmo_courier::app::plural::counted;

use super::failure::Failure;
use super::output::{Output, visible};

/// The form of a list.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Form {
    /// Print JSON, for programs
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Print tab-separated lines without a heading, for scripts
    #[arg(long)]
    pub(crate) plain: bool,
}

/// A list of rows with named columns.
pub(crate) struct List {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl List {
    /// Returns a list with these columns.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with one text for each column.
    pub(crate) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| visible(cell).into_owned()).collect());
    }

    /// Returns whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the list, or `otherwise` in its place when it is empty and people read it.
    pub(crate) fn write(&self, out: &mut Output, plain: bool, otherwise: &str) -> Result<(), Failure> {
        match (plain, self.rows.is_empty()) {
            (true, _) => self.rows.iter().try_for_each(|row| out.line(row.join("\t"))),
            (false, true) => out.line(otherwise),
            (false, false) => self.columns().iter().try_for_each(|line| out.line(line)),
        }
    }

    /// Returns the lines; each row is on one line, however wide, so that it can be searched line by line.
    pub(crate) fn columns(&self) -> Vec<String> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.headings).add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// Returns whether a list of at most `limit` entries may have more than the `shown` ones; 0 is no limit.
pub(crate) fn is_full(shown: usize, limit: u32) -> bool {
    limit > 0 && usize::try_from(limit).is_ok_and(|limit| shown >= limit)
}

/// Says on standard error that a list is cut, so that programs which read the list do not stumble.
pub(crate) fn note_extent(extent: &Extent) -> Result<(), Failure> {
    if !extent.is_cut() {
        return Ok(());
    }
    note(&extent.to_string())
}

/// Writes a remark about the output to standard error.
pub(crate) fn note(text: &str) -> Result<(), Failure> {
    writeln!(io::stderr(), "{text}").map_err(Failure::from_output)
}

/// Writes facts one below the other, with their names aligned.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:width$}  {}\n", visible(value))).collect()
}

/// Returns a text cut to a number of characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}

/// Breaks a text between words into lines of at most so many characters; a longer word has a line of its own. A command in
/// backticks stays on one line, so that it can be copied.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut in_command = false;
    let is_break = |c: char| {
        in_command ^= c == '`';
        c.is_whitespace() && !in_command
    };
    for word in text.split(is_break).filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_stay_on_one_line() {
        let mut list = List::new(&["tenant", "note"]);
        list.add(vec!["acme".into(), "a long note ".repeat(20)]);
        list.add(vec!["温泉".into(), "two\nlines".into()]);
        let lines = list.columns();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "tenant  note");
        assert_eq!(lines[2], "温泉    two lines");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("überlang", 4), "über…");
        assert_eq!(shortened("kurz", 4), "kurz");
    }

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("überlanges Wort", 7), ["überlanges", "Wort"]);
        assert_eq!(wrapped(" ", 7), [""; 0]);
        assert_eq!(wrapped("run `a b c`: now", 9), ["run", "`a b c`:", "now"]);
    }
}
