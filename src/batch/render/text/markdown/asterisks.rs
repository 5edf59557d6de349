//! Decides what asterisks mean where the rules of Markdown disappoint readers.

use std::borrow::Cow;
use std::ops::Range;

/// A character without a meaning, in the form in which the parser takes it for punctuation.
const SEPARATOR: &str = "&#xFDD0;";

/// Returns whether the marks of an emphasis are meant as text: those of a masked number, `1234-****-****-5678`, or of a
/// calculation, `2**3**4`.
pub(super) fn are_text(source: &str, emphasis: &Range<usize>) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = source.as_bytes();
    let emphasized = &bytes[emphasis.clone()];
    let is_mask = emphasized.starts_with(b"****") || emphasized.iter().all(|byte| b"*-./ ".contains(byte));
    let before = emphasis.start.checked_sub(1).and_then(|at| bytes.get(at));
    is_mask || (is_digit(before) && is_digit(bytes.get(emphasis.end)))
}

/// Separates strong text from its neighbours where its marks would not be recognized.
///
/// The rules want a blank beside `**` where its other side is punctuation, which scripts without blanks between words do
/// not have: `**注意：**请登录`. Labels in Latin script are written like this, too: `**Expected:**The page opens`.
/// [`without_separators`] removes what this adds.
pub(super) fn separated(text: &str) -> Cow<'_, str> {
    if !text.contains("**") {
        return Cow::Borrowed(text);
    }
    let mut separated = String::new();
    let (mut copied, mut next) = (0, 0);
    for line in text.split_inclusive('\n') {
        let at = next;
        next += line.len();
        for place in separators(line) {
            separated.push_str(&text[copied..at + place]);
            separated.push_str(SEPARATOR);
            copied = at + place;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    separated.push_str(&text[copied..]);
    Cow::Owned(separated)
}

/// Removes the separators from HTML; in code they are shown as they are written.
pub(super) fn without_separators(html: &str) -> String {
    html.replace('\u{fdd0}', "").replace(&SEPARATOR.replace('&', "&amp;"), "")
}

/// Returns the places of a line that need a separator; a line with other constructs is left to the parser.
fn separators(line: &str) -> Vec<usize> {
    let marks: Vec<usize> = line.match_indices("**").map(|(at, _)| at).collect();
    let is_other = line.contains(['`', '<', '\\']) || line.contains("***") || marks.len() % 2 == 1;
    let spans: Vec<Range<usize>> = marks.chunks_exact(2).map(|pair| pair[0] + 2..pair[1]).collect();
    if is_other || !spans.iter().all(|span| is_text(&line[span.clone()])) {
        return Vec::new();
    }
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut places = Vec::new();
    for span in spans {
        let (inner, start, end) = (&line[span.clone()], span.start - 2, span.end + 2);
        if is_word(line[..start].chars().next_back()) && inner.starts_with(is_foreign_mark) {
            places.push(start);
        }
        if is_word(line[end..].chars().next()) && inner.ends_with(|c| c == ':' || is_foreign_mark(c)) {
            places.push(end);
        }
    }
    places
}

fn is_text(text: &str) -> bool {
    let is_blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
    !is_blank(text.chars().next()) && !is_blank(text.chars().next_back())
}

/// Returns whether a character is punctuation or a symbol outside of ASCII.
fn is_foreign_mark(c: char) -> bool {
    !c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_text_beside_punctuation_is_separated() {
        for (text, expected) in [
            ("a **b** c", "a **b** c"),
            ("**注意：**请登录", "**注意：**·请登录"),
            ("点击**「登录」**按钮", "点击·**「登录」**·按钮"),
            ("**步骤：**打开**设置**页面\n**a：**b", "**步骤：**·打开**设置**页面\n**a：**·b"),
            ("**Expected:**The page", "**Expected:**·The page"),
            ("f(a)**2 + g(b)**3", "f(a)**2 + g(b)**3"),
            ("2 ** 3: ** 4：**5", "2 ** 3: ** 4：**5"),
            ("`**a：**b`", "`**a：**b`"),
        ] {
            let expected = expected.replace('·', SEPARATOR);
            assert_eq!(separated(text), expected, "{text}");
            assert_eq!(without_separators(&expected.replace('&', "&amp;")), text);
        }
    }

    #[test]
    fn marks_of_numbers_are_text() {
        for (source, mark, expected) in [
            ("1234-****-****-5678", "****-****", true),
            ("2**3**4", "**3**", true),
            ("card ****1111****", "****1111****", true),
            ("a **&** b", "**&**", false),
            ("a **b** c", "**b**", false),
            ("这是**重要**的", "**重要**", false),
            ("**🎉**", "**🎉**", false),
        ] {
            let start = source.find(mark).unwrap();
            assert_eq!(are_text(source, &(start..start + mark.len())), expected, "{source}");
        }
    }
}
