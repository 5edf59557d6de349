//! Checks that every file names only files that it may, and that no files name each other in a circle.

mod circles;
mod imports;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use circles::circles;
use imports::{Graph, graph};
use source::{Source, modules};

/// What each module may name beside itself: siblings, or parts of them. A module without a row may name everything, as
/// `cli` does.
const MAY_NAME: &[(&str, &[&str])] = &[
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
    ("admin", &["metrics"]),
    (
        "worker",
        &[
            "account", "admin", "amqp", "batch", "clock", "config", "guard", "lane", "metrics", "store", "tenants",
            "testmo",
        ],
    ),
];

/// What the parts of `worker` may name of each other, from the lowest layer up. Everything may name [`LEAVES`]; a part
/// without a row, such as `worker` itself and its supervisor, may name everything.
const WORKER_MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("context", &["model"]),
    ("store_retry", &["context", "model"]),
    ("unit", &["context"]),
    ("outcome", &["context", "model", "store_retry", "unit"]),
    ("reconciliation", &["context", "model", "store_retry", "unit"]),
    ("admission", &["context", "model", "outcome", "store_retry", "unit"]),
    ("delivery", &["admission", "context", "model", "outcome", "reconciliation", "store_retry", "unit"]),
    ("dispatch", &["admission", "context", "delivery", "model", "outcome", "store_retry", "unit"]),
    ("intake", &["admission", "context", "dispatch", "model", "outcome", "store_retry", "unit"]),
    ("outbox", &["context", "outcome::commit", "store_retry", "unit"]),
    ("maintenance", &["context", "outcome::commit", "reconciliation", "store_retry", "unit"]),
];

/// Parts of `worker` that name nothing of it.
const LEAVES: &[&str] = &["backoff", "failpoint", "offload"];

/// Sets of files that may name each other in a circle, with the reason.
const MAY_CIRCLE: &[(&[&str], &str)] = &[
    (
        &[
            "store",
            "store::accounts",
            "store::connections",
            "store::group",
            "store::ledger",
            "store::ledger::change",
            "store::ledger::claim",
            "store::ledger::row",
            "store::outbox",
            "store::shelf",
        ],
        "`Store` is one type whose SQL stands in a file for each subject; its group commits run all of them",
    ),
    (
        &["store::error", "store::unreadable"],
        "an unreadable row is one of the errors of the store, and is found where errors are translated",
    ),
    (
        &["cli::shelf", "cli::shelf::discard", "cli::shelf::list", "cli::shelf::plan", "cli::shelf::show"],
        "the commands of the shelf share helpers that stand beside their declaration",
    ),
];

/// Words that the code of a module must not contain.
const MUST_NOT_CONTAIN: &[(&str, &[&str])] = &[
    ("batch", &["async ", "tokio::", "SystemTime", "Timestamp::now", "std::fs", "rand::"]),
    ("lane", &["sqlx", "reqwest", "lapin", "async "]),
    ("amqp", &["sqlx", "reqwest"]),
    ("store", &["lapin", "reqwest"]),
    ("testmo", &["lapin", "sqlx"]),
    ("tenants", &["lapin", "sqlx", "reqwest"]),
    ("worker", &["lapin", "sqlx", "reqwest", "SELECT ", "StatusCode"]),
];

/// Whether `worker` consists of the parts in [`WORKER_MAY_NAME`].
fn has_worker_parts(modules: &BTreeMap<String, Source>) -> bool {
    WORKER_MAY_NAME.iter().all(|(part, _)| modules.contains_key(&format!("worker::{part}")))
}

/// Whether a module is the named one, or lies in it.
fn is_in(module: &str, folder: &str) -> bool {
    module.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns each import that the rows of a table do not allow; their names are below `above`, such as `worker::`.
fn offences(graph: &Graph, above: &str, table: &[(&str, &[&str])], leaves: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (part, allowed) in table {
        let part = format!("{above}{part}");
        assert!(graph.contains_key(&part), "the table has a row for {part}, which does not exist");
        for (file, named) in graph.iter().filter(|(file, _)| is_in(file, &part)) {
            let of_scope = named.iter().filter(|target| target.starts_with(above) && !is_in(target, &part));
            let is_allowed =
                |target: &str| allowed.iter().chain(leaves).any(|other| is_in(target, &format!("{above}{other}")));
            found.extend(of_scope.filter(|target| !is_allowed(target)).map(|target| format!("{file} names {target}")));
        }
    }
    found
}

#[test]
fn every_module_names_only_those_it_may() {
    let found = offences(&graph(&modules()), "", MAY_NAME, &[]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_part_of_the_worker_names_only_lower_ones() {
    let modules = modules();
    if !has_worker_parts(&modules) {
        return;
    }
    let leaves: Vec<(&str, &[&str])> = LEAVES.iter().map(|leaf| (*leaf, &[][..])).collect();
    let found = offences(&graph(&modules), "worker::", &[&leaves[..], WORKER_MAY_NAME].concat(), LEAVES);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let modules = modules();
    let graph = graph(&modules);
    let mut found = circles(&graph);
    if !has_worker_parts(&modules) {
        found.retain(|circle| !circle.iter().all(|file| is_in(file, "worker")));
    }
    for (files, reason) in MAY_CIRCLE {
        let before = found.len();
        found.retain(|circle| !circle.iter().all(|file| files.contains(&file.as_str())));
        assert!(found.len() < before, "{files:?} are no circle any more; their exception was: {reason}");
    }
    let edges = found.iter().map(|circle| {
        let inside = |file: &String| graph[file].intersection(circle).cloned().collect::<Vec<_>>().join(", ");
        circle.iter().map(|file| format!("{file} names {}", inside(file))).collect::<Vec<_>>()
    });
    let edges: Vec<_> = edges.collect();
    assert!(edges.is_empty(), "files name each other in a circle: {edges:#?}");
}

#[test]
fn no_module_contains_what_belongs_elsewhere() {
    let modules = modules();
    let mut found = BTreeSet::new();
    for (module, words) in MUST_NOT_CONTAIN {
        for (file, source) in modules.iter().filter(|(file, _)| is_in(file, module)) {
            found.extend(
                words.iter().filter(|word| source.code.contains(**word)).map(|word| format!("{file} contains {word}")),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What a worker works with and what it does are separate types.
#[test]
fn no_type_is_both_the_context_of_the_worker_and_its_behaviour() {
    let modules = modules();
    let found: Vec<&String> =
        modules.iter().filter(|(_, source)| source.names.contains("impl Courier")).map(|(file, _)| file).collect();
    assert!(found.is_empty() || !has_worker_parts(&modules), "`impl Courier` in {found:?}");
}
