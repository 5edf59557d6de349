//! Checks what texts become, and by properties that no text becomes anything else.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser};

use super::*;

fn plain(text: &str) -> String {
    html(text, TextFormat::Plain)
}

fn markdown(text: &str) -> String {
    html(text, TextFormat::Markdown)
}

#[test]
fn plain_text_becomes_html_that_shows_the_same_text() {
    for (text, html) in [
        ("plain", "<p>plain</p>"),
        ("a < b && c > d", "<p>a &lt; b &amp;&amp; c &gt; d</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("one\ntwo\r\n\r\nthree\n\n\n\nfour", "<p>one<br />two</p><p>three</p><p>four</p>"),
        ("&amp;", "<p>&amp;amp;</p>"),
        ("  \n\n ", ""),
        ("bell\u{7}", "<p>bell</p>"),
        ("one\rtwo\r\rthree", "<p>one<br />two</p><p>three</p>"),
        ("a\u{b}b\u{c}c\u{85}d\u{2028}e\u{2029}f", "<p>a<br />b<br />c<br />d<br />e<br />f</p>"),
        ("one\n \t\ntwo\n\u{7}\nthree", "<p>one</p><p>two</p><p>three</p>"),
        ("日本語 🎉", "<p>日本語 🎉</p>"),
        ("a:\n  b: 1\n\tc", "<p>a:<br />\u{a0}\u{a0}b: 1<br />\u{a0}\u{a0}\u{a0}\u{a0}c</p>"),
        ("a  b   c", "<p>a\u{a0} b\u{a0}\u{a0} c</p>"),
        ("a  \nb\t\n", "<p>a<br />b</p>"),
        ("a\tb", "<p>a\u{a0}\u{a0}\u{a0} b</p>"),
        ("£5\u{a0}é\u{90}è", "<p>£5\u{a0}éè</p>"),
        ("**not bold**", "<p>**not bold**</p>"),
    ] {
        assert_eq!(plain(text), html, "{text:?}");
    }
}

#[test]
fn markdown_becomes_the_html_of_the_editor() {
    for (text, html) in [
        ("a **b** _c_ ~~d~~ `e < f`", "<p>a <strong>b</strong> <em>c</em> <s>d</s> <code>e &lt; f</code></p>"),
        ("# A\n\ntext\n## B", "<h1>A</h1><p>text</p><h2>B</h2>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("3. a\n4. b", "<ol start=\"3\"><li>a</li><li>b</li></ol>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("- [ ] a\n- [x] b", "<ul><li>☐ a</li><li>☑ b</li></ul>"),
        (
            "| a | b |\n|---|:-:|\n| 1<br>2 | <i> |",
            "<table><thead><tr><th>a</th><th>b</th></tr></thead>\
             <tbody><tr><td>1<br />2</td><td>&lt;i&gt;</td></tr></tbody></table>",
        ),
        ("```json\n{\n  \"a\": 1 & 2\n}\n```", "<pre><code>{\n  \"a\": 1 &amp; 2\n}</code></pre>"),
        ("> a\n> b", "<blockquote><p>a<br />b</p></blockquote>"),
        ("a\n\n---\n\nb", "<p>a</p><hr /><p>b</p>"),
        ("a:\n  b: 1", "<p>a:<br />\u{a0}\u{a0}b: 1</p>"),
        ("[a](https://b.example/?c=\"d\"&e)", "<p><a href=\"https://b.example/?c=%22d%22&amp;e\">a</a></p>"),
        ("<https://b.example>", "<p><a href=\"https://b.example\">https://b.example</a></p>"),
        ("[a](javascript:alert(1)) <b@c.example>", "<p>a (javascript:alert(1)) b@c.example</p>"),
        ("![a](https://b.example/c.png)", "<p><a href=\"https://b.example/c.png\">a</a></p>"),
        ("![](https://b.example/c.png)", "<p><a href=\"https://b.example/c.png\">https://b.example/c.png</a></p>"),
        ("![a](c.png)", "<p>a (c.png)</p>"),
        ("[![a](https://b.example/c)](https://d.example)", "<p><a href=\"https://d.example\">a</a></p>"),
        ("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>"),
        ("<div>\n  **a**\n</div>", "<p>&lt;div&gt;<br />\u{a0}\u{a0}**a**<br />&lt;/div&gt;</p>"),
        ("[Note]: later\n\nb", "<p>[Note]: later</p><p>b</p>"),
        ("[a][1]\n\n[1]: https://b.example", "<p><a href=\"https://b.example\">a</a></p>"),
        ("**注意：**请登录", "<p><strong>注意：</strong>请登录</p>"),
        ("1234-****-****-5678", "<p>1234-****-****-5678</p>"),
        ("0*a&lt;a*0", "<p>0*a&lt;a*0</p>"),
        ("card ****1111****, ****1*2****", "<p>card ****1111****, ****1*2****</p>"),
        ("2*a\n**b** _c_ d*3", "<p>2*a<br />**b** <em>c</em> d*3</p>"),
        ("\\*\\*a\\*\\*", "<p>**a**</p>"),
        ("-", "<p>-</p>"),
        ("---", "<p>---</p>"),
        ("", ""),
    ] {
        assert_eq!(markdown(text), html, "{text:?}");
    }
}

#[test]
fn gherkin_keeps_its_shape() {
    for (text, code) in [
        ("Feature: x\n  Scenario: y\n\tGiven <a> & b", "Feature: x\n  Scenario: y\n\tGiven &lt;a&gt; &amp; b"),
        ("\n\n  Feature: x\r\n  | a |\n\n", "  Feature: x\n  | a |"),
        ("```gherkin\nFeature: x\n```\n", "Feature: x"),
        ("```", "```"),
    ] {
        assert_eq!(gherkin(text), format!("<pre><code class='editor-gherkin'>{code}</code></pre>"), "{text:?}");
        assert_eq!(code_block(text), format!("<pre><code>{code}</code></pre>"), "{text:?}");
    }
    assert_eq!(gherkin("\n \n"), "");
}

#[test]
fn names_lose_marks_of_direction_only() {
    for (written, kept) in [
        ("Sign in", "Sign in"),
        ("\u{202e}Sign\u{2066} in\u{200f} ", "Sign in"),
        ("تسجيل الدخول", "تسجيل الدخول"),
        ("\u{200e}", "\u{200e}"),
    ] {
        assert_eq!(name(written), kept);
    }
}

#[test]
fn elements_inside_each_other_are_bounded() {
    for text in [">".repeat(5_000) + " a", "- ".repeat(5_000) + "a", "*a _b ".repeat(2_000) + &"_ *".repeat(2_000)] {
        let html = markdown(&text);
        assert!(depth(&html).is_ok_and(|depth| depth <= 30), "{}", &html[..200]);
        assert!(html.contains('a'));
    }
}

/// The elements that may occur, as their start tags are written.
const ALLOWED: &[&str] = &[
    "p",
    "br /",
    "hr /",
    "ul",
    "ol",
    "li",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "pre",
    "code",
    "em",
    "strong",
    "s",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "code class='editor-gherkin'",
];

/// Returns how many elements are inside each other at most, or what is wrong with the HTML.
fn depth(html: &str) -> Result<usize, String> {
    let (mut open, mut deepest): (Vec<&str>, usize) = (Vec::new(), 0);
    for (index, part) in html.split('<').enumerate() {
        let (tag, text) = if index == 0 { ("", part) } else { part.split_once('>').ok_or("a tag without end")? };
        if text.contains('>')
            || text.split('&').skip(1).any(|rest| !["amp;", "lt;", "gt;"].iter().any(|e| rest.starts_with(e)))
        {
            return Err(format!("not escaped: {text}"));
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes another element"));
            }
        } else if index > 0 && !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or_default());
        }
        let attribute = |start: &str, end: &str| tag.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        let is_start = attribute("ol start=\"", "\"").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        let is_web = |to: &str| {
            let to = to.to_ascii_lowercase();
            (to.starts_with("http://") || to.starts_with("https://")) && !to.contains(['"', '\'', ' ', '<', '>'])
        };
        let is_link = attribute("a href=\"", "\"").is_some_and(is_web);
        if index > 0 && !tag.starts_with('/') && !ALLOWED.contains(&tag) && !is_start && !is_link {
            return Err(format!("<{tag}> is not allowed"));
        }
        deepest = deepest.max(open.len());
    }
    if open.is_empty() { Ok(deepest) } else { Err(format!("{open:?} stays open")) }
}

