//! Finds what a message probably means, where it has a `tenant_id` without a connection or a key that is not known.

use crate::batch::TenantId;

/// Other names that generators write for keys of the contract, as [`folded_key`] returns them.
const OTHER_NAMES: [(&str, &[&str]); 13] = [
    ("name", &["title", "summary", "casename", "testname", "casetitle"]),
    ("expected", &["expectedresult", "expectedresults", "expectedoutcome", "result", "expectation"]),
    ("action", &["step", "instruction", "description", "text", "content"]),
    ("data", &["testdata", "input", "inputs"]),
    ("preconditions", &["prerequisites", "precondition", "given"]),
    ("external_id", &["id", "caseid", "testcaseid", "testid"]),
    ("tags", &["labels", "keywords"]),
    ("steps", &["teststeps", "procedure"]),
    ("gherkin", &["scenario", "feature", "bdd"]),
    ("priority", &["severity", "prio"]),
    ("estimate_seconds", &["estimate", "duration"]),
    ("cases", &["testcases", "tests", "items"]),
    ("folder_path", &["folder", "path", "folders"]),
];

/// Returns the key that `unknown` probably stands for: one that is written almost alike, or that others give this name.
pub(super) fn similar_key<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = folded_key(unknown);
    let alike = known.iter().find(|key| folded_key(key) == wanted);
    let others = OTHER_NAMES.iter().filter(|(_, names)| names.contains(&wanted.as_str())).map(|(key, _)| key);
    let renamed = || others.into_iter().find_map(|key| known.iter().find(|known| *known == key));
    let close = || {
        let mut close = known
            .iter()
            .filter(|key| wanted.len() >= 4 && is_one_change(wanted.as_bytes(), folded_key(key).as_bytes()));
        close.next().filter(|_| close.next().is_none())
    };
    alike.or_else(renamed).or_else(close).copied()
}

fn folded_key(key: &str) -> String {
    // No key of the contract is longer.
    key.chars().take(40).filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Returns the one of `known` that is written almost like `unknown`: with other cases, with other separators, or with a
/// typing error in a word of at least four characters.
pub fn similar<'a>(unknown: &TenantId, known: &'a [TenantId]) -> Option<&'a TenantId> {
    let wanted = folded(unknown);
    let others = || known.iter().filter(|tenant| *tenant != unknown);
    others().find(|tenant| folded(tenant) == wanted).or_else(|| {
        let mut close = others().filter(|tenant| wanted.len() >= 4 && is_one_change(&wanted, &folded(tenant)));
        // Of several, none is more likely than the others.
        close.next().filter(|_| close.next().is_none())
    })
}

/// Tenant ids are ASCII.
fn folded(tenant: &TenantId) -> Vec<u8> {
    tenant.as_str().bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// Returns whether one character was left out, added or replaced, or two neighbours were swapped.
pub fn is_one_change(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let (short_rest, long_rest) = (&short[same..], &long[same..]);
    match long.len() - short.len() {
        0 => {
            let swapped = short_rest.len() >= 2
                && short_rest[0] == long_rest[1]
                && short_rest[1] == long_rest[0]
                && short_rest[2..] == long_rest[2..];
            swapped || (!short_rest.is_empty() && short_rest[1..] == long_rest[1..])
        }
        1 => *short_rest == long_rest[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognized_by_its_spelling_or_by_another_name() {
        let known = ["name", "steps", "expected", "external_id", "batch_id", "tags"];
        for (key, meant) in [
            ("title", Some("name")),
            ("expected_result", Some("expected")),
            ("expectedResult", Some("expected")),
            ("batchId", Some("batch_id")),
            ("Name", Some("name")),
            ("nane", Some("name")),
            ("step", Some("steps")),
            ("labels", Some("tags")),
            ("id", Some("external_id")),
            ("scenario", None),
            ("nam", None),
            ("", None),
        ] {
            assert_eq!(similar_key(key, &known), meant, "{key}");
        }
    }

    #[test]
    fn a_tenant_that_is_written_almost_alike_is_found_and_no_other() {
        let known: Vec<TenantId> =
            ["acme", "acme.eu", "birch", "oak", "north-1", "north-2"].map(|id| TenantId::new(id).unwrap()).into();
        for (text, meant) in [
            ("ACME", Some("acme")),
            ("acme-eu", Some("acme.eu")),
            ("bich", Some("birch")),
            ("birhc", Some("birch")),
            ("birsh", Some("birch")),
            ("birchh", Some("birch")),
            ("oax", None),
            ("north-3", None),
            ("elm", None),
            ("birch", None),
        ] {
            let found = similar(&TenantId::new(text).unwrap(), &known).map(TenantId::as_str);
            assert_eq!(found, meant, "{text}");
        }
    }
}
