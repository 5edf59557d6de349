//! Finds the name that a person probably meant among those that exist.

/// The most characters of a name that are compared.
const LONGEST: usize = 64;

/// Returns the name that is written most like `wanted`: with other separators or upper and lower case, with a few typing
/// errors, or longer or shorter at its end.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = folded(wanted);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let other = folded(name);
        let Some(cost) = cost(&wanted, &other) else { continue };
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Returns the words that ask whether a name was meant; empty if none is near.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, known).map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// Returns the letters and digits of a name in lower case, without the beginning that all columns share.
fn folded(name: &str) -> Vec<char> {
    let name = name.strip_prefix("custom_").unwrap_or(name);
    let letters = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    letters.take(LONGEST).collect()
}

/// Returns how unlike two names are; `None` if too unlike to be meant.
fn cost(one: &[char], other: &[char]) -> Option<usize> {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.is_empty() {
        return None;
    }
    let most = match short.len() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    let is_cut = short.len() >= 3 && long.starts_with(short);
    let distance = distance(one, other);
    (distance <= most || is_cut).then_some(distance)
}

/// Returns how many letters have to be added, removed, replaced or swapped with their neighbour to turn one into the other.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_almost_alike_is_found_and_no_other() {
        let known = ["custom_risk", "custom_test_type", "High", "Normal", "Payments", "Größe", "Hi"];
        for (wanted, found) in [
            ("custom_rsik", Some("custom_risk")),
            ("Risk", Some("custom_risk")),
            ("risks", Some("custom_risk")),
            ("Test type", Some("custom_test_type")),
            ("custom_testtyp", Some("custom_test_type")),
            ("high", Some("High")),
            ("Hgih", Some("High")),
            ("Payment", Some("Payments")),
            ("Payments & billing", Some("Payments")),
            ("GROSSE", None),
            ("grösse", None),
            ("größen", Some("Größe")),
            ("Low", None),
            ("custom_owner", None),
            ("", None),
            ("→", None),
        ] {
            assert_eq!(nearest(wanted, known), found, "{wanted}");
        }
        assert_eq!(did_you_mean("hihg", known), "; did you mean \"High\"?");
        assert_eq!(did_you_mean("x", known), "");
    }

    proptest::proptest! {
        #[test]
        fn a_distance_is_the_same_in_both_directions_and_at_most_the_longer_length(
            one in proptest::collection::vec(proptest::sample::select(vec!['a', 'b', 'c']), 0..8),
            other in proptest::collection::vec(proptest::sample::select(vec!['a', 'b', 'c']), 0..8),
        ) {
            let there = distance(&one, &other);
            proptest::prop_assert_eq!(there, distance(&other, &one));
            proptest::prop_assert!(there <= one.len().max(other.len()));
            proptest::prop_assert_eq!(there == 0, one == other);
        }
    }
}
