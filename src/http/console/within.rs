//! Finds a text in a line, and in bytes.

use std::ops::Range;

/// Returns where a text is in a line, whatever the case of its letters. The places do not overlap.
pub(super) fn in_line(line: &str, text: &str) -> Vec<Range<usize>> {
    let wanted: Vec<char> = text.chars().map(folded).collect();
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some(next) = line.get(at..).and_then(|rest| rest.chars().next()) {
        match begins(&line[at..], &wanted) {
            Some(length) if length > 0 => {
                places.push(at..at + length);
                at += length;
            }
            Some(_) | None => at += next.len_utf8(),
        }
    }
    places
}

/// Returns how many bytes of a text are the wanted characters, if it begins with them.
fn begins(text: &str, wanted: &[char]) -> Option<usize> {
    let mut characters = text.chars();
    let mut length = 0;
    for wanted in wanted {
        let next = characters.next().filter(|next| folded(*next) == *wanted)?;
        length += next.len_utf8();
    }
    Some(length)
}

fn folded(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// Returns where a text is among bytes, whatever the case of its ASCII letters, and where the bytes are that it names by pairs of
/// digits, such as `ff 00`. The places are in order and do not overlap.
pub(super) fn in_bytes(bytes: &[u8], text: &str) -> Vec<Range<usize>> {
    let named = bytes_of(text);
    let is_text = |window: &[u8]| window.eq_ignore_ascii_case(text.as_bytes());
    let is_named = |window: &[u8]| Some(window) == named.as_deref();
    let (mut places, mut at): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    let lengths = [text.len(), named.as_ref().map_or(0, Vec::len)];
    while at < bytes.len() {
        let window = |length: usize| bytes.get(at..at + length).filter(|window| !window.is_empty());
        let is_there = [window(lengths[0]).is_some_and(is_text), window(lengths[1]).is_some_and(is_named)];
        let longest = lengths.iter().zip(is_there).filter(|(_, is_there)| *is_there).map(|(length, _)| *length).max();
        places.extend(longest.map(|length| at..at + length));
        at += longest.unwrap_or(1);
    }
    places
}

/// Reads pairs of hexadecimal digits, with or without blanks between them.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_whatever_its_case_and_without_overlaps() {
        for (line, text, places) in [
            ("Pay, pay", "PAY", vec![0..3, 5..8]),
            ("aaaa", "aa", vec![0..2, 2..4]),
            ("Grüße, GRÜSSE", "grü", vec![0..4, 9..13]),
            ("ẞß", "ß", vec![0..3, 3..5]),
            ("abc", "abcd", vec![]),
            ("abc", "", vec![]),
            ("", "a", vec![]),
        ] {
            assert_eq!(in_line(line, text), places, "{text} in {line}");
        }
    }

    #[test]
    fn bytes_are_found_by_characters_and_by_digits() {
        for (bytes, text, places) in [
            (&b"\xffKey\x00key"[..], "key", &[(1, 4), (5, 8)][..]),
            (b"\xff\x00\xff\x00", "FF 00", &[(0, 2), (2, 4)]),
            (b"\xff\x00", "ff00", &[(0, 2)]),
            (b"41A", "41", &[(0, 2), (2, 3)]),
            (b"\xff", "f", &[]),
            (b"\xff", "", &[]),
        ] {
            let found: Vec<(usize, usize)> = in_bytes(bytes, text).into_iter().map(|at| (at.start, at.end)).collect();
            assert_eq!(found, places, "{text}");
        }
    }
}
