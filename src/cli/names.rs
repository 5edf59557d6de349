//! Compares all public names with `tests/names.txt`, so that none is renamed or removed unnoticed.

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::config;
use testmo_courier::contract::{KINDS, batch_schema, events_schema};
use testmo_courier::metrics::Metrics;

use super::Cli;
use super::failure::EXIT_CODES;

const FILE: &str = "tests/names.txt";

/// Names, each after the word for its kind.
type Names = BTreeSet<String>;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names() -> Names {
    let mut names = Names::new();
    let mut add = |kind: &str, name: &str| {
        names.insert(format!("{kind} {name}"));
    };
    for key in config::keys() {
        add("configuration key", &key);
        add("variable", &format!("COURIER_{}", key.replace('.', "__").to_uppercase()));
    }
    EXIT_CODES.iter().for_each(|code| add("exit code", &code.to_string()));
    Reason::ALL.iter().for_each(|reason| add("reason", reason.code()));
    KINDS.iter().for_each(|kind| add("event type", kind.kind));
    members(&events_schema(), &mut |name| add("event member", name));
    members(&batch_schema(), &mut |name| add("message member", name));
    let mut command = Cli::command();
    command.build();
    commands(&command, "", &mut add);
    metrics(&mut add);
    source::json_members(&path("src")).iter().for_each(|name| add("json member", name));
    source::log_fields(&path("src")).iter().for_each(|name| add("log field", name));
    for file in ["alerts.yml", "objectives.yml"] {
        let rules = fs::read_to_string(path("deploy/prometheus").join(file)).unwrap();
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).for_each(|name| add("alert", name));
    }
    names
}

/// Adds the names of all properties in a JSON Schema.
fn members(schema: &Value, add: &mut impl FnMut(&str)) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        properties.keys().for_each(|name| add(name));
    }
    match schema {
        Value::Object(object) => object.values().for_each(|value| members(value, add)),
        Value::Array(items) => items.iter().for_each(|value| members(value, add)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn commands(command: &Command, path: &str, add: &mut impl FnMut(&str, &str)) {
    let is_own = |argument: &&Arg| path.is_empty() || !(argument.is_global_set() || argument.get_id() == "help");
    for flag in command.get_arguments().filter(is_own).filter_map(Arg::get_long) {
        add("flag", format!("{path} --{flag}").trim_start());
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        add("command", &path);
        commands(below, &path, add);
    }
}

/// Adds every series with its labels, and every label with its values.
fn metrics(add: &mut impl FnMut(&str, &str)) {
    let text = Metrics::new().unwrap().render().unwrap();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
            add("metric", name);
        }
        // The bounds of buckets and the version of the program are no names.
        let Some((name, labels)) = line.split_once('{').filter(|_| !line.contains("le=\"")) else { continue };
        for (label, value) in labels.split("\",").filter_map(|pair| pair.split_once("=\"")) {
            let value = value.split('"').next().unwrap_or_default();
            let value = if label == "version" { "" } else { value };
            add("metric label", format!("{name} {label}={value}").trim_end_matches('='));
        }
    }
}

#[test]
fn public_names_are_added_but_never_renamed_or_removed() {
    let (names, file) = (names(), path(FILE));
    let frozen: Names = fs::read_to_string(&file).unwrap_or_default().lines().map(Into::into).collect();
    let list = |names: Vec<&String>| names.into_iter().map(|name| format!("  {name}\n")).collect::<String>();
    let removed = list(frozen.difference(&names).collect());
    assert!(removed.is_empty(), "These public names are frozen, but the code no longer has them:\n{removed}");
    if std::env::var_os("UPDATE_NAMES").is_some() {
        fs::write(&file, names.iter().map(|name| format!("{name}\n")).collect::<String>()).unwrap();
        return;
    }
    let added = list(names.difference(&frozen).collect());
    assert!(
        added.is_empty(),
        "New public names:\n{added}Describe them in CHANGELOG.md, and add them to {FILE}: \
         UPDATE_NAMES=1 cargo test --bin testmo-courier public_names"
    );
}
