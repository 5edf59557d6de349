//! Checks that dashboards, rules and runbooks name only metrics, labels and panels that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::batch::verdict::reason::Class;

const DASHBOARDS: [&str; 2] = ["deploy/grafana/dashboards/courier.json", "deploy/grafana/dashboards/tenant.json"];
pub(crate) const RULES: [&str; 2] = ["deploy/prometheus/alerts.yml", "deploy/prometheus/objectives.yml"];

/// The headings of each runbook.
const HEADINGS: [&str; 4] = ["## Impact", "## Diagnose", "## Fix", "## Clears when"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn files_in(folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(path(folder)).expect("a folder").flatten();
    let name = |entry: &fs::DirEntry| format!("{folder}/{}", entry.file_name().display());
    entries.map(|entry| (name(&entry), text(&name(&entry)))).collect()
}

/// Returns the dashboards, the rules, their tests and the runbooks.
fn watching() -> BTreeMap<String, String> {
    let mut files = files_in("deploy/prometheus/tests");
    files.extend(files_in("docs/runbooks"));
    files.extend(DASHBOARDS.into_iter().chain(RULES).map(|name| (name.to_owned(), text(name))));
    files
}

pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Returns the cells of the rows of `docs/metrics.md` that have this many cells.
fn rows(cells: usize) -> Vec<Vec<String>> {
    let page = text("docs/metrics.md");
    let row = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect();
    page.lines().filter(|line| line.starts_with("| `")).map(row).filter(|row: &Vec<_>| row.len() == cells).collect()
}

fn series() -> BTreeSet<String> {
    let of_row = |row: &Vec<String>| {
        let endings: &[&str] = if row[1] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        endings.iter().map(|ending| format!("{}{ending}", row[0])).collect::<Vec<_>>()
    };
    rows(4).iter().flat_map(of_row).collect()
}

fn dashboard(file: &str) -> Value {
    serde_json::from_str(&text(file)).expect("JSON")
}

fn panels(file: &str) -> Vec<Value> {
    dashboard(file)["panels"].as_array().expect("panels").clone()
}

fn all_panels() -> Vec<Value> {
    DASHBOARDS.into_iter().flat_map(panels).collect()
}

pub(crate) fn rules() -> String {
    RULES.map(text).concat()
}

fn query(target: Value) -> String {
    target["expr"].as_str().expect("a query").to_owned()
}

pub(crate) fn alerts() -> BTreeSet<String> {
    rules().lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(Into::into).collect()
}

#[test]
fn every_series_that_is_asked_for_is_documented() {
    let known = series();
    assert!(
        known.contains("testmo_courier_create_request_duration_seconds_bucket") && known.contains("process_open_fds")
    );
    for (file, text) in watching() {
        for word in words(&text).filter(|word| word.starts_with("testmo_courier_") || word.starts_with("process_")) {
            assert!(known.contains(word), "{file}: docs/metrics.md has no {word}");
        }
    }
}

#[test]
fn every_series_of_the_worker_has_a_place_on_the_dashboard() {
    let targets = |panel: Value| panel["targets"].as_array().cloned().unwrap_or_default();
    let asked: Vec<String> = all_panels().into_iter().flat_map(targets).map(query).collect();
    let asked: BTreeSet<&str> = asked.iter().flat_map(|query| words(query)).collect();
    let endings = ["", "_bucket", "_sum", "_count"];
    for row in rows(4).iter().filter(|row| row[0].starts_with("testmo_courier_")) {
        let shown = endings.iter().any(|ending| asked.contains(format!("{}{ending}", row[0]).as_str()));
        assert!(shown, "no panel shows {}", row[0]);
    }
}

#[test]
fn every_value_of_a_label_that_is_asked_for_is_documented() {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows(3) {
        known.entry(row[0].clone()).or_default().extend(row[2].split(", ").map(Into::into));
    }
    let mut seen = 0;
    for (file, text) in watching() {
        let text = text.replace("\\\"", "\"");
        for (label, values) in &known {
            for operator in ["=\"", "=~\"", "!=\"", "!~\""] {
                let asked = format!("{label}{operator}");
                // `alertstate` also ends with `state`, and is not a label of the worker.
                let alone = |at: &usize| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
                for at in text.match_indices(&asked).map(|(at, _)| at).filter(alone) {
                    let values_here = text[at + asked.len()..].split('"').next().unwrap_or_default().split('|');
                    // Grafana fills in its variables.
                    for value in values_here.filter(|value| !value.starts_with('$')) {
                        seen += 1;
                        assert!(values.contains(value), "{file}: docs/metrics.md has no {label}=\"{value}\"");
                    }
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} values were found");
}

/// Returns the paths of all panels of a dashboard, below the address of Grafana.
fn links(file: &str) -> Vec<String> {
    let uid = dashboard(file)["uid"].as_str().expect("a name").to_owned();
    panels(file).iter().map(|panel| format!("/d/{uid}?viewPanel={}", panel["id"])).collect()
}

#[test]
fn every_series_that_is_recorded_is_asked_for_and_none_but_those() {
    let rules = rules();
    let recorded: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::trim).collect();
    assert_eq!(recorded.len(), 22);
    let all = [rules.clone(), DASHBOARDS.map(text).concat()].concat();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let asked: Vec<&str> = all.split(|c: char| !is_part(c)).filter(|word| word.starts_with("courier:")).collect();
    for name in &recorded {
        assert!(asked.iter().filter(|word| *word == name).count() > 1, "nothing asks for {name}");
    }
    assert!(asked.iter().all(|word| recorded.contains(word)), "{asked:?}");
}

#[test]
fn every_alert_has_its_words_its_link_its_runbook_and_its_test() {
    let (alerts, rules) = (alerts(), rules());
    assert_eq!(alerts.len(), 25);
    let links: BTreeSet<String> = DASHBOARDS.into_iter().flat_map(links).collect();
    for (alert, rule) in rules.split("- alert: ").skip(1).map(|rule| (rule.lines().next().unwrap_or_default(), rule)) {
        for key in ["expr: ", "severity: ", "summary: ", "description: ", &format!("runbook: docs/runbooks/{alert}.md")]
        {
            assert!(rule.contains(key), "{alert} has no {key}");
        }
        let link = rule.lines().find_map(|line| line.trim().strip_prefix("dashboard: ")).unwrap_or_default();
        assert!(links.contains(link), "{alert} has no link to a panel: {link:?}");
        let tested = text(&format!("deploy/prometheus/tests/{alert}.yml"));
        assert!(tested.contains("value: 1") && tested.contains("exp_samples: []"), "{alert} is tested one way only");
    }
    let pages = files_in("docs/runbooks");
    let expected: BTreeSet<String> = alerts.iter().map(|alert| format!("docs/runbooks/{alert}.md")).collect();
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (page, text) in pages {
        assert!(HEADINGS.iter().all(|heading| text.contains(heading)), "{page} lacks one of {HEADINGS:?}");
    }
}

#[test]
fn every_panel_and_runbook_that_is_spoken_of_exists() {
    let mut titles: BTreeSet<String> =
        all_panels().iter().filter_map(|panel| panel["title"].as_str()).map(Into::into).collect();
    titles.extend(DASHBOARDS.map(|file| dashboard(file)["title"].as_str().expect("a title").to_owned()));
    let (mut all, mut seen) = (watching(), 0);
    all.retain(|file, _| !RULES.contains(&file.as_str()));
    for (file, text) in all {
        for word in words(&text).filter(|word| word.len() > 7 && word.starts_with("Courier")) {
            assert!(alerts().contains(word), "{file}: there is no {word}");
        }
        // Titles stand between single asterisks; multiplications in queries have blanks around the asterisk.
        for title in text.split('*').skip(1).step_by(2).filter(|title| title.starts_with(char::is_uppercase)) {
            seen += 1;
            assert!(titles.contains(&title.replace('\n', " ")), "{file}: there is no panel {title}");
        }
    }
    assert!(seen > 5, "only {seen} titles were found");
}

#[test]
fn promises_come_first_on_the_dashboard() {
    let panels = panels(DASHBOARDS[0]);
    let rows: Vec<&str> =
        panels.iter().filter(|panel| panel["type"] == "row").filter_map(|row| row["title"].as_str()).collect();
    let order = ["The promises", "What waits, and why", "Errors by cause", "Testmo", "Dependencies and the worker"];
    assert_eq!(rows, order);
    let query = panels[1]["targets"][0]["expr"].as_str().unwrap_or_default();
    assert!(query.contains("testmo_courier_batch_delivery_duration_seconds"), "the first panel asks {query}");
}

/// Returns the values after `key` on the lines of a YAML file.
fn values(file: &str, key: &str) -> Vec<String> {
    text(file)
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key))
        .map(Into::into)
        .collect()
}

#[test]
fn prometheus_and_grafana_are_provisioned_with_what_is_here() {
    const COMPOSE: &str = "deploy/compose.yaml";
    let volumes = values(COMPOSE, "volumes: [").join(" ");
    for mount in volumes.split('"').filter(|part| part.starts_with('.')) {
        let source = mount.split(':').next().unwrap_or_default();
        assert!(path("deploy").join(source).exists(), "{COMPOSE} mounts {source}");
    }
    let mounted = |folder: &str, at: &str| assert!(volumes.contains(&format!("./{folder}:{at}:ro")), "{folder}: {at}");
    mounted("prometheus", "/etc/prometheus");
    mounted("grafana/provisioning", "/etc/grafana/provisioning");
    let dashboards = values("deploy/grafana/provisioning/dashboards/courier.yaml", "path: ");
    mounted("grafana/dashboards", &dashboards[0]);
    let home = values(COMPOSE, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: ");
    assert_eq!(home, [format!("{}/{}", dashboards[0], DASHBOARDS[0].rsplit('/').next().unwrap_or_default())]);
    assert_eq!(values("deploy/prometheus/prometheus.yml", "rule_files: "), ["[alerts.yml, objectives.yml]"]);
    // The names of services are also the names of hosts.
    let source = values("deploy/grafana/provisioning/datasources/prometheus.yaml", "url: ");
    assert_eq!(source, ["http://prometheus:9090"]);
    let targets = values("deploy/prometheus/prometheus.yml", "targets: ").join(" ");
    for host in ["prometheus", "courier", "rabbitmq"] {
        assert!(text(COMPOSE).contains(&format!("\n  {host}:\n")), "{COMPOSE} has no {host}");
        assert!(host == "prometheus" || targets.contains(&format!("\"{host}:")), "{host} is not scraped");
    }
}

#[test]
fn every_panel_says_what_to_do_and_covers_no_other() {
    DASHBOARDS.into_iter().for_each(check_panels);
}

fn check_panels(file: &str) {
    let panels = panels(file);
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut covered = BTreeMap::new();
    for panel in &panels {
        let title = panel["title"].as_str().unwrap_or_default();
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a position");
        for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(cell.0 < 24, "{title} is wider than the dashboard");
            assert_eq!(covered.insert(cell, title), None, "under {title}");
        }
        if panel["type"] == "row" {
            continue;
        }
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title} has no description");
        for target in panel["targets"].as_array().expect("queries") {
            let query = target["expr"].as_str().expect("a query");
            let ours = query.contains("testmo_courier_") || query.contains("process_");
            assert!(!ours || query.contains(r#"{job=~"$job", instance=~"$instance""#), "{title} ignores the choice");
        }
    }
}

#[test]
fn a_runbook_says_what_to_do_for_each_reason_that_needs_a_person() {
    let page = |name: &str| text(&format!("docs/runbooks/{name}.md"));
    let dead = page("CourierDeadLetters");
    let connection = [page("CourierTenantConnectionFailing"), page("CourierShelfNeedsPerson")].concat();
    for reason in Reason::ALL {
        let (pages, name) = match reason.class() {
            _ if *reason == Reason::Suspect => continue,
            Class::Message | Class::Case | Class::Person => (&dead, "CourierDeadLetters"),
            Class::Connection => (&connection, "CourierTenantConnectionFailing"),
            Class::Account => continue,
        };
        assert!(pages.contains(&format!("`{reason}`")), "{name}.md does not name {reason}");
    }
}
