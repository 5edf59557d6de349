//! Brings values and texts into the form in which the index of a database holds them.
//!
//! In both forms a value is on a line with marked ends, so that whole values can be found, and an id in Testmo is written so
//! that no text contains it. The index of a file holds every three characters in a row. The one of a server holds those of
//! words, for which only letters and digits count: all other characters are written with them.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::model::SearchName;
use crate::batch::hex;
use crate::batch::search::{Needle, SearchDocument, TextPart, ValueKind, folded};

/// How many digits of its hash stand for a tenant.
const TENANT_DIGITS: usize = 9;
/// What marks the ends of a value on a server, and those of an id in Testmo.
const ENDS: &str = "zy";
const ENDS_OF_ID: &str = "zw";
/// Punctuation that is written with one letter after the `z`; other characters have their number there.
const FREQUENT: &str = "-._:/#@()[]'\"&,+*!?%=";

/// What has to be in a row: one of some texts, and all of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) one_of: Vec<String>,
    pub(super) all_of: Vec<String>,
}

/// A text that is looked for.
enum Piece<'a> {
    Part(&'a str),
    Value(&'a str),
    Id(u64),
}

/// Returns the text of a row for the index of a file.
pub(super) fn in_file(name: &SearchName, document: &SearchDocument) -> String {
    let mut text = String::from("\n");
    for value in lines(name, document, |id| format!("{}\n", digits_apart(id)), |value| format!("{value}\n")) {
        text.push_str(&value);
    }
    text
}

/// Returns the text of a row for the index of a server.
pub(super) fn on_server(name: &SearchName, document: &SearchDocument) -> String {
    let id = |id: u64| format!("{ENDS_OF_ID}{}{ENDS_OF_ID}", letters_of(id));
    lines(name, document, id, |value| format!("{ENDS}{}{ENDS}", plain(value))).join("\n")
}

fn lines(
    name: &SearchName,
    document: &SearchDocument,
    of_id: impl Fn(u64) -> String,
    of_value: impl Fn(&str) -> String,
) -> Vec<String> {
    let tenant = name.tenant.as_ref().map(|tenant| of_value(&tenant_mark(tenant.as_str())));
    let line = |kind: ValueKind, value: &str| match kind {
        ValueKind::TestmoId => value.parse().ok().map(&of_id),
        ValueKind::BatchId | ValueKind::SourceKey | ValueKind::BatchTag | ValueKind::Name | ValueKind::ExternalId => {
            Some(of_value(&folded(value)))
        }
    };
    let values = document.values().filter_map(|(matched, value)| line(matched.kind, &value));
    // A value that several cases have is there once.
    let mut seen = BTreeSet::new();
    tenant.into_iter().chain(values).filter(|line| seen.insert(line.clone())).collect()
}

/// Returns what has to be in a row of a file.
pub(super) fn wanted_in_file(needle: &Needle, tenant: Option<&str>) -> Wanted {
    let text = |piece: Piece<'_>| match piece {
        Piece::Part(text) => text.to_owned(),
        Piece::Value(text) => format!("\n{text}\n"),
        Piece::Id(id) => format!("\n{}\n", digits_apart(id)),
    };
    wanted(needle, tenant, text)
}

/// Returns what has to be in a row on a server.
pub(super) fn wanted_on_server(needle: &Needle, tenant: Option<&str>) -> Wanted {
    let text = |piece: Piece<'_>| match piece {
        Piece::Part(text) => plain(text),
        Piece::Value(text) => format!("{ENDS}{}{ENDS}", plain(text)),
        Piece::Id(id) => format!("{ENDS_OF_ID}{}{ENDS_OF_ID}", letters_of(id)),
    };
    wanted(needle, tenant, text)
}

fn wanted(needle: &Needle, tenant: Option<&str>, text: impl Fn(Piece<'_>) -> String) -> Wanted {
    let part = needle.text.as_ref().map(|part| match part {
        TextPart::Any(part) => Piece::Part(part),
        TextPart::Whole(value) => Piece::Value(value),
    });
    let one_of = part.into_iter().chain(needle.testmo_id.map(Piece::Id)).map(&text).collect();
    let mark = tenant.map(tenant_mark);
    Wanted { one_of, all_of: mark.iter().map(|mark| text(Piece::Value(mark))).collect() }
}

/// Returns the condition of a file's index: each text is represented by those of its trigrams that are in the fewest of
/// some texts.
pub(super) fn match_expression(wanted: &Wanted, samples: &[String]) -> String {
    const MOST: usize = 8;
    let all = |text: &String| {
        let characters: Vec<char> = text.chars().collect();
        let trigrams: BTreeSet<String> = characters.windows(3).map(|three| three.iter().collect()).collect();
        let often = |trigram: &String| samples.iter().filter(|sample| sample.contains(trigram.as_str())).count();
        let mut trigrams: Vec<(usize, String)> = trigrams.into_iter().map(|text| (often(&text), text)).collect();
        trigrams.sort();
        let quoted = trigrams.into_iter().take(MOST).map(|(_, text)| format!("\"{}\"", text.replace('"', "\"\"")));
        format!("({})", quoted.collect::<Vec<_>>().join(" AND "))
    };
    let one_of: Vec<String> = wanted.one_of.iter().map(all).collect();
    let all_of = wanted.all_of.iter().map(all);
    std::iter::once(format!("({})", one_of.join(" OR "))).chain(all_of).collect::<Vec<_>>().join(" AND ")
}

/// Returns the condition of a server's index of words, as a `tsquery`.
pub(super) fn word_query(wanted: &Wanted) -> String {
    let word = |word: &str| match word.strip_prefix(ENDS) {
        _ if word.ends_with(ENDS) || word.starts_with(ENDS_OF_ID) => format!("'{word}'"),
        Some(_) => format!("'{word}':*"),
        None => format!("('{word}':* | '{ENDS}{word}':*)"),
    };
    let all = |text: &String| format!("({})", text.split(' ').map(word).collect::<Vec<_>>().join(" & "));
    let one_of: Vec<String> = wanted.one_of.iter().map(all).collect();
    let all_of = wanted.all_of.iter().map(all);
    std::iter::once(format!("({})", one_of.join(" | "))).chain(all_of).collect::<Vec<_>>().join(" & ")
}

/// Returns the word that stands for a tenant.
fn tenant_mark(tenant: &str) -> String {
    format!("x{}", &hex(&Sha256::digest(tenant))[..TENANT_DIGITS])
}

/// Returns an id with digits that no text has.
fn digits_apart(id: u64) -> String {
    let apart = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(0xE000 + digit)).unwrap_or(c);
    id.to_string().chars().map(apart).collect()
}

