//! Writes the commented defaults with the values of a configuration in force.

use std::path::Path;
use std::time::Duration;

use humantime_serde::re::humantime::format_duration;
use serde_json::json;
use testmo_courier::config::{Amqp, Config, LogFormat, Testmo, Written, keys};

const HEADING: &str = "\
# The settings in force: every key with its value and meaning; passwords are not shown.
";

/// Writes the commented defaults with the values of `config`; a value that is not the default is marked.
pub(super) fn annotated(template: &str, config: &Config, defaults: &Config) -> String {
    let mut text = HEADING.to_owned();
    let mut section = "";
    // The template's own heading, up to the first blank line, is about defaults.
    let lines = template.lines().skip_while(|line| !line.is_empty());
    for line in lines {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        match line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            None => text.push_str(line),
            Some((key, _)) => text.push_str(&setting(section, key, config, defaults)),
        }
        text.push('\n');
    }
    text
}

/// Returns the keys in whose values two configurations differ, secrets included, without the values.
pub(super) fn differences(one: &Config, other: &Config) -> Vec<String> {
    let differs = |key: &String| value(one, key) != value(other, key);
    let mut keys: Vec<String> = keys().into_iter().filter(differs).collect();
    // A secret is not among the values that are shown. What else of an address differs is.
    let secrets = [
        (["amqp.url", "amqp.user", "amqp.password"], one.amqp.url != other.amqp.url),
        (["store.url", "store.url_file", "store.password"], one.store.url != other.store.url),
        (
            ["testmo.proxy", "testmo.proxy_file", "testmo.proxy"],
            one.testmo.proxy.as_str() != other.testmo.proxy.as_str(),
        ),
    ];
    for ([address, beside, secret], is_other) in secrets {
        if is_other && !keys.iter().any(|key| key == address || key == beside || key.starts_with(secret)) {
            keys.push(secret.to_owned());
        }
    }
    keys
}

fn setting(section: &str, key: &str, config: &Config, defaults: &Config) -> String {
    let name = format!("{section}.{key}");
    match (value(config, &name), value(defaults, &name)) {
        (Some(now), Some(default)) if now != default => format!("# The default is {default}.\n{key} = {now}"),
        (Some(now), _) => format!("{key} = {now}"),
        (None, _) => format!("# {key} is set, but not shown."),
    }
}

/// Returns a value in TOML, by its dotted key.
fn value(config: &Config, name: &str) -> Option<String> {
    let (section, key) = name.split_once('.')?;
    let Config {
        store,
        keys,
        tenants,
        testmo,
        requests,
        content,
        retry,
        shelf,
        events,
        worker,
        observe,
        admin,
        log,
        traces,
        ..
    } = config;
    let value = match (section, key) {
        ("amqp", key) => return amqp(&config.amqp, key),
        ("testmo", key) => return of_testmo(testmo, key),
        ("store", key @ ("url" | "url_file" | "password" | "password_file")) => return address(&store.written, key),
        ("store", "max_connections") => number(store.max_connections),
        ("store", "retention") => time(store.retention),
        ("store", "audit_retention") => time(store.audit_retention),
        ("store", "max_file_bytes") => store.max_file_bytes.to_string(),
        ("keys", "master_key_file") => text(&keys.master_key_file.display().to_string()),
        ("tenants", "source") => text(if tenants.directory.is_some() { "directory" } else { "store" }),
        ("tenants", "directory") => file(tenants.directory.as_deref()),
        ("tenants", "poll_interval") => time(tenants.poll_interval),
        ("tenants", "removal_delay") => time(tenants.removal_delay),
        ("requests", "max_cases") => number(requests.max_cases),
        ("requests", "max_bytes") => number(requests.max_bytes),
        ("requests", "pack_batches") => requests.pack_batches.to_string(),
        ("requests", "account_concurrency_per_worker") => number(requests.account_concurrency_per_worker),
        ("requests", "account_concurrency") => number(requests.account_concurrency),
        ("requests", "worker_concurrency") => number(requests.worker_concurrency),
        ("content", "remember") => time(content.remember),
        ("retry", "max_attempts") => number(retry.max_attempts),
        ("retry", "backoff_min") => time(retry.backoff_min),
        ("retry", "backoff_max") => time(retry.backoff_max),
        ("retry", "shelf_backoff_min") => time(retry.shelf_backoff_min),
        ("retry", "shelf_backoff_max") => time(retry.shelf_backoff_max),
        ("retry", "give_up_after") => time(retry.give_up_after),
        ("retry", "give_up_min_retries") => number(retry.give_up_min_retries),
        ("shelf", "poll_interval") => time(shelf.poll_interval),
        ("shelf", "lease_duration") => time(shelf.lease_duration),
        ("shelf", "unknown_tenant_for") => time(shelf.unknown_tenant_for),
        ("events", "unroutable_alert_after") => time(events.unroutable_alert_after),
        ("worker", "name") => text(&worker.name),
        ("worker", "drain_timeout") => time(worker.drain_timeout),
        ("worker", "max_queued_bytes") => number(worker.max_queued_bytes),
        ("worker", "max_queue_time") => time(worker.max_queue_time),
        ("observe", "listen") => text(&observe.listen.to_string()),
        ("traces", "endpoint") => text(traces.endpoint.as_deref().unwrap_or_default()),
        ("traces", "sample_ratio") => traces.sample_ratio.to_string(),
        ("admin", "listen") => text(&admin.listen.map(|address| address.to_string()).unwrap_or_default()),
        ("admin", "public_url") => text(&admin.public_url),
        ("admin", "hosts") => json!(admin.hosts).to_string(),
        ("admin", "frame_ancestors") => json!(admin.frame_ancestors).to_string(),
        ("admin", "proxies") => json!(admin.proxies).to_string(),
        ("admin", "proxy_secret_file") => file(admin.proxy_secret_file.as_deref()),
        ("admin", "proxy_user_header") => text(&admin.proxy_user_header),
        ("admin", "proxy_role") => text(&admin.proxy_role),
        ("admin", "proxy_role_header") => text(admin.proxy_role_header.as_deref().unwrap_or_default()),
        ("log", "format") => text(word(log.format)),
        ("log", "level") => text(&log.level),
        _ => return None,
    };
    Some(value)
}

