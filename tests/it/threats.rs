//! Checks that every threat in SECURITY.md names tests, and that these exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the names of all tests in a folder and those below it.
fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                let name =
                    line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                if let (Some(name), true) = (name, is_test) {
                    found.insert(name.to_owned());
                    is_test = false;
                }
            }
        }
    }
}

/// Returns the tests that each row below the heading names.
fn threats(text: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, threats) = text.split_once("\n## Threats\n").expect("the heading");
    let rows = threats.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = rows.map(|row| row.trim_matches('|').rsplit_once(" | ").expect("cells"));
    cells
        .filter(|(_, tests)| tests.trim() != "tests")
        .map(|(threat, tests)| (threat, tests.split('`').skip(1).step_by(2).collect()))
        .collect()
}

#[test]
fn every_threat_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    ["src", "tests"].iter().for_each(|folder| tests_in(&root.join(folder), &mut known));
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("a document");
    let threats = threats(&text);
    assert!(threats.len() >= 15, "{threats:?}");
    for (threat, tests) in threats {
        assert!(!tests.is_empty(), "no test: {threat}");
        for test in tests {
            assert!(known.contains(test), "there is no test {test}: {threat}");
        }
    }
}
