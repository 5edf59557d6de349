//! Changes HTML as Testmo does on save.

use super::sanitizer::sanitized;
use super::settings::RichText;

impl RichText {
    /// Returns HTML as it is stored.
    pub(crate) fn saved(self, html: &str) -> String {
        match self {
            Self::Sanitized => sanitized(&saved(html)),
            Self::Encoded => saved(html),
            Self::WithoutScripts => without_scripts(&saved(html)),
            Self::EncodedTwice => html.replace('&', "&amp;"),
        }
    }
}

fn without_scripts(html: &str) -> String {
    let mut kept = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once("<script>") {
        kept.push_str(before);
        rest = after.split_once("</script>").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// Encodes raw ampersands and leaves entities alone; quotes and apostrophes stay (recorded).
fn saved(html: &str) -> String {
    let mut saved = String::with_capacity(html.len());
    for (index, character) in html.char_indices() {
        match character {
            '&' if !begins_with_entity(&html[index + 1..]) => saved.push_str("&amp;"),
            other => saved.push(other),
        }
    }
    saved
}

/// Returns whether the text after an ampersand completes an entity: `amp;`, `#38;`, `#x26;`.
fn begins_with_entity(after: &str) -> bool {
    let Some((name, _)) = after.split_once(';') else { return false };
    match name.strip_prefix('#') {
        Some(number) => is_number(number),
        None => name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric()),
    }
}

fn is_number(number: &str) -> bool {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_removed_and_entities_encoded_where_that_is_set() {
        let html = "<p>a &amp; b <script>c</script>d</p><script>";
        assert_eq!(RichText::WithoutScripts.saved(html), "<p>a &amp; b d</p>");
        assert_eq!(RichText::EncodedTwice.saved("a &amp; b"), "a &amp;amp; b");
    }

    #[test]
    fn only_raw_ampersands_are_encoded() {
        for (sent, stored) in [
            ("<p>a & b</p>", "<p>a &amp; b</p>"),
            ("a &amp; b", "a &amp; b"),
            ("&lt;b&gt; &#38; &#x26;", "&lt;b&gt; &#38; &#x26;"),
            ("a&b; c&", "a&b; c&amp;"),
            ("&; &#; &#x; &#xg; & b;", "&amp;; &amp;#; &amp;#x; &amp;#xg; &amp; b;"),
            ("\"quoted\" 'text'", "\"quoted\" 'text'"),
            ("тест & 試験", "тест &amp; 試験"),
        ] {
            assert_eq!(saved(sent), stored);
        }
    }
}