fn amqp(amqp: &Amqp, key: &str) -> Option<String> {
    let value = match key {
        "url" | "url_file" | "user" | "password" | "password_file" => return address(&amqp.written, key),
        "ca_file" => file(amqp.ca_file.as_deref()),
        "client_cert_file" => file(amqp.client_cert_file.as_deref()),
        "client_key_file" => file(amqp.client_key_file.as_deref()),
        "connection_name" => text(&amqp.connection_name),
        "tenant_binding" => text(amqp.tenant_binding.name()),
        "declare_topology" => amqp.declare_topology.to_string(),
        "prefetch" => number(amqp.prefetch),
        "max_message_bytes" => number(amqp.max_message_bytes),
        "publish_channels" => number(amqp.publish_channels),
        "delivery_limit" => number(amqp.delivery_limit),
        "connect_timeout" => time(amqp.connect_timeout),
        "rpc_timeout" => time(amqp.rpc_timeout),
        "publish_timeout" => time(amqp.publish_timeout),
        "confirm_timeout" => time(amqp.confirm_timeout),
        "close_timeout" => time(amqp.close_timeout),
        "reconnect_backoff_min" => time(amqp.reconnect_backoff_min),
        "reconnect_backoff_max" => time(amqp.reconnect_backoff_max),
        "cases_exchange" => text(&amqp.cases_exchange),
        "cases_queue" => text(&amqp.cases_queue),
        "cases_binding_key" => text(&amqp.cases_binding_key),
        "dead_letter_exchange" => text(&amqp.dead_letter_exchange),
        "dead_letter_queue" => text(&amqp.dead_letter_queue),
        "unrouted_exchange" => text(&amqp.unrouted_exchange),
        "unrouted_queue" => text(&amqp.unrouted_queue),
        "events_exchange" => text(&amqp.events_exchange),
        _ => return None,
    };
    Some(value)
}

fn address(written: &Written, key: &str) -> Option<String> {
    let value = match key {
        "url" => text(&written.url),
        "url_file" => file(written.url_file.as_deref()),
        "user" => text(&written.user),
        "password" => text(if written.has_password { "***" } else { "" }),
        "password_file" => file(written.password_file.as_deref()),
        _ => return None,
    };
    Some(value)
}

fn of_testmo(testmo: &Testmo, key: &str) -> Option<String> {
    let value = match key {
        "allowed_hosts" => json!(testmo.allowed_hosts).to_string(),
        "allowed_insecure_origins" => json!(testmo.allowed_insecure_origins).to_string(),
        "proxy" => text(&testmo.proxy_file.as_ref().map_or_else(|| testmo.proxy.to_string(), |_| String::new())),
        "proxy_file" => file(testmo.proxy_file.as_deref()),
        "connect_timeout" => time(testmo.connect_timeout),
        "request_timeout" => time(testmo.request_timeout),
        "reconcile_delay_answered" => time(testmo.reconcile_delay_answered),
        "reconcile_delay_unanswered" => time(testmo.reconcile_delay_unanswered),
        "late_duplicate_check_delay" => time(testmo.late_duplicate_check_delay),
        "folder_create_window" => time(testmo.folder_create_window),
        "claim_margin" => time(testmo.claim_margin),
        "max_response_bytes" => number(testmo.max_response_bytes),
        _ => return None,
    };
    Some(value)
}

/// Writes the name of a file, or an empty text if there is none.
fn file(file: Option<&Path>) -> String {
    text(&file.map(|file| file.display().to_string()).unwrap_or_default())
}

/// Writes a TOML string; a JSON string is one.
fn text(text: &str) -> String {
    json!(text).to_string()
}

