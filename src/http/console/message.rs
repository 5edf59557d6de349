//! Shows the message of an entry: as indented JSON, as text, or byte by byte, with a text that is searched in it marked.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::within::{in_bytes, in_line};
use crate::app::plural::counted;

/// The most characters that a page shows of a message.
const MOST: usize = 200_000;
/// The most bytes that are shown one by one.
const MOST_BYTES: usize = 4_096;
/// How many bytes a line has.
const BYTES_OF_LINE: usize = 16;
/// Where the digits of the bytes begin in a line, and where their characters do.
const DIGITS: usize = 10;
const CHARACTERS: usize = 59;
/// The most characters of a text that is searched.
const LONGEST_TEXT: usize = 200;

/// A message as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Part>,
    /// How many bytes the message has.
    pub(super) bytes: usize,
    /// Whether the page shows only the beginning of what it was to show.
    pub(super) is_cut: bool,
    /// How often the text is in the whole message and in how many lines, if one is searched.
    pub(super) hits: Option<String>,
}

/// A part of the shown text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) is_hit: bool,
}

/// How a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Text,
    Hex,
}

/// What is searched in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// The text; nothing is searched if it is empty.
    pub(super) text: String,
    /// Whether only the lines are shown that have it.
    pub(super) only_found: bool,
}

/// A line with the places of what was found.
struct Line<'a> {
    /// Its number, which is written where lines are left out.
    number: Option<usize>,
    text: Cow<'a, str>,
    hits: Vec<Range<usize>>,
}

impl Kind {
    /// Returns what it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON, indented",
            Self::Text => "text",
            Self::Hex => "bytes",
        }
    }
}

impl Search {
    /// Reads what is searched, and which lines are to be shown.
    ///
    /// # Errors
    /// When the text is too long, or there are no such lines.
    pub(super) fn of(text: &str, lines: Option<&str>) -> Result<Self, String> {
        if text.chars().count() > LONGEST_TEXT {
            return Err(format!("Search for at most {LONGEST_TEXT} characters."));
        }
        let only_found = match lines {
            None | Some("all") => false,
            Some("found") => true,
            Some(_) => return Err("Show `all` lines, or those in which the text was `found`.".to_owned()),
        };
        Ok(Self { text: text.to_owned(), only_found })
    }

    /// Returns whether lines are left out.
    fn is_filter(&self) -> bool {
        self.only_found && !self.text.is_empty()
    }

    /// Says how often the text was found and in how many lines; nothing if none is searched.
    fn told(&self, hits: usize, lines: usize) -> Option<String> {
        let found = || format!("Found {} in {}.", counted(hits, "time", "times"), counted(lines, "line", "lines"));
        (!self.text.is_empty()).then(|| if hits == 0 { "Not found.".to_owned() } else { found() })
    }
}

impl Shown {
    /// Shows bytes.
    pub(super) fn of(body: &[u8], search: &Search) -> Self {
        match (serde_json::from_slice::<serde_json::Value>(body), std::str::from_utf8(body)) {
            (Ok(value), _) => Self::of_text(Kind::Json, &format!("{value:#}"), body.len(), search),
            (Err(_), Ok(text)) if !text.is_empty() => Self::of_text(Kind::Text, text, body.len(), search),
            (Err(_), _) => Self::of_bytes(body, search),
        }
    }

    fn of_text(kind: Kind, text: &str, bytes: usize, search: &Search) -> Self {
        let is_filtered = search.is_filter();
        let lines: Vec<Line<'_>> = text
            .split_inclusive('\n')
            .enumerate()
            .map(|(at, text)| Line {
                number: Some(at + 1).filter(|_| is_filtered),
                text: Cow::Borrowed(text),
                hits: in_line(text, &search.text),
            })
            .collect();
        let found = lines.iter().filter(|line| !line.hits.is_empty()).count();
        let hits = search.told(lines.iter().map(|line| line.hits.len()).sum(), found);
        let (parts, is_cut) = parts(lines.iter().filter(|line| !is_filtered || !line.hits.is_empty()), usize::MAX);
        Self { kind, parts, bytes, is_cut, hits }
    }

