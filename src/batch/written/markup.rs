//! Writes rich text in a form that stays the same when an editor saves it again.
//!
//! Elements stay, with their `href` and `src`. Other attributes, paragraphs that only wrap, white space and the way in which
//! a character is written do not count: Testmo's editor adds a paragraph to a plain text, and writes `&` as `&amp;`.

use html5gum::{Token, Tokenizer};

/// Elements that begin and end a block, so that white space around their tags does not count.
const BLOCKS: [&[u8]; 22] = [
    b"blockquote",
    b"br",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"hr",
    b"li",
    b"ol",
    b"pre",
    b"table",
    b"tbody",
    b"td",
    b"th",
    b"thead",
    b"tr",
];
const LIST: &[u8] = b"ul";
/// Elements without an end tag.
const EMPTY: [&[u8]; 3] = [b"br", b"hr", b"img"];
/// Begin and end a tag, and separate paragraphs and attributes. A text cannot have them, as controls count as blanks.
const TAG: u8 = 1;
const TAG_END: u8 = 2;
const PARAGRAPH: u8 = 3;
const ATTRIBUTE: u8 = 4;

/// Returns the form of a rich text. It is empty if the text shows nothing.
pub(super) fn folded(html: &str) -> Vec<u8> {
    let mut form = Form { bytes: Vec::with_capacity(html.len()), ..Form::default() };
    if !form.simple(html) {
        form = Form::default();
        form.any(html);
    }
    form.bytes
}

/// What stands between what was written last and what comes next, unless a block begins or ends there.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Blank,
    Paragraph,
}

#[derive(Default)]
struct Form {
    bytes: Vec<u8>,
    gap: Gap,
    /// Whether something was written after which a gap counts.
    follows_text: bool,
    /// How many preformatted blocks are open.
    preformatted: usize,
}

impl Form {
    /// Reads a text as the worker writes most of them: paragraphs, breaks, and characters that are written in one way.
    /// Returns whether it has nothing else; otherwise it has to be read from the start again.
    fn simple(&mut self, html: &str) -> bool {
        let mut rest = html;
        while let Some(at) = rest.find(['<', '&']) {
            self.text(&rest[..at]);
            rest = &rest[at..];
            let known = SIMPLE.iter().find(|(written, _)| rest.starts_with(written));
            let Some((written, meaning)) = known else { return false };
            match meaning {
                Simple::Paragraph => self.paragraph(),
                Simple::Break => self.tag(b"br", true, &[]),
                Simple::Character(character) => self.text(character),
            }
            rest = &rest[written.len()..];
        }
        self.text(rest);
        true
    }

