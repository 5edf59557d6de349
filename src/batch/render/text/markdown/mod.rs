//! Turns Markdown into HTML: parses it, and keeps what the parser would drop silently.

mod asterisks;
mod writer;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};

use self::asterisks::{separated, without_separators};
use self::writer::Writer;
use super::escape::write_lines;
use super::line_breaks::unified;
use super::plain;

/// What is understood beside `CommonMark`.
const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_TASKLISTS).union(Options::ENABLE_STRIKETHROUGH);

/// Returns Markdown as HTML; a text of which nothing would be visible, such as `-`, is plain text.
pub(super) fn html(text: &str) -> String {
    let text = unified(text);
    let separated = separated(&text);
    let html = parsed(&separated);
    let html = if matches!(separated, Cow::Owned(_)) { html.map(|html| without_separators(&html)) } else { html };
    html.unwrap_or_else(|| plain::html(&text))
}

/// Returns Markdown as HTML; `None` if nothing of it would be visible.
fn parsed(text: &str) -> Option<String> {
    let mut events = Parser::new_ext(text, OPTIONS).into_offset_iter();
    let definitions = events.reference_definitions().iter().map(|(_, definition)| definition.span.clone());
    let mut ahead: BTreeMap<usize, usize> = definitions.map(|span| (span.start, span.end)).collect();
    let (mut passed, mut used) = (Vec::new(), BTreeSet::new());
    let mut writer = Writer::new(text);
    while let Some((event, range)) = events.next() {
        while let Some(at) = writer.between_blocks()
            && let Some(definition) = ahead.first_entry().filter(|definition| *definition.key() < range.start)
        {
            let (start, end) = definition.remove_entry();
            passed.push((at, start..end));
        }
        if let Event::Start(Tag::Link { id, .. } | Tag::Image { id, .. }) = &event
            && let Some(definition) = events.reference_definitions().get(id)
        {
            used.insert(definition.span.start);
        }
        writer.write(event, range);
    }
    let (html, is_visible) = writer.end();
    passed.extend(ahead.into_iter().map(|(start, end)| (html.len(), start..end)));
    passed.retain(|(_, span)| !used.contains(&span.start));
    (is_visible || !passed.is_empty()).then(|| with_definitions(html, &passed, text))
}

/// Returns HTML with definitions of addresses of links that nothing uses, each a paragraph at its place: `[Note]: text` may
/// well be meant as text.
fn with_definitions(html: String, unused: &[(usize, Range<usize>)], text: &str) -> String {
    if unused.is_empty() {
        return html;
    }
    let mut whole = String::with_capacity(html.len() + 16 * unused.len());
    let mut copied = 0;
    for (at, span) in unused {
        whole.push_str(&html[copied..*at]);
        whole.push_str("<p>");
        write_lines(&mut whole, &text[span.clone()]);
        whole.push_str("</p>");
        copied = *at;
    }
    whole.push_str(&html[copied..]);
    whole
}
