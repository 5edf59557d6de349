//! Checks that every file names only files that it may name, and that no files name each other in a circle.

mod circles;
pub(crate) mod imports;
pub(crate) mod source;

use std::collections::BTreeSet;

use circles::circles;
use imports::{Graph, graph};
use source::{is_word, modules};

/// The siblings, or parts of them, that each module may name besides itself.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("account", &[]),
    ("batch", &["account", "trace"]),
    ("certificates", &["clock", "guard"]),
    ("clock", &[]),
    ("config", &["private_file", "trace"]),
    ("contract", &["batch"]),
    ("descriptors", &[]),
    ("guard", &[]),
    ("lane", &["account", "batch"]),
    ("metrics", &["batch", "guard", "trace"]),
    ("offload", &[]),
    ("private_file", &["shell"]),
    ("shell", &[]),
    ("tls_fault", &[]),
    ("trace", &[]),
    ("amqp", &["certificates", "config", "guard", "tls_fault"]),
    ("testmo", &["batch", "certificates", "clock", "config", "guard", "offload", "trace"]),
    ("store", &["account", "batch", "clock", "config", "guard", "private_file", "tls_fault", "trace"]),
    ("tenants", &["account", "batch", "guard", "private_file", "store", "testmo"]),
    ("replay", &["account", "batch", "store"]),
    (
        "app",
        &[
            "account",
            "amqp",
            "batch",
            "certificates",
            "clock",
            "config",
            "contract",
            "descriptors",
            "lane",
            "private_file",
            "replay",
            "shell",
            "store",
            "tenants",
            "testmo",
            "trace",
        ],
    ),
    ("http::connections", &[]),
    ("http::observe", &["guard", "http::connections", "metrics"]),
    (
        "worker",
        &[
            "account",
            "amqp",
            "batch",
            "certificates",
            "clock",
            "config",
            "descriptors",
            "guard",
            "http::observe",
            "lane",
            "metrics",
            "offload",
            "replay",
            "store",
            "tenants",
            "testmo",
            "trace",
        ],
    ),
];

/// The parts of the library that `cli` may name.
const CLI_MAY_NAME: &[&str] = &["app", "config", "contract", "http", "telemetry", "worker"];

/// The parts of the library that the API and the console may name; `http` is named by what they share.
const API_MAY_NAME: &[&str] = &["app", "config", "guard", "http"];

/// The parts of `worker` that each of its parts may name, from the lowest layer up. Every part may name [`LEAVES`]; a
/// part without a row, such as `worker` itself and its supervisor, may name every part.
const WORKER_MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("context", &["model"]),
    ("store_retry", &["context", "model"]),
    ("unit", &["context"]),
    ("permit", &["context", "model"]),
    ("outcome", &["context", "model", "store_retry", "unit"]),
    ("reconciliation", &["context", "model", "store_retry", "unit"]),
    ("admission", &["context", "model", "outcome", "store_retry", "unit"]),
    ("delivery", &["admission", "context", "model", "outcome", "permit", "reconciliation", "store_retry", "unit"]),
    ("dispatch", &["admission", "context", "delivery", "model", "outcome", "store_retry", "unit"]),
    ("intake", &["admission", "context", "dispatch", "model", "outcome", "store_retry", "unit"]),
    ("outbox", &["context", "outcome::commit", "store_retry", "unit"]),
    ("maintenance", &["context", "model::step", "outcome::commit", "permit", "reconciliation", "store_retry", "unit"]),
];

/// Parts of `worker` that name no other part of `worker`.
const LEAVES: &[&str] = &["backoff", "failpoint", "live", "meanwhile", "room", "stop", "turns", "workload"];

/// Sets of files that may name each other in a circle, with the reason.
const MAY_CIRCLE: &[(&[&str], &str)] = &[
    (
        &[
            "store",
            "store::accounts",
            "store::accounts::decide",
            "store::accounts::overrides",
            "store::accounts::states",
            "store::connections",
            "store::connections::verification",
            "store::group",
            "store::group::work",
            "store::group::writer",
            "store::health",
            "store::ledger",
            "store::ledger::claim",
            "store::ledger::commit",
            "store::ledger::success",
            "store::outbox",
            "store::removal",
            "store::rotation",
            "store::rotation::guard",
            "store::rotation::model",
            "store::rotation::rows",
            "store::shelf::row",
            "store::windows",
            "store::written",
        ],
        "`Store` holds the group of writers, whose commits run the SQL of all subjects, and each subject implements its \
         trait for `Store` beside that SQL",
    ),
    (
        &["store::error", "store::unreadable"],
        "an unreadable row is one of the errors of the store, and is found where errors are translated",
    ),
];

