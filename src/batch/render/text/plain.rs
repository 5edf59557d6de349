//! Writes plain text as HTML: a paragraph for each block of lines, a break for each line, every blank kept.

use super::escape::write_line;
use super::line_breaks::unified;

/// Returns plain text as HTML.
pub(super) fn html(text: &str) -> String {
    let text = unified(text);
    let mut html = String::with_capacity(text.len() + 16);
    let mut is_open = false;
    for line in text.split('\n') {
        if line.chars().all(|c| c.is_whitespace() || c.is_control()) {
            html.push_str(if is_open { "</p>" } else { "" });
            is_open = false;
        } else {
            html.push_str(if is_open { "<br />" } else { "<p>" });
            write_line(&mut html, line.trim_end_matches([' ', '\t']), true);
            is_open = true;
        }
    }
    html.push_str(if is_open { "</p>" } else { "" });
    html
}
