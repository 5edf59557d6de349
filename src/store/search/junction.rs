//! Names the places where two words of a text meet, as a server's index of junctions holds them.
//!
//! Trigrams end at blanks, so a row that has the words of a text somewhere has its trigrams, too. A junction is in a row only
//! if two such words are side by side.

/// How many characters of each word a junction has.
const OF_A_WORD: usize = 2;

/// Returns the junctions of the lines of a row.
pub(super) fn of_lines(lines: &str) -> impl Iterator<Item = String> + '_ {
    lines.split('\n').flat_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words.windows(2).filter_map(between).collect::<Vec<_>>()
    })
}

/// Returns the junctions that each row has in it that has a text: the first and the last word may be parts of longer ones.
pub(super) fn of_part(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let last = words.len().saturating_sub(2);
    let is_short = |word: &str| word.chars().count() < OF_A_WORD;
    let is_known = |at: usize, pair: &[&str]| {
        let (first, second) = (at == 0 && is_short(pair[0]), at == last && is_short(pair[1]));
        !first && !second
    };
    let pairs = words.windows(2).enumerate().filter(|(at, pair)| is_known(*at, pair));
    pairs.filter_map(|(_, pair)| between(pair)).collect()
}

/// Returns the junction of two words; nothing where a line begins or ends with a blank.
fn between(pair: &[&str]) -> Option<String> {
    let [former, word] = pair else { return None };
    let skipped = former.chars().count().saturating_sub(OF_A_WORD);
    let end: String = former.chars().skip(skipped).collect();
    let beginning: String = word.chars().take(OF_A_WORD).collect();
    (!end.is_empty() && !beginning.is_empty()).then(|| format!("{end} {beginning}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_meet_with_two_characters_of_each() {
        for (lines, junctions) in [
            ("zysign in a codezy", vec!["gn in", "in a", "a co"]),
            ("zysignzy\nzwdhczw\nzyup tozy", vec!["up to"]),
            ("zyabzy", vec![]),
            ("zya  bzy", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(of_lines(lines).collect::<Vec<_>>(), junctions, "{lines:?}");
        }
    }

    #[test]
    fn of_a_part_only_what_is_known_of_its_first_and_last_word_counts() {
        for (text, junctions) in [
            ("upon shi", vec!["on sh"]),
            ("n shi", vec![]),
            ("upon s", vec![]),
            ("n a shi", vec!["a sh"]),
            ("upon a s", vec!["on a"]),
            ("a b", vec![]),
            ("upon", vec![]),
        ] {
            assert_eq!(of_part(text), junctions, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_row_has_the_junctions_of_each_of_its_parts(
            line in "[a-c]{1,4}( [a-c]{1,4}){0,6}", from in 0_usize..20, most in 1_usize..20,
        ) {
            let part: String = line.chars().skip(from).take(most).collect();
            let part = part.trim();
            let row: Vec<String> = of_lines(&format!("zyxzy\nzy{line}zy")).collect();
            prop_assert!(of_part(part).iter().all(|junction| row.contains(junction)), "{part:?}: {row:?}");
        }
    }
}