/// Words that the code of a module must not contain.
const MUST_NOT_CONTAIN: &[(&str, &[&str])] = &[
    ("app", &["axum", "clap", "comfy_table", "indicatif", "io::stdin", "io::stdout", "rpassword", "sqlx"]),
    ("batch", &["async ", "tokio::", "SystemTime", "Timestamp::now", "std::fs", "rand::"]),
    ("lane", &["sqlx", "hyper", "reqwest", "lapin", "async "]),
    ("amqp", &["sqlx", "hyper", "reqwest"]),
    ("store", &["lapin", "hyper", "reqwest"]),
    ("testmo", &["lapin", "sqlx"]),
    ("tenants", &["lapin", "sqlx", "hyper", "reqwest"]),
    ("worker", &["lapin", "sqlx", "hyper", "reqwest", "SELECT ", "StatusCode"]),
];

/// Returns whether a module is `folder` itself, or lies in it.
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

/// A line without the trace of its batch is missing where the trace is searched for.
#[test]
fn every_log_line_that_names_a_batch_names_its_trace() {
    let mut lines = 0;
    for (module, source) in modules() {
        for line in
            source.code.split("tracing::").skip(1).filter_map(|rest| rest.split_once(");")).map(|(line, _)| line)
        {
            let is_call = ["error!(", "warn!(", "info!(", "debug!("].iter().any(|call| line.starts_with(call));
            let names_one =
                ["batch = ", "%batch,", "event = event", "message_hash = "].iter().any(|of| line.contains(of));
            if is_call && names_one {
                assert!(line.contains("trace_id"), "{module}: {line}");
                lines += 1;
            }
        }
    }
    assert!(lines > 25, "only {lines} lines name a batch");
}

/// The command line is one face of the use cases, so it names the exports of `app`, wherever they are defined.
#[test]
fn the_command_line_names_only_use_cases_and_what_it_starts() {
    let found = named_by("cli", "testmo_courier::", CLI_MAY_NAME);
    assert!(found.is_empty(), "{found:#?}");
}

/// The API and the console are other faces of them.
#[test]
fn the_api_and_the_console_name_only_use_cases() {
    for face in ["http::admin", "http::api", "http::console"] {
        let found = named_by(face, "crate::", API_MAY_NAME);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Returns which files of a folder name parts of the library, behind a prefix, that they may not name.
fn named_by(folder: &str, prefix: &str, may_name: &[&str]) -> BTreeSet<String> {
    let modules = modules();
    let mut found = BTreeSet::new();
    for (file, source) in modules.iter().filter(|(file, _)| is_in(file, folder) && *file != "cli::names") {
        for path in source.names.split(prefix).skip(1) {
            let first = |path: &str| path.trim().split(|c: char| !is_word(c)).next().unwrap_or_default().to_owned();
            let named: Vec<String> = match path.strip_prefix('{').and_then(|list| list.split_once(';')) {
                // A list of the form `{config, worker}`; its members need no lists of their own.
                Some((list, _)) => list.split(',').map(first).filter(|name| !name.is_empty()).collect(),
                None => vec![first(path)],
            };
            let of_others = named.into_iter().filter(|name| !may_name.contains(&name.as_str()));
            found.extend(of_others.map(|name| format!("{file} names {name}")));
        }
    }
    found
}

#[test]
fn every_part_of_the_worker_names_only_lower_ones() {
    let modules = modules();
    let leaves: Vec<(&str, &[&str])> = LEAVES.iter().map(|leaf| (*leaf, &[][..])).collect();
    let found = offences(&graph(&modules), "worker::", &[&leaves[..], WORKER_MAY_NAME].concat(), LEAVES);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let modules = modules();
    let graph = graph(&modules);
    let mut found = circles(&graph);
    for (files, reason) in MAY_CIRCLE {
        let before = found.len();
        found.retain(|circle| !circle.iter().all(|file| files.contains(&file.as_str())));
        assert!(
            found.len() < before,
            "{files:?} are no circle any more, but {found:?} are; their exception was: {reason}"
        );
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

/// A worker's dependencies and its work are separate types.
#[test]
fn no_type_is_both_the_context_of_the_worker_and_its_behaviour() {
    let modules = modules();
    let found: Vec<&String> =
        modules.iter().filter(|(_, source)| source.names.contains("impl Courier")).map(|(file, _)| file).collect();
    assert!(found.is_empty(), "`impl Courier` in {found:?}");
}

#[test]
fn no_error_of_serialization_and_no_poisoned_mutex_is_passed_over() {
    let mut found = Vec::new();
    for (file, source) in modules() {
        let code: String = source.code.split_whitespace().collect();
        for write in ["serde_json::to_string(", "serde_json::to_vec(", "serde_json::to_writer("] {
            for (at, _) in code.match_indices(write) {
                let statement = code[at..].split(';').next().unwrap_or_default();
                let passes_over =
                    [".unwrap_or_default()", ".unwrap_or(", ".ok()"].iter().any(|end| statement.contains(end));
                found.extend(passes_over.then(|| format!("{file}: {statement}; use `batch::json_of`")));
            }
        }
        for end in [
            ".lock().ok()",
            ".lock().map(",
            ".lock().is_ok",
            ".lock()else",
            ".lock().unwrap_or",
            ".lock()&&",
            ".lock(){",
        ] {
            let is_found = code.match_indices(end).count() > 0 && file != "guard";
            found.extend(is_found.then(|| format!("{file}: {end}; use `guard::lock`")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
