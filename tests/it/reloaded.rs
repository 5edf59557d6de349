//! Has a running worker read its configuration again.

use std::path::Path;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
}

/// Waits until the worker has logged a line with these words so often, and returns the last one.
async fn logged(process: &Process, words: &str, times: usize) -> String {
    let lines = || process.output().lines().filter(|line| line.contains(words)).map(str::to_owned).collect::<Vec<_>>();
    until(async || lines().len() >= times).await;
    lines().pop().expect("a line")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_has_a_worker_take_over_what_is_safe_and_name_what_needs_a_restart() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let (broker, vhost) = (Broker::shared(), stage.vhost.clone());
    let user = format!("{vhost}-reloading");
    broker.ctl(&["add_user", &user, "hunter-1"]);
    broker.ctl(&["set_permissions", "-p", &vhost, &user, ".*", ".*", ".*"]);
    let (password, settings) = (stage.path("password"), stage.path("settings.toml"));
    write_private(&password, "hunter-1\n");
    std::fs::write(&settings, "").expect("a file");
    let whole = broker.url(&vhost);
    for (key, value) in [
        ("COURIER_AMQP__URL", whole.replace("guest:guest@", "")),
        ("COURIER_AMQP__USER", user.clone()),
        ("COURIER_AMQP__PASSWORD_FILE", password.display().to_string()),
    ] {
        stage.environment.insert(key.into(), value);
    }
    let process = Process::start_with(&stage, &["--config", settings.to_str().expect("a path")]).await;

    let changed =
        "[log]\nlevel = \"debug\"\n[requests]\naccount_concurrency = 3\nmax_cases = 7\n[retry]\nmax_attempts = 9\n";
    std::fs::write(&settings, changed).expect("a file");
    write_private(&password, "hunter-2\n");
    broker.ctl(&["change_password", &user, "hunter-2"]);
    process.signal("HUP");
    let line = logged(&process, "configuration read again", 1).await;
    let taken_over = r#""taken_over":"log.level, requests.account_concurrency, retry.max_attempts, amqp.password""#;
    assert!(line.contains(taken_over) && line.contains(r#""needs_restart":"requests.max_cases""#), "{line}");

    std::fs::write(&settings, "[retry]\nmax_attempts = 0\n[log]\nlevel = \"error\"\n").expect("a file");
    process.signal("HUP");
    let line = logged(&process, "could not be read again", 1).await;
    assert!(line.contains("retry.max_attempts") && line.contains(r#""level":"ERROR""#), "{line}");
    assert!(!process.output().contains("hunter"));

    // Connections that are opened again use the new password.
    broker.ctl(&["close_all_connections", "-p", &vhost, "test"]);
    stage.listen_again().await;
    stage.publish_at_last(&batch("acme", "after", 1)).await;
    stage.delivered("acme/after").await;
    let line = logged(&process, "subscribed", 1).await;
    assert!(line.contains(r#""level":"DEBUG""#), "{line}");
    std::fs::write(&settings, changed).expect("a file");
    process.signal("HUP");
    let line = logged(&process, "configuration read again", 2).await;
    assert!(line.contains(r#""taken_over":"""#) && line.contains(r#""needs_restart":"requests.max_cases""#), "{line}");
    process.stop().await;
    stage.end().await;
}
