//! Turns Markdown into HTML: parses it, and keeps what the parser would drop silently.

mod asterisks;
mod writer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};

use self::asterisks::{separated, without_separators};
use self::writer::Writer;
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
    let parser = Parser::new_ext(text, OPTIONS);
    let mut unused = unused_definitions(&parser, text);
    let mut writer = Writer::new(text);
    for (event, range) in parser.into_offset_iter() {
        if writer.is_between_blocks() {
            while unused.first_key_value().is_some_and(|(start, _)| *start < range.start) {
                write_definition(&mut writer, unused.pop_first(), text);
            }
        }
        writer.write(event, range);
    }
    while !unused.is_empty() {
        write_definition(&mut writer, unused.pop_first(), text);
    }
    writer.end()
}

/// Returns where the text defines addresses of links that nothing uses: `[Note]: text` may well be meant as text.
fn unused_definitions(parser: &Parser<'_>, text: &str) -> BTreeMap<usize, usize> {
    let definitions = parser.reference_definitions();
    let mut unused: BTreeMap<usize, usize> =
        definitions.iter().map(|(_, definition)| (definition.span.start, definition.span.end)).collect();
    if !unused.is_empty() {
        for event in Parser::new_ext(text, OPTIONS) {
            if let Event::Start(Tag::Link { id, .. } | Tag::Image { id, .. }) = event
                && let Some(definition) = definitions.get(&id)
            {
                unused.remove(&definition.span.start);
            }
        }
    }
    unused
}

fn write_definition(writer: &mut Writer<'_>, definition: Option<(usize, usize)>, text: &str) {
    let range = definition.map_or(Range::default(), |(start, end)| start..end);
    writer.write_paragraph(text.get(range).unwrap_or_default());
}
