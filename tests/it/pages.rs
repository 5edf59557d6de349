//! Checks that README and documents name only tests, targets, files and commands that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn pages() -> Vec<(String, String)> {
    let mut found = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut found);
    let text = |path: &PathBuf| fs::read_to_string(path).expect("a page");
    found.iter().map(|path| (path.strip_prefix(root()).expect("a page").display().to_string(), text(path))).collect()
}

fn sources() -> String {
    let mut found = Vec::new();
    for folder in ["src", "tests/it", "tests/sim/src"] {
        files(&root().join(folder), "rs", &mut found);
    }
    found.iter().map(|path| fs::read_to_string(path).expect("a source")).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_promise_is_shown_by_something_that_exists() {
    let (readme, sources) = (fs::read_to_string(root().join("README.md")).expect("a page"), sources());
    let makefile = fs::read_to_string(root().join("Makefile")).expect("a Makefile");
    let table =
        readme.split("## What it promises").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| **")).collect();
    assert_eq!(rows.len(), 6);
    for row in rows {
        let shown: Vec<&str> = quoted(row).collect();
        assert!(!shown.is_empty() && shown.len() == shown.iter().collect::<BTreeSet<_>>().len(), "{row}");
        for name in shown {
            let exists = if let Some(target) = name.strip_prefix("make ") {
                makefile.contains(&format!("\n{target}: "))
            } else if name.contains('/') {
                root().join(name).exists()
            } else {
                sources.contains(&format!("fn {name}("))
            };
            assert!(exists, "there is no {name}: {row}");
        }
    }
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    let mut seen = 0;
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.contains("://") && !target.starts_with('#') {
                seen += 1;
                assert!(folder.join(target).exists(), "{page} links to {target}");
            }
        }
        let is_path = |name: &&str| {
            let first = name.split('/').next().unwrap_or_default();
            ["config", "deploy", "docs", "src", "tests"].contains(&first) && name.contains('/')
        };
        for path in quoted(&text).filter(is_path) {
            seen += 1;
            assert!(root().join(path.trim_end_matches('/')).exists(), "{page} names {path}");
        }
    }
    assert!(seen > 15, "only {seen} were found");
}

#[test]
fn every_command_that_is_spoken_of_is_one() {
    let mut seen = BTreeSet::new();
    for (page, text) in pages() {
        for call in text.split("testmo-courier ").skip(1) {
            let is_word = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let words: Vec<&str> = call.split(['`', '\n', ' ']).take_while(is_word).take(2).collect();
            if let [command, ..] = words[..] {
                seen.insert((command.to_owned(), words.get(1).map(|word| (*word).to_owned()), page.clone()));
            }
        }
    }
    let groups = ["tenants", "batches", "shelf", "events", "lanes", "topology", "config", "schema"];
    let mut tried = BTreeSet::new();
    for (command, sub, page) in seen {
        let sub = sub.filter(|_| groups.contains(&command.as_str()));
        let arguments: Vec<String> = [command].into_iter().chain(sub).collect();
        if tried.insert(arguments.clone()) {
            let mut program = Command::new(env!("CARGO_BIN_EXE_testmo-courier"));
            let help = program.args(&arguments).arg("--help").output().expect("the program");
            assert!(help.status.success(), "{page}: there is no command {arguments:?}");
        }
    }
    assert!(tried.len() > 5, "only {tried:?} were found");
}
