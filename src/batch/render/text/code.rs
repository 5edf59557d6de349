//! Writes preformatted blocks: code, and Gherkin as Testmo's editor does.

use super::escape::write_preformatted;
use super::line_breaks::unified;

/// The start and the end of a block of code.
pub(super) const CODE: (&str, &str) = ("<pre><code>", "</code></pre>");
/// The start of a block of Gherkin, as Testmo's editor writes it (recorded by two clients).
const GHERKIN: &str = "<pre><code class='editor-gherkin'>";

/// Returns Gherkin for a field of Gherkin.
pub(in super::super) fn gherkin(text: &str) -> String {
    block(GHERKIN, text)
}

/// Returns Gherkin for a field of any text.
pub(in super::super) fn code_block(text: &str) -> String {
    block(CODE.0, text)
}

fn block(start: &str, text: &str) -> String {
    let text = unified(text);
    let text = without_fence(without_blank_lines(&text));
    if text.is_empty() {
        return String::new();
    }
    let mut html = String::with_capacity(start.len() + text.len() + CODE.1.len() + 16);
    html.push_str(start);
    write_preformatted(&mut html, text);
    html.push_str(CODE.1);
    html
}

/// Returns a text without blank lines at its start, and without blanks at its end.
fn without_blank_lines(text: &str) -> &str {
    let text = text.trim_end_matches(is_blank);
    let visible = text.find(|c| !is_blank(c)).unwrap_or(text.len());
    let line = text[..visible].rfind('\n').map_or(0, |at| at + 1);
    &text[line..]
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Returns what a fence encloses, which language models like to put around code; no feature begins with one.
fn without_fence(text: &str) -> &str {
    let first = text.lines().next().unwrap_or_default();
    let last = text.lines().next_back().unwrap_or_default();
    let is_fenced = first.starts_with("```") && !first[3..].contains('`') && last.trim() == "```";
    if !is_fenced || first.len() + last.len() >= text.len() {
        return text;
    }
    without_blank_lines(&text[first.len() + 1..text.len() - last.len()])
}
