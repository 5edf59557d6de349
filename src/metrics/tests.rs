use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use prometheus::proto::{MetricFamily, MetricType};

use super::*;

/// A version would make the page differ with every release.
const NOT_LISTED: &str = "version";

const HEAD: &str = "\
# Metrics

Served in Prometheus' text format at `/metrics` of `observe.listen`. Every series is there from the start, so that a
rate has something to start from. Only `testmo_courier_backlog_drain_seconds` names tenants, at most ten of them besides
`(others)`, so there are hardly more series with 10,000 tenants than with one. Dashboard and alerts: `deploy/`.

This page is made from the code: `UPDATE_DOCS=1 cargo test --lib metrics` writes it again.
";

fn families() -> Vec<MetricFamily> {
    Metrics::new().unwrap().registry.gather()
}

fn kind(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY | MetricType::UNTYPED => panic!("{} is of a type that nothing here has", family.name()),
    }
}

/// Returns the labels of a family in their order, each with its values.
fn labels(family: &MetricFamily) -> BTreeMap<String, BTreeSet<String>> {
    let mut labels = BTreeMap::<String, BTreeSet<String>>::new();
    for pair in family.get_metric().iter().flat_map(|metric| metric.get_label()) {
        labels.entry(pair.name().into()).or_default().insert(pair.value().into());
    }
    labels
}

fn page() -> String {
    let mut page = format!("{HEAD}\n| series | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    let mut values = BTreeMap::<(String, BTreeSet<String>), BTreeSet<String>>::new();
    for family in families() {
        let name = family.name();
        let labels = labels(&family);
        let names: Vec<String> = labels.keys().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {} | {} | {} |", kind(&family), names.join(", "), family.help()).unwrap();
        for (label, known) in labels.into_iter().filter(|(label, _)| label != NOT_LISTED) {
            values.entry((label, known)).or_default().insert(format!("`{name}`"));
        }
    }
    page.push_str("\n## Values of labels\n\n| label | of | values |\n| --- | --- | --- |\n");
    for ((label, known), series) in values {
        let series: Vec<String> = series.into_iter().collect();
        let known: Vec<String> = known.iter().map(|value| format!("`{value}`")).collect();
        writeln!(page, "| `{label}` | {} | {} |", series.join(", "), known.join(", ")).unwrap();
    }
    page.push_str(
        "\nWhat each `reason` means and what to do about it: `src/batch/verdict/reason.rs`, `testmo-courier shelf show`.\n",
    );
    page
}

#[test]
#[cfg(target_os = "linux")]
fn the_page_about_metrics_says_what_there_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page(), "docs/metrics.md is out of date: run `UPDATE_DOCS=1 cargo test --lib metrics`");
}

#[test]
fn every_series_is_there_at_zero_from_the_start() {
    let text = Metrics::new().unwrap().render().unwrap();
    let counted = text.lines().filter(|line| line.starts_with("testmo_courier_"));
    let not_zero: Vec<&str> = counted.filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(not_zero, [concat!("testmo_courier_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")]);
    for family in families() {
        assert!(!family.get_metric().is_empty() && family.help().ends_with('.'), "{}", family.name());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_process_tells_what_it_uses() {
    let families = families();
    let value = |name: &str| {
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap_or_else(|| panic!("no {name}")).get_metric()[0].get_gauge().get_value()
    };
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "process_threads"] {
        assert!(value(name) > 0.0, "{name}");
    }
    assert!(families.iter().any(|family| family.name() == "process_cpu_seconds_total"));
}