    fn of_bytes(body: &[u8], search: &Search) -> Self {
        let hits = in_bytes(body, &search.text);
        let lines_of = |hit: &Range<usize>| hit.start / BYTES_OF_LINE..=(hit.end - 1) / BYTES_OF_LINE;
        let found: BTreeSet<usize> = hits.iter().flat_map(lines_of).collect();
        let told = search.told(hits.len(), found.len());
        // Only lines that are shown are written, and one more, which shows that there are more.
        let most = MOST_BYTES / BYTES_OF_LINE;
        let numbers: Vec<usize> = match search.is_filter() {
            true => found.into_iter().take(most + 1).collect(),
            false => (0..body.len().div_ceil(BYTES_OF_LINE)).take(most + 1).collect(),
        };
        let lines: Vec<Line<'_>> = numbers.iter().map(|number| bytes_line(body, *number, &hits)).collect();
        let (parts, is_cut) = parts(lines.iter(), most);
        Self { kind: Kind::Hex, parts, bytes: body.len(), is_cut, hits: told }
    }
}

/// Writes a line of bytes, with the characters that they are.
fn bytes_line(body: &[u8], number: usize, hits: &[Range<usize>]) -> Line<'static> {
    let at = number * BYTES_OF_LINE;
    let end = body.len().min(at + BYTES_OF_LINE);
    let bytes = body.get(at..end).unwrap_or_default();
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let character = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    let shown: String = bytes.iter().map(character).collect();
    let first = hits.partition_point(|hit| hit.end <= at);
    let here = hits[first..].iter().take_while(|hit| hit.start < end);
    let here: Vec<Range<usize>> = here.map(|hit| hit.start.max(at) - at..hit.end.min(end) - at).collect();
    let digits_of = here.iter().map(|hit| DIGITS + hit.start * 3..DIGITS + hit.end * 3 - 1);
    let characters_of = here.iter().map(|hit| CHARACTERS + hit.start..CHARACTERS + hit.end);
    Line {
        number: None,
        text: Cow::Owned(format!("{at:08x}  {:<47}  {shown}\n", digits.join(" "))),
        hits: digits_of.chain(characters_of).collect(),
    }
}

/// Puts lines together until there are too many, or too many characters; returns also whether something was left out.
fn parts<'a>(lines: impl Iterator<Item = &'a Line<'a>>, most_lines: usize) -> (Vec<Part>, bool) {
    let mut written = Writer { parts: Vec::new(), left: MOST };
    for (count, line) in lines.enumerate() {
        if count == most_lines {
            return (written.parts, true);
        }
        if let Some(number) = line.number {
            written.add(&format!("{number:>6}  "), false);
        }
        let mut at = 0;
        for hit in &line.hits {
            written.add(line.text.get(at..hit.start).unwrap_or_default(), false);
            written.add(line.text.get(hit.clone()).unwrap_or_default(), true);
            at = hit.end;
        }
        if !written.add(line.text.get(at..).unwrap_or_default(), false) {
            return (written.parts, true);
        }
    }
    (written.parts, false)
}

/// Text with marks that grows up to a number of characters.
struct Writer {
    parts: Vec<Part>,
    left: usize,
}

impl Writer {
    /// Adds a text as far as there is room; returns whether there was room for all of it.
    fn add(&mut self, text: &str, is_hit: bool) -> bool {
        let end = text.char_indices().nth(self.left).map_or(text.len(), |(at, _)| at);
        let added = &text[..end];
        self.left -= added.chars().count();
        match self.parts.last_mut() {
            _ if added.is_empty() => {}
            Some(last) if last.is_hit == is_hit => last.text.push_str(added),
            Some(_) | None => self.parts.push(Part { text: added.to_owned(), is_hit }),
        }
        end == text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &[u8], text: &str, lines: Option<&str>) -> Shown {
        Shown::of(body, &Search::of(text, lines).unwrap())
    }

    fn text_of(shown: &Shown) -> String {
        shown.parts.iter().map(|part| part.text.as_str()).collect()
    }

