//! Writes the events of the Markdown parser as HTML.

use std::ops::Range;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Tag};

use super::super::code::CODE;
use super::super::escape::{write_line, write_lines, write_preformatted};
use super::super::link::{is_web_address, open_link};
use super::asterisks::are_text;

/// The most elements inside each other; deeper ones are written without their tags.
const MOST_DEPTH: usize = 24;

/// An element that is open.
enum Open<'a> {
    /// It ends with this.
    Element(&'static str),
    /// Its tags are left out, as it lies too deep.
    TooDeep,
    /// An emphasis whose marks are text, which it ends with.
    Marks(&'static str),
    /// A block of code.
    Code,
    /// A link or an image, whose text begins at this place of the HTML.
    Link { text_at: usize, address: CowStr<'a>, shows: Shows },
}

/// How the address of a link is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// As a link.
    Link,
    /// As a text behind the text of the link.
    Address,
    /// Only in place of a missing text.
    Text,
}

/// The HTML as far as it is written.
pub(super) struct Writer<'a> {
    source: &'a str,
    html: String,
    open: Vec<Open<'a>>,
    /// A text that the parser reports in parts, and where the last part ends in the source.
    text: String,
    text_end: usize,
    /// How many emphases are open whose marks are text.
    marks: usize,
    is_in_head: bool,
    is_in_cell: bool,
    is_in_link: bool,
    is_visible: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let html = String::with_capacity(source.len() + source.len() / 4 + 16);
        Self {
            source,
            html,
            open: Vec::new(),
            text: String::new(),
            text_end: 0,
            marks: 0,
            is_in_head: false,
            is_in_cell: false,
            is_in_link: false,
            is_visible: false,
        }
    }

    /// Returns the length of the HTML, if a paragraph may be put in here.
    pub(super) fn between_blocks(&self) -> Option<usize> {
        self.open.is_empty().then_some(self.html.len())
    }

    /// Returns the HTML, and whether any text is visible in it.
    pub(super) fn end(mut self) -> (String, bool) {
        self.flush();
        (self.html, self.is_visible)
    }

    /// Writes an event that comes from a place of the source.
    pub(super) fn write(&mut self, event: Event<'a>, range: Range<usize>) {
        if let Event::Text(text) = &event {
            if range.start != self.text_end {
                self.flush();
            }
            self.text.push_str(text);
            self.text_end = range.end;
            return;
        }
        self.flush();
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(_) => self.close(),
            Event::Code(code) => self.element("<code>", &code, "</code>"),
            Event::Html(html) | Event::InlineHtml(html) => self.markup(&html),
            Event::SoftBreak => self.soft_break(range),
            Event::HardBreak => self.html.push_str("<br />"),
            Event::Rule => self.html.push_str("<hr />"),
            Event::TaskListMarker(is_done) => self.html.push_str(if is_done { "☑ " } else { "☐ " }),
            // The parser is not asked for these.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.element("", &text, "");
            }
            Event::Text(_) => {}
        }
    }

    /// Writes the text that was reported in parts.
    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() {
            return;
        }
        self.is_visible = true;
        if matches!(self.open.last(), Some(Open::Code)) {
            return write_preformatted(&mut self.html, &text);
        }
        write_line(&mut self.html, &text, false);
    }

    fn element(&mut self, start: &str, text: &str, end: &str) {
        self.is_visible = true;
        self.html.push_str(start);
        write_line(&mut self.html, text, false);
        self.html.push_str(end);
    }

    /// Writes raw HTML as text; in the cell of a table `<br>` is the only way to write a line break.
    fn markup(&mut self, html: &str) {
        if self.is_in_cell && ["<br>", "<br/>", "<br />"].iter().any(|tag| tag.eq_ignore_ascii_case(html)) {
            return self.html.push_str("<br />");
        }
        self.is_visible = true;
        // A block of HTML is reported line by line.
        let is_next = self.html.ends_with("\n");
        if is_next {
            self.html.pop();
            self.html.push_str("<br />");
        }
        write_lines(&mut self.html, html);
        self.html.push_str(if html.ends_with('\n') { "\n" } else { "" });
    }

    /// Writes the end of a line as a break, for generators end lines where a new one shall begin. Outside of lists the
    /// blanks before the next line are kept: they are the shape of YAML or JSON without a fence.
    fn soft_break(&mut self, range: Range<usize>) {
        self.html.push_str("<br />");
        if matches!(self.open.first(), Some(Open::Element("</p>"))) {
            let after = self.source[range.start..].trim_start_matches('\n');
            let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
            write_line(&mut self.html, &after[..blanks], true);
        }
    }

    fn start(&mut self, tag: Tag<'a>, range: Range<usize>) {
        match tag {
            Tag::Paragraph => self.open("<p>", "</p>"),
            Tag::Heading { level, .. } => self.heading(level),
            Tag::BlockQuote(_) => self.open("<blockquote>", "</blockquote>"),
            Tag::CodeBlock(_) => {
                self.html.push_str(CODE.0);
                self.open.push(Open::Code);
            }
            Tag::List(Some(1)) => self.open("<ol>", "</ol>"),
            Tag::List(Some(first)) => self.open(&format!("<ol start=\"{first}\">"), "</ol>"),
            Tag::List(None) => self.open("<ul>", "</ul>"),
            Tag::Item => self.part("<li>", "</li>"),
            Tag::Table(_) => self.open("<table>", "</tbody></table>"),
            Tag::TableHead => {
                self.is_in_head = true;
                self.part("<thead><tr>", "</tr></thead><tbody>");
            }
            Tag::TableRow => {
                self.is_in_head = false;
                self.part("<tr>", "</tr>");
            }
            Tag::TableCell => {
                self.is_in_cell = true;
                let (start, end) = if self.is_in_head { ("<th>", "</th>") } else { ("<td>", "</td>") };
                self.part(start, end);
            }
            Tag::Emphasis if self.has_marks_of_text(&range) => self.marks("*"),
            Tag::Strong if self.has_marks_of_text(&range) => self.marks("**"),
            Tag::Emphasis => self.inline("<em>", "</em>"),
            Tag::Strong => self.inline("<strong>", "</strong>"),
            Tag::Strikethrough => self.inline("<s>", "</s>"),
            Tag::Link { link_type, dest_url, .. } => {
                use pulldown_cmark::LinkType::{Autolink, Email};
                self.link(dest_url, if matches!(link_type, Autolink | Email) { Shows::Text } else { Shows::Address });
            }
            Tag::Image { dest_url, .. } => self.link(dest_url, Shows::Address),
            Tag::HtmlBlock => self.open("<p>", "</p>"),
            // The parser is not asked for these.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => self.open.push(Open::TooDeep),
        }
    }

    fn heading(&mut self, level: HeadingLevel) {
        let (start, end) = match level {
            HeadingLevel::H1 => ("<h1>", "</h1>"),
            HeadingLevel::H2 => ("<h2>", "</h2>"),
            HeadingLevel::H3 => ("<h3>", "</h3>"),
            HeadingLevel::H4 => ("<h4>", "</h4>"),
            HeadingLevel::H5 => ("<h5>", "</h5>"),
            HeadingLevel::H6 => ("<h6>", "</h6>"),
        };
        self.open(start, end);
    }

    /// Opens a block; one that lies too deep begins on a line of its own.
    fn open(&mut self, start: &str, end: &'static str) {
        self.push(self.open.len() < MOST_DEPTH, start, end);
    }

    /// Opens a part of a list or table, which is written if the whole is.
    fn part(&mut self, start: &str, end: &'static str) {
        self.push(!matches!(self.open.last(), Some(Open::TooDeep)), start, end);
    }

    fn push(&mut self, is_written: bool, start: &str, end: &'static str) {
        self.html.push_str(if is_written { start } else { "<br />" });
        self.open.push(if is_written { Open::Element(end) } else { Open::TooDeep });
    }

    fn inline(&mut self, start: &str, end: &'static str) {
        let is_written = self.open.len() < MOST_DEPTH;
        self.html.push_str(if is_written { start } else { "" });
        self.open.push(if is_written { Open::Element(end) } else { Open::TooDeep });
    }

    /// Returns whether the marks of an emphasis are meant as text; so are all asterisks between such marks.
    fn has_marks_of_text(&self, emphasis: &Range<usize>) -> bool {
        let is_between = self.marks > 0 && self.source.as_bytes().get(emphasis.start) == Some(&b'*');
        is_between || are_text(self.source, emphasis)
    }

    /// Writes the marks of an emphasis; what is between them is written as elsewhere.
    fn marks(&mut self, marks: &'static str) {
        self.is_visible = true;
        self.html.push_str(marks);
        self.marks += 1;
        self.open.push(Open::Marks(marks));
    }

    fn link(&mut self, address: CowStr<'a>, otherwise: Shows) {
        let shows = if self.is_in_link {
            Shows::Text
        } else if is_web_address(&address) {
            self.is_in_link = true;
            open_link(&mut self.html, &address);
            Shows::Link
        } else {
            otherwise
        };
        self.open.push(Open::Link { text_at: self.html.len(), address, shows });
    }

    fn close(&mut self) {
        match self.open.pop() {
            Some(Open::Element(end)) => {
                self.is_in_cell &= !matches!(end, "</td>" | "</th>");
                if self.html.ends_with('\n') {
                    self.html.pop();
                }
                self.html.push_str(end);
            }
            Some(Open::Code) => {
                while self.html.ends_with('\n') {
                    self.html.pop();
                }
                self.html.push_str(CODE.1);
            }
            Some(Open::Link { text_at, address, shows }) => self.close_link(text_at, &address, shows),
            Some(Open::Marks(marks)) => {
                self.html.push_str(marks);
                self.marks -= 1;
            }
            Some(Open::TooDeep) | None => {}
        }
    }

    fn close_link(&mut self, text_at: usize, address: &str, shows: Shows) {
        let has_text = self.html.len() > text_at;
        if !has_text {
            self.element("", address, "");
        } else if shows == Shows::Address && !address.is_empty() {
            self.html.push_str(" (");
            write_line(&mut self.html, address, false);
            self.html.push(')');
        }
        if shows == Shows::Link {
            self.is_in_link = false;
            self.html.push_str("</a>");
        }
    }
}
