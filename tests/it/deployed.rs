//! Checks that what is deployed names only settings, files and rules that exist, and lets a worker stop in order.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testmo_courier::config;

const KUBERNETES: &str = "deploy/kubernetes";
const SETTINGS: &str = "deploy/kubernetes/base/kustomization.yaml";
const WORKERS: &str = "deploy/kubernetes/base/stateful-set.yaml";
const NEW_STORE: &str = "deploy/kubernetes/base/new-store.yaml";
const RULES: &str = "deploy/kubernetes/components/monitoring/rules.yaml";
const COMPOSE: &str = "deploy/compose.yaml";
const UNIT: &str = "deploy/systemd/testmo-courier.service";

/// How long a worker takes at most to end after `worker.drain_timeout`.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// What comes before the groups of a rule file in a resource of Prometheus' operator.
const RULE_RESOURCE: &str = "\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: testmo-courier-NAME
  namespace: testmo-courier
  labels: {app.kubernetes.io/name: testmo-courier}
spec:
";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns all files of a folder and of the folders in it.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

/// Returns the name and the text of every file that says how a worker is run.
fn deployed() -> Vec<(String, String)> {
    let mut files = files_in(&path(KUBERNETES));
    files.extend([COMPOSE, UNIT, "Dockerfile"].map(path));
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).expect("a file"))).collect()
}

/// Returns the files and folders that a kustomization names.
fn named_by(kustomization: &str) -> impl Iterator<Item = &str> {
    let entries = kustomization.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
    entries.map(|entry| entry.strip_prefix("path: ").unwrap_or(entry)).filter(|name| !name.contains([':', '=']))
}

/// Returns what follows `key` on the first line that begins with it.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no line begins with {key}"))
}

fn time(text: &str) -> Duration {
    humantime_serde::re::humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns the rule files that Prometheus reads, as resources of its operator.
fn rules() -> String {
    let settings = text("deploy/prometheus/prometheus.yml");
    let files = value(&settings, "rule_files: [").trim_end_matches(']');
    let resources: Vec<String> = files.split(", ").map(rule_resource).collect();
    let made_by = "# Made from deploy/prometheus: `UPDATE_DOCS=1 cargo test --test it deployed::` writes it again.\n";
    format!("{made_by}{}", resources.join("---\n"))
}

fn rule_resource(file: &str) -> String {
    let rules = text(&format!("deploy/prometheus/{file}"));
    let groups = rules.find("groups:\n").map(|at| &rules[at..]).expect("groups of rules");
    let indented = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    let groups: String = groups.lines().map(indented).collect();
    format!("{}{groups}", RULE_RESOURCE.replace("NAME", file.trim_end_matches(".yml")))
}

#[test]
fn every_variable_that_is_set_is_a_setting() {
    let settings: BTreeSet<String> =
        config::keys().iter().map(|key| format!("COURIER_{}", key.replace('.', "__").to_uppercase())).collect();
    let mut files = deployed();
    files.extend(["docs/kubernetes.md", "docs/operating.md"].map(|page| (page.to_owned(), text(page))));
    let mut seen = BTreeSet::new();
    for (file, text) in &files {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            // `COURIER_<SECTION>__<KEY>` stands for any setting.
            if word.starts_with("COURIER_") && word != "COURIER_" {
                seen.insert(word);
                assert!(settings.contains(word), "{file}: {word} is no setting");
            }
        }
    }
    assert!(seen.len() > 8, "only {seen:?} were found");
}

#[test]
fn every_manifest_is_named_by_a_kustomization_and_every_name_exists() {
    let mut seen = 0;
    for file in files_in(&path(KUBERNETES)) {
        let folder = file.parent().expect("a folder");
        let kustomization = fs::read_to_string(folder.join("kustomization.yaml")).expect("a kustomization");
        if file.ends_with("kustomization.yaml") {
            for name in named_by(&kustomization) {
                seen += 1;
                assert!(folder.join(name).exists(), "{} names {name}", file.display());
            }
        } else {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(named_by(&kustomization).any(|other| other == name), "nothing names {}", file.display());
        }
    }
    assert!(seen > 15, "only {seen} were found");
}

#[test]
fn a_worker_that_stops_is_not_killed_while_it_drains() {
    let (settings, workers, unit, compose) = (text(SETTINGS), text(WORKERS), text(UNIT), text(COMPOSE));
    let service = compose.split("\n  courier:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a worker");
    let grace = format!("{}s", value(&workers, "terminationGracePeriodSeconds: "));
    for (file, drain, killed_after) in [
        (WORKERS, value(&settings, "COURIER_WORKER__DRAIN_TIMEOUT="), grace.as_str()),
        (COMPOSE, value(&compose, "COURIER_WORKER__DRAIN_TIMEOUT: "), value(service, "stop_grace_period: ")),
        (UNIT, value(&unit, "Environment=COURIER_WORKER__DRAIN_TIMEOUT="), value(&unit, "TimeoutStopSec=")),
    ] {
        let (drain, killed_after) = (time(drain), time(killed_after));
        assert!(killed_after > drain + AFTER_DRAIN, "{file}: {killed_after:?} are too short for a drain of {drain:?}");
    }
}

#[test]
fn the_rules_for_the_operator_are_those_of_prometheus() {
    let expected = rules();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(path(RULES), &expected).expect("the rules can be written");
    }
    assert!(text(RULES) == expected, "{RULES} is out of date: run `UPDATE_DOCS=1 cargo test --test it deployed::`");
    assert!(expected.contains("- alert: "));
}

#[test]
fn no_secret_is_deployed_with_the_files() {
    for (file, text) in deployed() {
        assert!(!text.contains("kind: Secret\n"), "{file} has a secret");
        let may_hold_one = |line: &&str| ["amqp://", "postgres://", "PASS"].iter().any(|part| line.contains(part));
        for line in text.lines().filter(may_hold_one) {
            assert!(line.contains("${") || line.trim_start().starts_with('#'), "{file}: {line}");
        }
    }
}

#[test]
fn no_container_has_rights_that_a_worker_does_not_need() {
    for name in [WORKERS, NEW_STORE] {
        let manifest = text(name);
        for right in [
            "automountServiceAccountToken: false",
            "runAsNonRoot: true",
            "seccompProfile: {type: RuntimeDefault}",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "capabilities: {drop: [ALL]}",
            "defaultMode: 0440",
        ] {
            assert!(manifest.contains(right), "{name} lacks {right}");
        }
    }
    let dockerfile = text("Dockerfile");
    let image = dockerfile.split("FROM scratch AS courier\n").nth(1).expect("an image with nothing but the worker");
    assert!(image.contains("\nUSER 10001:10001\n") && image.contains("/livez"), "{image}");
}
