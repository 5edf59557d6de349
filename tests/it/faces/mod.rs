//! Checks that the command line, the API and the console offer every use case: a new one without a face fails here.
//!
//! A use case is a public function of `app` that works with a store, Testmo or the broker, which is asynchronous, or that a
//! person does, which takes an `Actor`. They are found in the source, so that the table cannot fall behind.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use testmo_courier::http::api::route_summaries;
use testmo_courier::http::console::page_summaries;

use self::table::{COMMANDS_WITHOUT, Offered, PAGES_WITHOUT, ROUTES_WITHOUT, TABLE};
use crate::layering::imports::{Graph, graph};
use crate::layering::source::{Source, is_word, modules};

/// Parts of `app` whose functions only show or prepare values.
const NO_USE_CASES: [&str; 2] = ["app::view", "app::fixture"];

fn is_in(module: &str, folder: &str) -> bool {
    module.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Returns the use cases in the code of a module, each by the name of its function.
fn use_cases(code: &str) -> Vec<String> {
    let name = |rest: &str| rest.split(|c| !is_word(c)).next().unwrap_or_default().to_owned();
    let mut found: Vec<String> = code.split("pub async fn ").skip(1).map(name).collect();
    for rest in code.split("pub fn ").skip(1) {
        let signature = rest.split(['{', ';']).next().unwrap_or_default();
        found.extend(signature.contains("&Actor").then(|| name(rest)));
    }
    found
}

/// Returns every use case as MODULE::FUNCTION, without `app::`.
fn all(modules: &BTreeMap<String, Source>) -> BTreeSet<String> {
    let of_app = modules
        .iter()
        .filter(|(module, _)| is_in(module, "app") && !NO_USE_CASES.iter().any(|folder| is_in(module, folder)));
    let named = of_app.flat_map(|(module, source)| {
        let short = module.strip_prefix("app::").unwrap_or_default();
        use_cases(&source.names).into_iter().map(move |function| format!("{short}::{function}"))
    });
    named.collect()
}

/// Returns whether a file of a face calls a function of a module of `app`. It names that module; of a method it may name a
/// module that names it, as a value of one module is often returned by another.
fn calls(face: &str, use_case: &str, modules: &BTreeMap<String, Source>, graph: &Graph) -> bool {
    let (module, function) = use_case.rsplit_once("::").expect("a module");
    let module = format!("app::{module}");
    let parts_named = |file: &String| graph[file].iter().filter(|named| *named != "app" && is_in(named, "app"));
    let names = |file: &String| parts_named(file).any(|named| is_in(&module, named));
    let names_in_between = |file: &String| parts_named(file).any(names);
    modules.iter().filter(|(file, _)| is_in(file, face)).any(|(file, source)| {
        let code = &source.names;
        code.match_indices(function).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + function.len()..]);
            let is_call = !before.ends_with(is_word)
                && !before.ends_with("fn ")
                && (after.starts_with('(') || after.starts_with("::<"));
            is_call && (names(file) || before.ends_with('.') && names_in_between(file))
        })
    })
}

/// Returns every command; a test of the program compares the file with the command line.
fn commands() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/names.txt");
    let names = fs::read_to_string(file).expect("the public names");
    names.lines().filter_map(|line| line.strip_prefix("command ")).map(str::to_owned).collect()
}

/// Returns the names under which a column of the table offers use cases.
fn offered(column: impl Fn(&(&str, Offered, Offered, Offered)) -> Offered) -> BTreeSet<&'static str> {
    let names = |row| match column(row) {
        Offered::As(names) => names,
        Offered::Not(_) => &[],
    };
    TABLE.iter().flat_map(names).copied().collect()
}

#[test]
fn the_table_has_every_use_case_once_and_nothing_else() {
    let found = all(&modules());
    assert!(found.len() > 60, "only {} use cases", found.len());
    let rows: Vec<String> = TABLE.iter().map(|(use_case, ..)| (*use_case).to_owned()).collect();
    let table: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(table.len(), rows.len(), "a use case stands in the table twice");
    let missing: Vec<_> = found.difference(&table).collect();
    assert!(missing.is_empty(), "offer these use cases, and add them to tests/it/faces/table.rs: {missing:#?}");
    let outdated: Vec<_> = table.difference(&found).collect();
    assert!(outdated.is_empty(), "these are no use cases any more: {outdated:#?}");
}