    fn any(&mut self, html: &str) {
        for token in Tokenizer::new(html) {
            // A text has no end that could fail to be read.
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let attribute = |name: &'static [u8]| Some((name, tag.attributes.get(name)?.to_vec()));
                    let attributes: Vec<_> = [&b"href"[..], &b"src"[..]].into_iter().filter_map(attribute).collect();
                    self.start(&tag.name, &attributes);
                }
                Token::EndTag(tag) => self.end(&tag.name),
                Token::String(text) => self.text(&String::from_utf8_lossy(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
    }

    fn start(&mut self, name: &[u8], attributes: &[(&'static [u8], Vec<u8>)]) {
        match name {
            b"p" => return self.paragraph(),
            b"pre" => self.preformatted += 1,
            _ => {}
        }
        self.tag(name, true, attributes);
    }

    fn end(&mut self, name: &[u8]) {
        match name {
            b"p" => return self.paragraph(),
            b"pre" => self.preformatted = self.preformatted.saturating_sub(1),
            _ if EMPTY.contains(&name) => return,
            _ => {}
        }
        self.tag(name, false, &[]);
    }

    fn paragraph(&mut self) {
        self.gap = Gap::Paragraph;
    }

    fn tag(&mut self, name: &[u8], is_start: bool, attributes: &[(&'static [u8], Vec<u8>)]) {
        let is_block = BLOCKS.contains(&name) || name == LIST;
        if is_block {
            self.gap = Gap::None
        } else {
            self.close_gap()
        }
        self.bytes.push(TAG);
        self.bytes.extend(if is_start { b"" } else { &b"/"[..] });
        self.bytes.extend(name);
        for (attribute, value) in attributes {
            self.bytes.push(ATTRIBUTE);
            self.bytes.extend(*attribute);
            self.bytes.push(b'=');
            self.bytes.extend(value.iter().filter(|byte| **byte > ATTRIBUTE));
        }
        self.bytes.push(TAG_END);
        self.follows_text = !is_block;
    }

    fn text(&mut self, text: &str) {
        if self.preformatted > 0 {
            let is_kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
            return text.chars().filter(is_kept).for_each(|c| self.character(c));
        }
        for c in text.chars() {
            if c.is_whitespace() || c.is_control() {
                self.gap = self.gap.max(Gap::Blank);
            } else {
                self.close_gap();
                self.character(c);
            }
        }
    }

    fn character(&mut self, c: char) {
        self.bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.follows_text = true;
    }

    /// Writes the gap before a text or an inline element.
    fn close_gap(&mut self) {
        match std::mem::take(&mut self.gap) {
            Gap::Blank if self.follows_text => self.bytes.push(b' '),
            Gap::Paragraph if self.follows_text => self.bytes.push(PARAGRAPH),
            Gap::None | Gap::Blank | Gap::Paragraph => {}
        }
    }
}

enum Simple {
    Paragraph,
    Break,
    Character(&'static str),
}

/// What the worker itself writes most often.
const SIMPLE: [(&str, Simple); 8] = [
    ("<p>", Simple::Paragraph),
    ("</p>", Simple::Paragraph),
    ("<br />", Simple::Break),
    ("<br>", Simple::Break),
    ("&amp;", Simple::Character("&")),
    ("&lt;", Simple::Character("<")),
    ("&gt;", Simple::Character(">")),
    ("&quot;", Simple::Character("\"")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_an_editor_saves_again_has_the_same_form() {
        for (written, saved) in [
            ("a", "<p>a</p>"),
            ("<p>a & b</p>", "<p>a &amp; b</p>"),
            ("<p>a</p><p>b</p>", "<p>a</p>\n<p>b</p>\n"),
            ("<p>a</p><p>b</p>", "<p>a</p><p></p><p>b</p>"),
            ("<p>a<br />b</p>", "<p>a<br>b</p>"),
            ("<p>a  b</p>", "<p>a&nbsp; b</p>"),
            ("<p>a \u{a0}b</p>", "<p>a &#160;b</p>"),
            ("<ul><li>a</li><li>b</li></ul>", "<ul>\n<li><p>a</p></li>\n<li><p>b</p></li>\n</ul>"),
            ("<p>a</p><ul><li>b</li></ul><p>c</p>", "a<ul><li>b</li></ul>c"),
            ("<p><a href=\"https://a.example/?b&amp;c\">d</a></p>", "<a href='https://a.example/?b&c' rel=x>d</a>"),
            ("<pre><code>a\n  b</code></pre>", "<pre class=x><code>a\n  b</code></pre>"),
            ("<p>\"a\" 'b'</p>", "<p>&quot;a&quot; &#39;b&apos;</p>"),
            ("<p>&lt;b&gt;</p>", "<P>&#x3c;b></P>"),
            ("", "<p></p>"),
            ("", "<p>&nbsp;</p>\n"),
        ] {
            assert_eq!(text(written), text(saved), "{written} {saved}");
        }
    }

    #[test]
    fn a_text_that_shows_something_else_has_another_form() {
        let texts = [
            "",
            "a",
            "ab",
            "a b",
            "<p>a</p><p>b</p>",
            "<p>a<br />b</p>",
            "<b>a</b>",
            "<b></b>a",
            "a<b> b</b>",
            "&lt;b&gt;a",
            "<a href=\"b\">a</a>",
            "<a href=\"c\">a</a>",
            "<a>a</a>",
            "<img src=\"a\">",
            "<img src=\"b\">",
            "<img>",
            "<ul><li>a</li></ul>",
            "<ol><li>a</li></ol>",
            "<ul><li>a</li><li></li></ul>",
            "<pre>a b</pre>",
            "<pre>a  b</pre>",
            "<pre>a\nb</pre>",
            "<hr>",
            "<br>",
            "A",
            "&amp;amp;",
            "&amp;",
        ];
        for (at, one) in texts.iter().enumerate() {
            for other in &texts[at + 1..] {
                assert_ne!(folded(one), folded(other), "{one} {other}");
            }
        }
    }

    fn text(html: &str) -> String {
        String::from_utf8(folded(html)).unwrap()
    }

    fn by_library(html: &str) -> Vec<u8> {
        let mut form = Form::default();
        form.any(html);
        form.bytes
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_of_reading_a_text_leads_to_the_same_form(
            parts in proptest::collection::vec(
                proptest::sample::select(vec!["<p>", "</p>", "<br />", "<br>", "&amp;", "&lt;", "&gt;", "&quot;", "a", " ",
                    "\u{a0}", "é", "\n", "&", "<b>", "</b>", "amp;", ";", "<", ">", "&nbsp;", "<pre>", "</pre>"]), 0..30)
        ) {
            let html = parts.concat();
            proptest::prop_assert_eq!(folded(&html), by_library(&html));
        }
    }
}
