//! Turns the tags of a case into tags that Testmo accepts, or leaves out those that would come to mean something else.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::batch::message::{Case, fingerprint};
use crate::batch::render::mapping::Mapping;

/// The most characters of a tag: our own limit, as Testmo's is not known.
const MAX_TAG: usize = 32;

/// A character of a tag as it was written.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A letter or digit, or a character that is sent as it is.
    Letter,
    /// A blank.
    Blank,
    /// Punctuation that only separates words.
    Separator,
    /// A sign that may belong to a word, as in `C#` and `.NET`.
    Sign,
}

/// Returns the tags of a case with those of its tenant and its batch, each once.
pub(super) fn tags(case: &Case, mapping: &Mapping, batch_tag: Option<&str>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in sendable(case, mapping).chain(added(mapping, batch_tag)) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// Returns the tags that every case of a batch gets: those of its tenant, and the batch tag.
pub(super) fn added(mapping: &Mapping, batch_tag: Option<&str>) -> impl Iterator<Item = String> {
    mapping.tags.iter().filter_map(|text| tag(text)).chain(batch_tag.map(Into::into))
}

/// Returns the tags of a case that can be sent; none is the tag of another batch.
pub(super) fn sendable(case: &Case, mapping: &Mapping) -> impl Iterator<Item = String> {
    let sent = |text: &String| sent_as(text, mapping);
    case.tags.iter().filter_map(sent).filter(|tag| !fingerprint::is_batch_tag(tag))
}

/// Returns the tag that a text is sent as: the one that the mapping gives it, or the text itself.
pub(in crate::batch) fn sent_as(text: &str, mapping: &Mapping) -> Option<String> {
    let folded = text.trim().to_lowercase();
    let given = mapping.rename_tags.iter().find(|(written, _)| written.trim().to_lowercase() == folded);
    given.map_or_else(|| tag(text), |(_, given)| tag(given))
}

/// Returns a text as a tag that Testmo accepts: `[a-z0-9_-]`, at most 32 characters. Letters of other scripts are
/// transliterated.
///
/// Returns `None` if no letter is left, or if a sign is lost that may belong to a word: `C#` and `C++` would both
/// become `c`. A sign between two words only separates them, as in `a/b` and `a & b`.
pub fn tag(text: &str) -> Option<String> {
    let folded: Vec<char> = text.nfc().flat_map(char::to_lowercase).filter(|c| !is_combining_mark(*c)).collect();
    let written = trimmed(&folded);
    let mut tag = String::new();
    let mut position = 0;
    while position < written.len() {
        let c = written[position];
        if kind(c) == Kind::Letter {
            push_letter(c, &mut tag)?;
            position += 1;
            continue;
        }
        let run = written[position..].iter().take_while(|c| kind(**c) != Kind::Letter).count();
        let sides = (position > 0, position + run < written.len());
        if !only_separates(&written[position..position + run], sides) {
            return None;
        }
        if !tag.is_empty() && !tag.ends_with('-') {
            tag.push('-');
        }
        position += run;
    }
    tag.truncate(MAX_TAG);
    tag.truncate(tag.trim_end_matches('-').len());
    (!tag.is_empty()).then_some(tag)
}

/// Returns a text without blanks at its ends, and without the `#` or `@` that marks it as a tag.
fn trimmed(text: &[char]) -> &[char] {
    let is_blank = |c: &char| kind(*c) == Kind::Blank;
    let start = text.iter().take_while(|c| is_blank(c)).count();
    let end = text.iter().rev().take_while(|c| is_blank(c)).count();
    let text = if start < text.len() { &text[start..text.len() - end] } else { &[] };
    match text {
        ['#' | '@', rest @ ..] => rest,
        all => all,
    }
}

/// Returns whether characters that are not sent only separate words, where there may be letters before and after them.
fn only_separates(run: &[char], (before, after): (bool, bool)) -> bool {
    let is_blank = |c: Option<&char>| c.is_some_and(|c| kind(*c) == Kind::Blank);
    match run.iter().filter(|c| kind(**c) == Kind::Sign).count() {
        0 => true,
        1 => {
            // A dot at the end closes a sentence.
            let is_dot = before && !after && run.len() == 1 && run[0] == '.';
            let stands_alone = run.len() == 1 || (is_blank(run.first()) && is_blank(run.last()));
            before && after && stands_alone || is_dot
        }
        _ => false,
    }
}

fn kind(c: char) -> Kind {
    match c {
        '_' | '-' => Kind::Letter,
        _ if c.is_alphanumeric() => Kind::Letter,
        _ if c.is_whitespace() || c.is_control() => Kind::Blank,
        '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | '`' | ',' | ';' | ':' | '!' | '?' | '/' | '\\' | '|' => {
            Kind::Separator
        }
        // Quotation marks, dashes, and punctuation of other scripts; not the daggers and percent signs among them.
        '¿' | '¡' | '«' | '»' | '·' | '\u{2010}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '\u{2026}' => {
            Kind::Separator
        }
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' => {
            Kind::Separator
        }
        _ => Kind::Sign,
    }
}

/// Appends a letter in the alphabet of tags; `None` if it cannot be written in it.
fn push_letter(c: char, tag: &mut String) -> Option<()> {
    let latin = match c {
        'ä' => "ae",
        'ö' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        '_' => "_",
        '-' => "-",
        _ => any_ascii::any_ascii_char(c),
    };
    if latin.is_empty() {
        return None;
    }
    // A transliteration may have an apostrophe, such as that of a soft sign.
    let is_sent = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    tag.extend(latin.chars().filter(is_sent).map(|c| c.to_ascii_lowercase()));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(tags: &[&str]) -> Case {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Case { tags, ..Case::named("a".into()) }
    }

    #[test]
    fn no_case_carries_the_mark_of_another_batch() {
        let of_case = case(&["sqai-0123456789ab", "SQAI 0123456789ab", "sqai-team"]);
        let sent = tags(&of_case, &Mapping::default(), Some("sqai-ccef28df1a44"));
        assert_eq!(sent, ["sqai-team", "sqai-ccef28df1a44"]);
    }

    #[test]
    fn any_text_becomes_a_tag_that_testmo_takes_or_none() {
        for (text, expected) in [
            ("Smoke Test", Some("smoke-test")),
            ("a/b#c(d)", Some("a-b-c-d")),
            ("under_score-dash", Some("under_score-dash")),
            ("→", None),
            ("--", None),
            ("a very long tag that goes on and on", Some("a-very-long-tag-that-goes-on-and")),
            ("Größe", Some("groesse")),
            ("Gro\u{308}ße", Some("groesse")),
            ("MASSE ÄÖÜ", Some("masse-aeoeue")),
            ("тест", Some("test")),
            ("crème brûlée", Some("creme-brulee")),
            ("登录", Some("denglu")),
            ("İstanbul", Some("istanbul")),
            ("C#", None),
            ("C++", None),
            ("C++11", None),
            ("C# API", None),
            (".NET", None),
            ("node.js", Some("node-js")),
            ("R&D", Some("r-d")),
            ("log in + log out", Some("log-in-log-out")),
            ("100%", None),
            ("#smoke", Some("smoke")),
            ("@smoke", Some("smoke")),
            (" Done. ", Some("done")),
            ("„Login“ – jetzt!", Some("login-jetzt")),
            ("a → b", Some("a-b")),
            ("fire 🔥", None),
        ] {
            assert_eq!(tag(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_mapping_gives_tags_other_names() {
        let rename_tags = [("c#".to_owned(), "csharp".to_owned()), ("Smoke".into(), "quick".into())].into();
        let mapping = Mapping { rename_tags, ..Mapping::default() };
        assert_eq!(tags(&case(&[" C# ", "C++", "smoke", "quick"]), &mapping, None), ["csharp", "quick"]);
    }

    proptest::proptest! {
        #[test]
        fn a_tag_of_a_tag_is_the_same_tag(text in "\\PC*") {
            if let Some(once) = tag(&text) {
                proptest::prop_assert!(once.len() <= MAX_TAG);
                proptest::prop_assert!(once.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)));
                proptest::prop_assert_eq!(tag(&once), Some(once));
            }
        }
    }
}