#[test]
fn each_face_offers_each_use_case_under_names_that_exist_or_has_a_reason_not_to() {
    let (modules, commands) = (modules(), commands());
    let graph = graph(&modules);
    let routes: BTreeSet<&str> = route_summaries().iter().map(|route| route.id).collect();
    let pages: BTreeSet<&str> = page_summaries().iter().map(|page| page.id).collect();
    let mut wrong = Vec::new();
    for (use_case, command, route, page) in TABLE {
        for (face, offered) in [("cli", command), ("http::api", route), ("http::console", page)] {
            match offered {
                Offered::As(names) => {
                    let exists = |name: &str| match face {
                        "cli" => commands.contains(name),
                        "http::api" => routes.contains(name),
                        _ => pages.contains(name),
                    };
                    let unknown = names.iter().filter(|name| !exists(name));
                    wrong.extend(unknown.map(|name| format!("{use_case}: {face} has no {name}")));
                    if !calls(face, use_case, &modules, &graph) {
                        wrong.push(format!("{use_case}: {face} does not call it"));
                    }
                }
                Offered::Not(why) => {
                    assert!(why.len() > 20, "{use_case}: say why {face} does not offer it");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_command_route_and_page_belongs_to_a_use_case_or_has_a_reason_not_to() {
    let commands = commands();
    let has_commands_below = |name: &String| commands.iter().any(|other| other.starts_with(&format!("{name} ")));
    let leaves: BTreeSet<&str> = commands.iter().filter(|name| !has_commands_below(name)).map(String::as_str).collect();
    let routes: BTreeSet<&str> = route_summaries().iter().map(|route| route.id).collect();
    let pages: BTreeSet<&str> = page_summaries().iter().map(|page| page.id).collect();
    for (all, offered, without) in [
        (leaves, offered(|(_, command, ..)| *command), COMMANDS_WITHOUT),
        (routes, offered(|(_, _, route, _)| *route), ROUTES_WITHOUT),
        (pages, offered(|(.., page)| *page), PAGES_WITHOUT),
    ] {
        let without: BTreeSet<&str> = without.iter().map(|(name, _)| *name).collect();
        let known: BTreeSet<&str> = offered.union(&without).copied().collect();
        let unknown: Vec<_> = all.difference(&known).collect();
        assert!(unknown.is_empty(), "no use case names {unknown:?}");
        let gone: Vec<_> = without.difference(&all).collect();
        assert!(gone.is_empty(), "{gone:?} do not exist any more");
        let both: Vec<_> = offered.intersection(&without).collect();
        assert!(both.is_empty(), "{both:?} have a use case and a reason not to");
    }
}

#[test]
fn use_cases_are_recognized_in_code() {
    let code = "pub async fn find(store: &Store) -> X {\n    inner()\n}\npub fn note(\n    actor: &Actor,\n) -> Y {}\n\
                pub fn shown(row: &Row) -> String { actor(&Actor) }\nasync fn own() {}\npub(super) async fn part() {}";
    assert_eq!(use_cases(code), ["find", "note"]);
    let modules = [
        ("app", "pub mod find;"),
        ("app::find", "pub async fn find() {}"),
        ("cli::find", "use testmo_courier::app::find;\nfn execute() { find::find(x) }"),
        ("http::api::find", "use crate::app::find::find;\nfn find() { refind(x) }"),
        ("app::plan", "pub async fn carry_out() {}"),
        ("app::discard", "use super::plan::Plan;"),
        ("cli::discard", "use testmo_courier::app::discard;\nfn execute() { discard::plan().carry_out(x) }"),
    ];
    let modules: BTreeMap<String, Source> = modules.map(|(name, code)| (name.to_owned(), Source::of(code))).into();
    let graph = graph(&modules);
    assert!(calls("cli", "find::find", &modules, &graph));
    assert!(!calls("http::api", "find::find", &modules, &graph));
    assert!(calls("cli", "plan::carry_out", &modules, &graph));
    assert!(!calls("cli", "find::carry_out", &modules, &graph));
}