/// Returns the text that a browser shows, with a line break for each block and break.
fn shown(html: &str) -> String {
    let mut text = String::new();
    for (index, part) in html.split('<').enumerate() {
        let (tag, rest) = if index == 0 { ("", part) } else { part.split_once('>').unwrap() };
        text.push_str(if tag == "/p" || tag == "br /" { "\n" } else { "" });
        text.push_str(rest);
    }
    text.replace('\u{a0}', " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn without(text: &str, dropped: impl Fn(char) -> bool) -> Vec<char> {
    text.chars().filter(|c| !dropped(*c)).collect()
}

/// Texts with much of what means something in Markdown or HTML.
fn odd_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "[a-z0-9 ]{1,6}",
        6 => proptest::sample::select(vec![
            "*", "**", "_", "~~", "`", "```\n", "\n", "\n\n", "- ", "1. ", "> ", "# ", "    ", "\t", "|", "|---|---|\n",
            "<", ">", "&", "<b>", "<br>", "</p>", "<!--", "-->", "<script>", "<![CDATA[", "<?", "\\", "[", "](", ")", "![",
            "https://a.example/", "javascript:", "\"", "'", "[x]: ", "[x]", "- [ ] ", "---\n", "&lt;", "&#x3c;", "：", "重要",
            "ع", "\u{202e}", "\u{0}", "\u{85}", "\u{a0}", "\r\n", "\u{b}", "\u{7}", "class='x'", "onclick=\"x\"", "é",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,3}",
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_yields_a_tag_or_an_attribute_that_is_not_allowed(text in odd_text()) {
        for html in [plain(&text), markdown(&text), gherkin(&text), code_block(&text)] {
            let found = depth(&html);
            prop_assert!(found.is_ok(), "{found:?}: {html}");
        }
    }

    #[test]
    fn plain_text_is_shown_as_it_was_written(text in odd_text()) {
        let is_break = |c| matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let lines = text.replace("\r\n", "\n").replace(is_break, "\n").replace('\t', "    ").replace('\u{a0}', " ");
        let is_visible = |line: &&str| line.chars().any(|c| !c.is_whitespace() && !c.is_control());
        let written: Vec<String> =
            lines.split('\n').filter(is_visible).map(|line| line.replace(char::is_control, "").trim_end().to_owned()).collect();
        let html = shown(&plain(&text));
        prop_assert_eq!(html.lines().map(str::trim_end).collect::<Vec<_>>(), written);
    }

    #[test]
    fn no_text_of_markdown_is_lost(text in odd_text()) {
        let is_dropped = |c: char| c.is_whitespace() || c.is_control() || c == '*';
        let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
        let mut written = String::new();
        let unified = line_breaks::unified(&text);
        for event in Parser::new_ext(&unified, options) {
            match event {
                Event::InlineHtml(html) if *html == *"<br>" => {}
                Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => written += &text,
                Event::Start(_)
                | Event::End(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::FootnoteReference(_)
                | Event::SoftBreak
                | Event::HardBreak
                | Event::Rule
                | Event::TaskListMarker(_) => {}
            }
        }
        let html = without(&shown(&markdown(&text)), is_dropped);
        let mut rest = html.iter();
        let lost = without(&written, is_dropped).into_iter().find(|c| !rest.any(|shown| shown == c));
        prop_assert_eq!(lost, None, "{}", markdown(&text));
    }
}
