//! Turns plain text into the HTML of Testmo's rich text.

use std::borrow::Cow;

/// Returns plain text as the HTML of Testmo's rich text: escaped, a paragraph for each block, a break for each line.
pub(super) fn rich_text(text: &str) -> String {
    let text = match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    };
    let mut html = String::with_capacity(text.len() + 16);
    let mut open = false;
    for line in text.split('\n') {
        if line.chars().all(|c| c.is_whitespace() || c.is_control()) {
            html.push_str(if open { "</p>" } else { "" });
            open = false;
        } else {
            html.push_str(if open { "<br />" } else { "<p>" });
            escape_into(&mut html, line);
            open = true;
        }
    }
    html.push_str(if open { "</p>" } else { "" });
    html
}

fn escape_into(html: &mut String, text: &str) {
    let is_special = |c: char| matches!(c, '&' | '<' | '>') || (c.is_control() && c != '\t');
    let mut rest = text;
    while let Some(at) = rest.find(is_special) {
        html.push_str(&rest[..at]);
        let mut after = rest[at..].chars();
        html.push_str(match after.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some(_) | None => "",
        });
        rest = after.as_str();
    }
    html.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html_that_shows_the_same_text() {
        for (text, html) in [
            ("plain", "<p>plain</p>"),
            ("a < b && c > d", "<p>a &lt; b &amp;&amp; c &gt; d</p>"),
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
            ("one\ntwo\r\n\r\nthree\n\n\n\nfour", "<p>one<br />two</p><p>three</p><p>four</p>"),
            ("&amp;", "<p>&amp;amp;</p>"),
            ("  \n\n ", ""),
            ("bell\u{7}", "<p>bell</p>"),
            ("one\rtwo\r\rthree", "<p>one<br />two</p><p>three</p>"),
            ("one\n \t\ntwo\n\u{7}\nthree", "<p>one</p><p>two</p><p>three</p>"),
            ("日本語 🎉", "<p>日本語 🎉</p>"),
        ] {
            assert_eq!(rich_text(text), html);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_opens_a_tag_of_its_own(text in "\\PC*") {
            let html = rich_text(&text);
            let rest = html.replace("<p>", "").replace("</p>", "").replace("<br />", "");
            proptest::prop_assert!(!rest.contains(['<', '>']));
        }
    }
}