/// Returns an id in letters.
fn letters_of(id: u64) -> String {
    let letter = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(u32::from('a') + digit)).unwrap_or(c);
    id.to_string().chars().map(letter).collect()
}

/// Returns a folded text in letters and digits of ASCII and blanks. Texts that differ may become equal, those that are in
/// each other stay so.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        match c {
            ' ' | '0'..='9' | 'a'..='z' => plain.push(c),
            _ => {
                plain.push('z');
                match FREQUENT.chars().zip('a'..='u').find(|(frequent, _)| *frequent == c) {
                    Some((_, letter)) => plain.push(letter),
                    None => plain.push_str(&in_base_36(u32::from(c))),
                }
            }
        }
    }
    plain
}

/// Returns the number of a character in four digits.
fn in_base_36(number: u32) -> String {
    let digit = |power: u32| char::from_digit(number / 36_u32.pow(power) % 36, 36).unwrap_or('0');
    [3, 2, 1, 0].map(digit).iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::search::SearchCase;

    fn row(texts: &[&str], id: Option<u64>) -> (SearchName, SearchDocument) {
        let name = SearchName { tenant: "acme".parse().ok(), batch: None, shelf_id: 1 };
        let case = |text: &&str| SearchCase { name: Some((*text).into()), testmo_id: id, ..SearchCase::default() };
        (name, SearchDocument { cases: texts.iter().map(case).collect(), ..SearchDocument::default() })
    }

    #[test]
    fn texts_for_a_server_have_only_letters_digits_and_blanks() {
        for (text, expected) in
            [("sign in", "sign in"), ("shop-1", "shopza1"), ("ü%", "z0070zt"), ("\u{10ffff}", "znvnj")]
        {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn an_id_in_testmo_is_found_as_a_whole_only() {
        let (name, document) = row(&["order 13721"], Some(3721));
        for (text, found) in [("3721", true), ("372", true), ("721", true), ("3722", false), ("37", false)] {
            let needle: Needle = text.parse().unwrap();
            let (file, server) = (in_file(&name, &document), on_server(&name, &document));
            let is_in = |text: &str, wanted: Wanted| wanted.one_of.iter().any(|one| text.contains(one.as_str()));
            assert_eq!(is_in(&file, wanted_in_file(&needle, None)), found, "{text}");
            assert_eq!(is_in(&server, wanted_on_server(&needle, None)), found, "{text}");
        }
        let link: Needle = "https://acme.testmo.net/repositories/3?case_id=372".parse().unwrap();
        assert!(!on_server(&name, &document).contains(&wanted_on_server(&link, None).one_of[0]));
        assert!(!in_file(&name, &document).contains(&wanted_in_file(&link, None).one_of[0]));
    }

    #[test]
    fn what_the_index_is_asked_is_quoted() {
        let wanted = wanted_in_file(&"a\"b OR *".parse().unwrap(), None);
        let all = r#"((" or" AND """b " AND "a""b" AND "b o" AND "or " AND "r *"))"#;
        assert_eq!(match_expression(&wanted, &[]), all);
        let rarest_first = r#"(("""b " AND "a""b" AND "b o" AND "r *" AND " or" AND "or "))"#;
        assert_eq!(match_expression(&wanted, &["x or y".to_owned()]), rarest_first);
        let both = match_expression(&wanted_in_file(&"123".parse().unwrap(), Some("b")), &[]);
        assert_eq!(both.matches(" OR ").count(), 1, "{both}");
        let words = word_query(&wanted_on_server(&"sign i-n".parse().unwrap(), Some("acme")));
        assert_eq!(words, "((('sign':* | 'zysign':*) & ('izan':* | 'zyizan':*))) & ('zyx822b33ad8zy')");
    }

    proptest! {
        #[test]
        fn a_part_of_a_value_is_in_the_form_of_the_value(text in "\\PC{3,40}", from in 0_usize..20, most in 3_usize..20) {
            let value = folded(&text);
            let part: String = value.chars().skip(from).take(most).collect();
            if let Ok(needle) = part.parse::<Needle>() {
                let (name, document) = row(&[&text], None);
                let matches = document.matches(&needle, crate::batch::search::Reach::AnyPart);
                let one = |wanted: Wanted| wanted.one_of[0].clone();
                if !matches.is_empty() {
                    prop_assert!(in_file(&name, &document).contains(&one(wanted_in_file(&needle, None))));
                    prop_assert!(on_server(&name, &document).contains(&one(wanted_on_server(&needle, None))));
                }
            }
        }
    }
}
