//! Computes how many cases fit into one create request, and builds the body of the request.

use crate::batch::render::RenderedCase;

const OPEN: &str = r#"{"cases":["#;
const CLOSE: &str = "]}";

/// Returns the body of a create request: each case goes into the folder given with it.
pub fn push_body<'a>(cases: impl IntoIterator<Item = (u64, &'a RenderedCase)>) -> String {
    let mut body = String::from(OPEN);
    for (folder, case) in cases {
        if body.len() > OPEN.len() {
            body.push(',');
        }
        // Every entry is an object that starts with the name, so the folder can be put first.
        body.push_str(&folder_prefix(folder));
        body.push_str(&case.entry[1..]);
    }
    body.push_str(CLOSE);
    body
}

fn folder_prefix(folder_id: u64) -> String {
    format!(r#"{{"folder_id":{folder_id},"#)
}

/// Returns how much a case takes in a request at most, in bytes of JSON.
pub fn size_in_push(folder: u64, case: &RenderedCase) -> usize {
    // The entry's opening brace counts for the folder, and a comma is added.
    folder_prefix(folder).len() + case.entry.len()
}

/// Returns how many cases, from the first on and by their sizes in bytes, fit into the rest of a request: at most
/// `most_cases` cases and `most_bytes` bytes. An empty request takes at least one case, because Testmo has to refuse a
/// case that is too large alone.
pub fn fitting(sizes: &[usize], most_cases: usize, most_bytes: usize, is_empty: bool) -> usize {
    let mut bytes = 0;
    let fits = sizes.iter().take(most_cases).take_while(|size| {
        bytes += **size;
        bytes <= most_bytes
    });
    fits.count().max(usize::from(is_empty && most_cases > 0 && !sizes.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(lengths: &[usize]) -> Vec<RenderedCase> {
        let entry = |n: &usize| format!(r#"{{"name":"{}"}}"#, "x".repeat(*n));
        lengths
            .iter()
            .map(|n| RenderedCase {
                key: "k".into(),
                name: "x".into(),
                entry: entry(n),
                provenance: Default::default(),
            })
            .collect()
    }

    #[test]
    fn a_body_is_json_with_the_folder_in_each_entry() {
        let cases = cases(&[1, 2]);
        let body = push_body([7, 8].into_iter().zip(&cases));
        assert_eq!(body, r#"{"cases":[{"folder_id":7,"name":"x"},{"folder_id":8,"name":"xx"}]}"#);
    }

    proptest::proptest! {
        #[test]
        fn what_fits_is_within_both_limits_and_one_more_would_not_be(
            sizes in proptest::collection::vec(1usize..500, 1..50), most_cases in 1usize..20, most_bytes in 20usize..4000,
        ) {
            let n = fitting(&sizes, most_cases, most_bytes, true);
            proptest::prop_assert!(n >= 1 && n <= most_cases && n <= sizes.len());
            proptest::prop_assert!(n == 1 || sizes[..n].iter().sum::<usize>() <= most_bytes);
            let more = n < sizes.len() && n < most_cases;
            proptest::prop_assert!(!more || sizes[..=n].iter().sum::<usize>() > most_bytes);
        }

        #[test]
        fn the_sizes_of_cases_add_up_to_that_of_the_request(
            lengths in proptest::collection::vec(0usize..500, 1..50), folder in 1u64..100_000,
        ) {
            let all = cases(&lengths);
            let sum: usize = all.iter().map(|case| size_in_push(folder, case)).sum();
            let body = push_body(all.iter().map(|case| (folder, case)));
            // The first case has no comma before it.
            proptest::prop_assert_eq!(body.len(), sum + OPEN.len() + CLOSE.len() - 1);
        }
    }
}