    fn marked(shown: &Shown) -> Vec<&str> {
        shown.parts.iter().filter(|part| part.is_hit).map(|part| part.text.as_str()).collect()
    }

    #[test]
    fn a_message_is_shown_by_what_it_is() {
        let json = shown(br#"{"a":[1,"x"]}"#, "", None);
        assert_eq!((json.kind, text_of(&json).as_str()), (Kind::Json, "{\n  \"a\": [\n    1,\n    \"x\"\n  ]\n}"));
        assert_eq!((json.parts.len(), json.hits), (1, None), "nothing is marked where nothing is searched");
        assert_eq!(shown(b"{\"a\":", "", None).kind, Kind::Text);
        let hex = shown(b"\xff\x00AB", "", None);
        assert_eq!(text_of(&hex), format!("00000000  {:<47}  ..AB\n", "ff 00 41 42"));
        assert_eq!((hex.kind, hex.bytes, hex.is_cut), (Kind::Hex, 4, false));
        assert_eq!(shown(b"", "", None).kind, Kind::Hex);
        let long = shown("ü".repeat(MOST + 1).as_bytes(), "", None);
        assert!(long.is_cut && text_of(&long).chars().count() == MOST);
        assert!(!shown("x".repeat(MOST).as_bytes(), "", None).is_cut && shown(&[0xff; 5_000], "", None).is_cut);
    }

    #[test]
    fn a_text_is_marked_and_counted_in_all_lines_or_in_those_that_have_it() {
        let body = br#"{"name":"Pay by card","tags":["Card","card-2"],"z":1}"#;
        let all = shown(body, "card", Some("all"));
        assert_eq!(
            (marked(&all), all.hits.as_deref()),
            (vec!["card", "Card", "card"], Some("Found 3 times in 3 lines."))
        );
        assert_eq!(text_of(&all), text_of(&shown(body, "", None)), "marks change no text");
        let found = shown(body, "CARD", Some("found"));
        assert_eq!(
            text_of(&found),
            "     2    \"name\": \"Pay by card\",\n     4      \"Card\",\n     5      \"card-2\"\n"
        );
        let none = shown(body, "zeppelin", Some("found"));
        assert_eq!((none.hits.as_deref(), none.parts.len()), (Some("Not found."), 0));
        assert_eq!(text_of(&shown(body, "", Some("found"))), text_of(&all), "without a text, all lines are shown");
    }

    #[test]
    fn a_text_behind_what_is_shown_is_counted_and_found() {
        let body = format!("{}\nthe end", "x\n".repeat(MOST));
        let all = shown(body.as_bytes(), "the end", None);
        assert_eq!((all.is_cut, marked(&all).len(), all.hits.as_deref()), (true, 0, Some("Found 1 time in 1 line.")));
        let found = shown(body.as_bytes(), "the end", Some("found"));
        assert_eq!((found.is_cut, marked(&found)), (false, vec!["the end"]));
    }

    #[test]
    fn bytes_are_found_as_text_and_as_digits_with_both_marked() {
        let mut body = vec![0xff; 15];
        body.extend(b"key\x00");
        let text = shown(&body, "Key", Some("found"));
        assert_eq!(marked(&text), ["6b", "k", "65 79", "ey"]);
        assert_eq!(text.hits.as_deref(), Some("Found 1 time in 2 lines."));
        assert_eq!(marked(&shown(&body, "79 00", None)), ["79 00", "y."]);
        let mut far = vec![0xff; 10_000];
        far.push(b'Z');
        assert_eq!(marked(&shown(&far, "z", Some("found"))), ["5a", "Z"]);
        assert!(text_of(&shown(&far, "z", Some("found"))).starts_with("00002710  5a"));
    }

    #[test]
    fn a_search_that_cannot_be_meant_is_refused() {
        assert!(Search::of(&"x".repeat(LONGEST_TEXT + 1), None).is_err());
        assert!(Search::of("x", Some("some")).is_err());
        assert_eq!(Search::of("", None).unwrap(), Search::default());
    }
}
