//! Writes the note of what a case was generated from.

use crate::batch::message::Source;
use crate::batch::render::text::{write_link, write_text};

/// Returns `Generated from KEY: title (link)` as HTML, with the parts that are present.
pub(super) fn origin_note(source: &Source) -> Option<String> {
    let words: Vec<&str> = [&source.key, &source.title].into_iter().flatten().map(String::as_str).collect();
    if words.is_empty() && source.link.is_none() {
        return None;
    }
    let mut html = "<p>Generated from ".to_owned();
    write_text(&mut html, &words.join(": "));
    if let Some(link) = &source.link {
        html.push_str(if words.is_empty() { "" } else { " (" });
        write_link(&mut html, link);
        html.push_str(if words.is_empty() { "" } else { ")" });
    }
    html.push_str("</p>");
    Some(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_the_parts_that_are_present_and_a_link_to_the_web() {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        for (key, title, link, expected) in [
            ("", "", "", None),
            ("K-1", "A & b", "", Some("<p>Generated from K-1: A &amp; b</p>")),
            ("K-1", "", "", Some("<p>Generated from K-1</p>")),
            (
                "",
                "T",
                "https://t.example/?a=1&b=\"2\"",
                Some(
                    "<p>Generated from T (<a href=\"https://t.example/?a=1&amp;b=%222%22\">\
                     https://t.example/?a=1&amp;b=\"2\"</a>)</p>",
                ),
            ),
            (
                "",
                "",
                "HTTP://t.example",
                Some("<p>Generated from <a href=\"HTTP://t.example\">HTTP://t.example</a></p>"),
            ),
            ("K", "", "javascript:alert(1)", Some("<p>Generated from K (javascript:alert(1))</p>")),
            ("K", "", "https://", Some("<p>Generated from K (https://)</p>")),
        ] {
            let source = Source { key: text(key), title: text(title), link: text(link), generator: None };
            assert_eq!(origin_note(&source).as_deref(), expected, "{source:?}");
        }
    }
}