fn number(number: impl ToString) -> String {
    number.to_string()
}

fn time(time: Duration) -> String {
    const DAY: u64 = 86_400;
    let seconds = time.as_secs();
    // Otherwise a long time is written in years and months of which nobody knows how many days they have.
    if seconds > 31 * DAY && seconds.is_multiple_of(DAY) && time.subsec_nanos() == 0 {
        return text(&format!("{}days", seconds / DAY));
    }
    text(&format_duration(time).to_string())
}

fn word(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Auto => "auto",
        LogFormat::Human => "human",
        LogFormat::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::config::{DEFAULTS, Sources, load};

    use super::*;

    fn with(environment: &[(&str, &str)]) -> Config {
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        load(&Sources { files: vec![], environment }).unwrap()
    }

    #[test]
    fn every_setting_is_shown_with_its_value() {
        let defaults = with(&[]);
        let shown = annotated(DEFAULTS, &defaults, &defaults);
        assert!(!shown.contains("is in force, but"), "{shown}");
        assert!(!shown.contains("The default is"), "{shown}");
    }

    #[test]
    fn a_setting_that_is_not_the_default_is_marked_and_no_password_is_shown() {
        let config = with(&[
            ("AMQP_URL", "amqp://courier:hunter2@mq/v"),
            ("COURIER_TESTMO__ALLOWED_HOSTS", "*.testmo.net,qa.example.com"),
            ("COURIER_RETRY__GIVE_UP_AFTER", "90m"),
        ]);
        let shown = annotated(DEFAULTS, &config, &with(&[]));
        let changed: Vec<&str> = shown.lines().filter(|line| !DEFAULTS.contains(*line)).skip(1).collect();
        insta::assert_snapshot!(changed.join("\n"));
        assert!(!shown.contains("hunter2"));
    }

    #[test]
    fn secrets_from_files_and_keys_of_their_own_are_named_but_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            file.display().to_string()
        };
        let (broker, store) = (secret("broker", "hunter2\n"), secret("store", "postgres://u:hunter2@db/d\n"));
        let proxy = secret("proxy", "http://u:hunter2@proxy:3128\n");
        let config = with(&[
            ("COURIER_AMQP__USER", "courier"),
            ("COURIER_AMQP__PASSWORD_FILE", &broker),
            ("DATABASE_URL_FILE", &store),
            ("COURIER_TESTMO__PROXY_FILE", &proxy),
        ]);
        let defaults = with(&[]);
        let shown = annotated(DEFAULTS, &config, &defaults);
        assert!(!shown.contains("hunter2"), "{shown}");
        for line in [
            "url = \"amqp://127.0.0.1:5672/%2f\"".to_owned(),
            "user = \"courier\"".to_owned(),
            format!("password_file = \"{broker}\""),
            format!("url_file = \"{store}\""),
            format!("proxy_file = \"{proxy}\""),
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }
        let file = folder.path().join("shown.toml");
        std::fs::write(&file, &shown).unwrap();
        let again = load(&Sources { files: vec![file], ..Sources::default() }).unwrap();
        assert_eq!(again.amqp.url, config.amqp.url, "what names files is a whole configuration");
        assert_eq!(again.store.url, "postgres://u:hunter2@db/d");
        let config = with(&[("COURIER_AMQP__USER", "courier"), ("COURIER_AMQP__PASSWORD", "hunter2")]);
        let shown = annotated(DEFAULTS, &config, &defaults);
        assert!(!shown.contains("hunter2") && shown.contains("\npassword = \"***\""), "{shown}");
    }

    #[test]
    fn differences_name_keys_and_secrets_without_their_values() {
        let of = |one: &[(&str, &str)], other: &[(&str, &str)]| differences(&with(one), &with(other));
        assert_eq!(of(&[], &[]), [""; 0]);
        let url = |url| [("AMQP_URL", url)];
        assert_eq!(of(&url("amqp://u:a@h"), &url("amqp://u:b@h")), ["amqp.password"]);
        assert_eq!(of(&url("amqp://u:a@h"), &url("amqp://v:b@h")), ["amqp.url"]);
        let store = |url| [("DATABASE_URL", url), ("COURIER_LOG__LEVEL", "debug")];
        assert_eq!(of(&store("postgres://u:a@h/d"), &store("postgres://u:b@h/d")), ["store.password"]);
        assert_eq!(of(&[], &[("COURIER_LOG__LEVEL", "debug")]), ["log.level"]);
    }

    #[test]
    fn what_is_shown_is_read_back_as_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shown.toml");
        let defaults = with(&[]);
        std::fs::write(&file, annotated(DEFAULTS, &defaults, &defaults)).unwrap();
        let again = load(&Sources { files: vec![file], ..Sources::default() }).unwrap();
        assert_eq!(annotated(DEFAULTS, &again, &again), annotated(DEFAULTS, &defaults, &defaults));
    }
}
