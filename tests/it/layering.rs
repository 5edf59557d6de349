//! Does every module name only those it may? The table of `docs/architecture.md`, kept true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may name of ours.
const MAY_NAME: [(&str, &[&str]); 16] = [
    ("account", &[]),
    ("batch", &["account"]),
    ("clock", &[]),
    ("config", &[]),
    ("contract", &["batch"]),
    ("guard", &[]),
    ("lane", &["account", "batch"]),
    ("metrics", &["batch", "guard"]),
    ("amqp", &["config", "guard"]),
    ("testmo", &["batch", "clock", "config"]),
    ("store", &["account", "batch", "clock", "config", "guard"]),
    ("tenants", &["account", "batch", "store", "testmo"]),
    ("app", &["account", "amqp", "batch", "clock", "config", "contract", "lane", "store", "tenants", "testmo"]),
    ("cli", &["app", "config", "contract", "telemetry", "worker"]),
    ("http", &["metrics"]),
    (
        "worker",
        &[
            "account", "amqp", "batch", "clock", "config", "guard", "http", "lane", "metrics", "store", "tenants",
            "testmo",
        ],
    ),
];

/// Words that a module's code must not hold.
const MUST_NOT_HOLD: [(&str, &[&str]); 8] = [
    ("app", &["axum", "clap", "comfy_table", "indicatif", "io::stdin", "io::stdout", "rpassword", "sqlx"]),
    ("batch", &["async ", "tokio::", "SystemTime", "Timestamp::now", "std::fs", "rand::"]),
    ("lane", &["sqlx", "reqwest", "lapin", "async "]),
    ("amqp", &["sqlx", "reqwest"]),
    ("store", &["lapin", "reqwest"]),
    ("testmo", &["lapin", "sqlx"]),
    ("tenants", &["lapin", "sqlx", "reqwest"]),
    ("worker", &["lapin", "sqlx", "reqwest", "SELECT ", "StatusCode"]),
];

fn files_of(module: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = [src.join(format!("{module}.rs"))].into_iter().filter(|file| file.exists()).collect();
    walk(&src.join(module), &mut files);
    assert!(!files.is_empty(), "there is no module {module}");
    files
}

/// The code of a file without its tests and comments.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_module_names_only_those_it_may() {
    let mut offences = BTreeSet::new();
    for (module, allowed) in MAY_NAME {
        for file in files_of(module) {
            for named in code_of(&file).split("crate::").skip(1) {
                let named: String = named.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if named != module && !named.is_empty() && !allowed.contains(&named.as_str()) {
                    offences.insert(format!("{} names {named}", file.display()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn no_module_holds_what_belongs_elsewhere() {
    let mut offences = BTreeSet::new();
    for (module, words) in MUST_NOT_HOLD {
        for file in files_of(module) {
            let code = code_of(&file);
            for word in words.iter().filter(|word| code.contains(**word)) {
                offences.insert(format!("{} holds {word}", file.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}
