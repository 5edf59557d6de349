//! Sets the program up: files, configuration and command lines.

use std::io::Write;
use std::process::Stdio;

use super::{End, Folder, KEY};

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_what_is_missing_and_leaves_alone_what_is_there() {
    let folder = Folder::empty();
    folder.courier(&["tenants", "list"]).is(2, &["there is no store", "testmo-courier init"]);
    folder.courier(&["init"]).is(0, &["testmo-courier.db (created)", "testmo-courier.key (created)", "tenants set"]);
    let key = std::fs::read(folder.path().join("testmo-courier.key")).unwrap();
    folder.courier(&["init"]).is(0, &["testmo-courier.db (exists already)"]);
    assert_eq!(std::fs::read(folder.path().join("testmo-courier.key")).unwrap(), key);
    folder.courier(&["tenants", "list"]).is(0, &["No connection is stored yet"]);
    folder.courier(&["tenants", "list", "--json"]).is(0, &["[]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_exchanged_master_key_is_noticed() {
    let folder = Folder::with_store();
    let file = folder.path().join("testmo-courier.key");
    std::fs::write(&file, "0".repeat(64)).unwrap();
    folder.courier(&["tenants", "verify", "--all"]).is(2, &["is not the one", "restore that master key file"]);
    folder.courier(&["init"]).is(2, &["is not the one"]);
    std::fs::remove_file(&file).unwrap();
    folder.courier(&["init"]).is(2, &["its master key file", "does not"]);
    folder.courier(&["run"]).is(2, &["master key file", "restore the file that `testmo-courier init` created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_in_the_configuration_are_reported_together() {
    let folder = Folder::empty();
    folder.courier(&["config", "check"]).is(0, &["ok"]);
    std::fs::write(folder.path().join("bad.toml"), "[retry]\nmax_attempts = 0\n[amqp]\nprefetchh = 1\n").unwrap();
    let told = ["`retry.max_attempts`", "unknown key `amqp.prefetchh`; did you mean `amqp.prefetch`?"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    std::fs::write(folder.path().join("bad.toml"), "nope = 1\n[store]\nretention = \"soon\"\n").unwrap();
    let told = ["unknown key `nope`; `config show` lists all keys", "a duration from 1s to 3650days"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    folder.courier(&["config", "check", "--config", "none.toml"]).is(2, &["none.toml: cannot be read"]);
    folder.courier(&["config", "show"]).is(0, &["url = \"amqp://u:***@127.0.0.1:1/%2f\"", "[retry]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_says_what_to_type_instead() {
    let folder = Folder::with_store();
    folder.courier(&["tenant"]).is(2, &["tenants"]);
    folder.courier(&["publish"]).is(2, &["<FILE>"]);
    folder.courier(&["tenants", "set", "ac me"]).is(2, &["a tenant id is 1 to 64"]);
    folder.courier(&["tenants", "set", "acme"]).is(2, &["--base-url, --project, --folder"]);
    folder.courier(&["tenants", "set", "acme", "--api-key", KEY]).is(2, &["--api-key-stdin", "--api-key-file"]);
    folder.courier(&["shelf", "show", "x"]).is(2, &["shelf list"]);
    folder.courier(&["shelf", "show", "1"]).is(1, &["00000001"]);
    folder.courier(&["events", "tail", "--timeout", "soon"]).is(2, &["30s, 5m"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_dependency_has_its_own_exit_code() {
    let folder = Folder::with_store();
    std::fs::write(folder.path().join("b.json"), include_str!("../../demo/batches/01-shop-vouchers-de.json")).unwrap();
    folder.courier(&["topology", "check"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["events", "tail"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["publish", "b.json"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["publish", "--wait", "b.json"]).is(3, &["127.0.0.1:1"]);
    folder.courier(&["health", "--url", "http://127.0.0.1:1/readyz"]).is(3, &["cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_reads_ends_quietly() {
    let folder = Folder::empty();
    let mut command = folder.command(&["publish", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command waits for its input until nobody can read its output any more.
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"{").unwrap();
    let end = End::from(child.wait_with_output().unwrap());
    assert_eq!((end.code, end.err.as_str()), (Some(0), ""));
}
