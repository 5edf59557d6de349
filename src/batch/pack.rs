//! Which cases go into one request? Sizes and the body of a push.

use super::render::RenderedCase;

/// The most cases that Testmo takes in one create request.
pub const MAX_CASES_PER_PUSH: usize = 100;

const OPEN: &str = r#"{"cases":["#;
const CLOSE: &str = "]}";

/// The body of a create request that puts `cases` into a folder.
pub fn push_body<'a>(folder_id: u64, cases: impl IntoIterator<Item = &'a RenderedCase>) -> String {
    let mut body = String::from(OPEN);
    for case in cases {
        if body.len() > OPEN.len() {
            body.push(',');
        }
        // Every entry is an object that starts with its name, so the folder can go first.
        body.push_str(&folder_prefix(folder_id));
        body.push_str(&case.entry[1..]);
    }
    body.push_str(CLOSE);
    body
}

fn folder_prefix(folder_id: u64) -> String {
    format!(r#"{{"folder_id":{folder_id},"#)
}

/// How many of `cases`, from the first on, fit into one request of at most `most_cases` and `most_bytes`;
/// at least 1, as a case that is too large alone is for Testmo to refuse.
pub fn fitting<'a>(
    folder_id: u64,
    cases: impl IntoIterator<Item = &'a RenderedCase>,
    most_cases: usize,
    most_bytes: usize,
) -> usize {
    let prefix = folder_prefix(folder_id).len();
    // Each entry loses its opening brace to the folder and gains a comma, but the first has no comma.
    let mut bytes = OPEN.len() + CLOSE.len() - 1;
    let mut count = 0;
    for case in cases.into_iter().take(most_cases) {
        bytes += prefix + case.entry.len();
        if count > 0 && bytes > most_bytes {
            break;
        }
        count += 1;
    }
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(lengths: &[usize]) -> Vec<RenderedCase> {
        let entry = |n: &usize| format!(r#"{{"name":"{}"}}"#, "x".repeat(*n));
        lengths.iter().map(|n| RenderedCase { key: "k".into(), name: "x".into(), entry: entry(n) }).collect()
    }

    #[test]
    fn a_body_is_json_with_the_folder_in_each_entry() {
        let body = push_body(7, &cases(&[1, 2]));
        assert_eq!(body, r#"{"cases":[{"folder_id":7,"name":"x"},{"folder_id":7,"name":"xx"}]}"#);
    }

    proptest::proptest! {
        #[test]
        fn what_fits_is_within_both_limits_and_one_more_would_not_be(
            lengths in proptest::collection::vec(0usize..500, 1..50), most_cases in 1usize..20, most_bytes in 20usize..4000,
        ) {
            let all = cases(&lengths);
            let n = fitting(7, &all, most_cases, most_bytes);
            proptest::prop_assert!(n >= 1 && n <= most_cases.max(1) && n <= all.len());
            proptest::prop_assert!(n == 1 || push_body(7, &all[..n]).len() <= most_bytes);
            let more = n < all.len() && n < most_cases;
            proptest::prop_assert!(!more || push_body(7, &all[..=n]).len() > most_bytes);
        }
    }
}
