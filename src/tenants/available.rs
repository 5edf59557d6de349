//! Names what exists in place of an id that does not, the nearest first.

use crate::batch::message::similar::is_one_change;

/// How many are named.
const MOST_NAMED: usize = 5;
/// The most characters of a name.
const LONGEST_NAME: usize = 80;

/// Returns a text such as `it has the folders 428 Root, 430 Root/Old and 7 more`; ids that differ from `wanted` by one slip of
/// the finger come first, then the lowest.
pub(super) fn available(
    (nothing, these): (&str, &str),
    wanted: u64,
    there: impl IntoIterator<Item = u64>,
    name_of: impl Fn(u64) -> String,
) -> String {
    let wanted = wanted.to_string();
    let is_near = |id: u64| is_one_change(wanted.as_bytes(), id.to_string().as_bytes());
    let mut ids: Vec<(bool, u64)> = there.into_iter().map(|id| (!is_near(id), id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let named: Vec<String> = ids
        .iter()
        .take(MOST_NAMED)
        .map(|(_, id)| format!("{id} {}", shortened(&name_of(*id))).trim_end().to_owned())
        .collect();
    let more = ids.len() - named.len();
    match (named.as_slice(), more) {
        ([], _) => nothing.to_owned(),
        ([one], _) => format!("{these} {one}"),
        ([first @ .., last], 0) => format!("{these} {} and {last}", first.join(", ")),
        (all, more) => format!("{these} {} and {more} more", all.join(", ")),
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_named_the_nearest_first_and_the_rest_is_counted() {
        let of = |wanted: u64, ids: &[u64]| available(("none", "it has"), wanted, ids.to_vec(), |id| format!("n{id}"));
        assert_eq!(of(7, &[]), "none");
        assert_eq!(of(7, &[428]), "it has 428 n428");
        assert_eq!(of(482, &[1, 428, 2]), "it has 428 n428, 1 n1 and 2 n2");
        assert_eq!(of(4280, &[9, 8, 7, 6, 5, 428, 428]), "it has 428 n428, 5 n5, 6 n6, 7 n7, 8 n8 and 1 more");
        assert_eq!(available(("none", "it has"), 7, [3], |_| String::new()), "it has 3");
    }
}
