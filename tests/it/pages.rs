//! Checks that the pages name only tests, targets, files, headings, commands and messages that exist.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the name and the text of every page that people read, except the changelog.
fn pages() -> Vec<(String, String)> {
    let mut found = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)).to_vec();
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

/// Returns the anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("```")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_promise_is_shown_by_something_that_exists() {
    let (promises, sources, makefile) = (page("docs/reliability.md"), sources(), page("Makefile"));
    let table =
        promises.split("## What is promised").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
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
fn every_link_and_every_path_exists() {
    let mut seen = 0;
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { root().join(&page) } else { folder.join(file) };
            assert!(file.exists(), "{page} links to {target}");
            if let Some(anchor) = anchor {
                let linked = fs::read_to_string(&file).expect("a page");
                assert!(anchors(&linked).contains(anchor), "{page} links to {target}");
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
fn every_command_that_the_pages_name_exists() {
    let mut seen = BTreeSet::new();
    for (page, text) in pages() {
        for call in text.split("testmo-courier ").skip(1) {
            // An option is that of another program, such as `journalctl --unit testmo-courier --since -1h`.
            let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
            let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_part);
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

#[test]
fn the_readme_counts_the_reasons_and_quotes_their_remedies() {
    let (readme, reasons) = (page("README.md"), page("docs/reasons.md"));
    let count = reasons.lines().filter(|line| line.starts_with("| `")).count();
    assert!(
        readme.contains(&format!("There are {count} [reasons]")),
        "README.md says another number: write \"There are {count} [reasons]\""
    );
    let remedies = readme.lines().filter_map(|line| line.trim_start().strip_prefix("→ "));
    let remedies: Vec<&str> = remedies.map(|remedy| remedy.trim_end_matches([';', ' ', '…'])).collect();
    assert!(!remedies.is_empty());
    for remedy in remedies {
        assert!(reasons.contains(remedy), "docs/reasons.md does not have: {remedy}");
    }
}

#[test]
fn the_batch_in_the_readme_has_no_fault() {
    let readme = page("README.md");
    let batch = readme.split("<<'JSON'\n").nth(1).and_then(|rest| rest.split("\nJSON\n").next()).expect("a batch");
    let mut lint = Command::new(env!("CARGO_BIN_EXE_testmo-courier"))
        .args(["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    lint.stdin.take().expect("its input").write_all(batch.as_bytes()).expect("the batch");
    let output = lint.wait_with_output().expect("its output");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_event_in_the_readme_is_as_its_schema_says() {
    let readme = page("README.md");
    let event = readme.split("```json\n").find(|block| block.contains("\"specversion\"")).expect("an event");
    let event: serde_json::Value = serde_json::from_str(event.split("```").next().expect("its end")).expect("JSON");
    let schema = jsonschema::validator_for(&testmo_courier::contract::events_schema()).expect("the schema is one");
    schema.validate(&event).unwrap_or_else(|error| panic!("{error} at {}", error.instance_path()));
    assert_eq!(event["type"], testmo_courier::batch::event::DELIVERED);
}

#[test]
fn the_readme_shows_the_last_lines_of_the_demo() {
    let (readme, demo) = (page("README.md"), page("tests/demo/run.sh"));
    let cases =
        demo.split(" cases=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a number of cases");
    let printed =
        demo.lines().filter_map(|line| line.strip_prefix("echo \"")).filter_map(|line| line.strip_suffix('"'));
    let printed: Vec<String> = printed
        .filter(|line| line.contains(','))
        .map(|line| line.replace("$found", cases).replace("$cases", cases))
        .collect();
    assert!(!printed.is_empty());
    for line in printed.iter().filter(|line| line.contains("valid cases") || line.starts_with("one batch")) {
        assert!(readme.contains(line), "{line:?} is not in the README");
    }
    assert!(printed.iter().any(|line| line.contains("valid cases")), "{printed:?}");
}
