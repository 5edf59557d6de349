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
async fn a_lost_store_is_not_replaced_by_an_empty_one_unless_that_is_wanted() {
    let folder = Folder::with_store();
    for name in ["testmo-courier.db", "testmo-courier.db-wal", "testmo-courier.db-shm"] {
        // The last two are there only while the store is used.
        drop(std::fs::remove_file(folder.path().join(name)));
    }
    folder.courier(&["init"]).is(2, &["is there already, but there is no store at testmo-courier.db", "--new-store"]);
    assert!(!folder.path().join("testmo-courier.db").exists());
    let told = ["testmo-courier.db (created)", "testmo-courier.key (exists already)"];
    folder.courier(&["init", "--new-store"]).is(0, &told);
    folder.courier(&["init", "--new-store"]).is(0, &["testmo-courier.db (exists already)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_inits_at_once_one_makes_everything_and_the_others_say_so() {
    let folder = Folder::empty();
    let ends: Vec<End> = tokio::task::block_in_place(|| {
        let start = |_| {
            let mut command = folder.command(&["init"]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the command starts")
        };
        let running: Vec<_> = (0..6).map(start).collect();
        running.into_iter().map(|child| child.wait_with_output().expect("its end").into()).collect()
    });
    let made = |end: &&End| {
        end.out.contains("testmo-courier.db (created)") && end.out.contains("testmo-courier.key (created)")
    };
    let was_there = |end: &&End| end.out.matches("(exists already)").count() == 2;
    assert!(ends.iter().all(|end| end.code == Some(0)), "{ends:?}");
    assert_eq!((ends.iter().filter(made).count(), ends.iter().filter(was_there).count()), (1, 5), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_and_unknown_parameters_of_a_file_are_refused() {
    let folder = Folder::empty();
    let check = |url: &str, told: &str, code: i32| {
        std::fs::write(folder.path().join("c.toml"), format!("[store]\nurl = \"{url}\"\n")).expect("a file");
        folder.courier(&["--config", "c.toml", "config", "check"]).is(code, &[told]);
    };
    check("sqlite:x.db?cache=shared&mode=rwc&journal_mode=off", "no parameter `cache`, `journal_mode`", 2);
    check("sqlite::memory:", "would not outlive the process", 2);
    check("sqlite:x.db?mode=rwc", "neither a store nor a master key", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mistakes_in_the_configuration_are_reported_together() {
    let folder = Folder::empty();
    let told =
        ["every setting is valid", "no master key at testmo-courier.key", "`testmo-courier init`", "not checked"];
    folder.courier(&["config", "check"]).is(1, &told);
    std::fs::write(folder.path().join("bad.toml"), "[retry]\nmax_attempts = 0\n[amqp]\nprefetchh = 1\n").unwrap();
    let told = ["`retry.max_attempts`", "unknown key `amqp.prefetchh`; did you mean `amqp.prefetch`?"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    std::fs::write(folder.path().join("bad.toml"), "nope = 1\n[store]\nretention = \"soon\"\n").unwrap();
    let told = ["unknown key `nope`; `config show` lists all keys", "a duration from 1s to 3650days"];
    folder.courier(&["--config", "bad.toml", "config", "check"]).is(2, &told);
    folder.courier(&["config", "check", "--config", "none.toml"]).is(2, &["none.toml: cannot be read"]);
    folder.courier(&["config", "show"]).is(0, &["url = \"amqp://u:***@127.0.0.1:1/%2f\"", "[retry]"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_with_secrets_are_for_their_owner_and_a_remedy_closes_one_that_is_open() {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::empty();
    folder.courier(&["init"]).is(0, &["created"]);
    for name in ["testmo-courier.db", "testmo-courier.key"] {
        let mode = metadata(folder.path().join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    folder.courier(&["config", "check"]).is(0, &["ok: testmo-courier.key holds a master key"]);
    let key = folder.path().join("testmo-courier.key");
    set_permissions(&key, Permissions::from_mode(0o644)).expect("permissions");
    let end = folder.courier(&["config", "check"]);
    let remedy = end.out.split('`').find(|text| text.starts_with("chmod")).expect("a remedy").to_owned();
    let words: Vec<&str> = remedy.split(' ').collect();
    let status = std::process::Command::new(words[0]).args(&words[1..]).current_dir(folder.path()).status();
    assert!(status.expect("a command").success(), "{remedy}");
    folder.courier(&["config", "check"]).is(0, &["ok: testmo-courier.key holds a master key"]);
    std::fs::write(&key, "no key").expect("a file");
    folder.courier(&["config", "check"]).is(2, &["does not hold a master key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_worker_from_starting_is_an_error_of_the_check_that_names_the_remedy() {
    let folder = Folder::empty();
    std::fs::write(folder.path().join("c.toml"), "[store]\nurl = \"sqlite:none/x.db\"\n").expect("a file");
    let check = |end: i32, words: &[&str]| folder.courier(&["--config", "c.toml", "config", "check"]).is(end, words);
    check(1, &["the folder none does not exist", "create the folder"]);
    std::fs::create_dir(folder.path().join("none")).expect("a folder");
    check(1, &["neither a store nor a master key", "run `testmo-courier init`"]);
    folder.courier(&["--config", "c.toml", "init"]).is(0, &["created"]);
    check(0, &["ok: this user can read and write the store's file none/x.db", "holds a master key"]);
    let (key, kept) = (folder.path().join("testmo-courier.key"), folder.path().join("kept"));
    std::fs::rename(&key, &kept).expect("a file");
    check(1, &["no master key at testmo-courier.key", "restore the file"]);
    std::fs::rename(&kept, &key).expect("a file");
    std::fs::remove_file(folder.path().join("none/x.db")).expect("a file");
    check(1, &["there is no store at none/x.db", "init --new-store"]);
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
async fn a_worker_looks_at_its_master_key_before_it_listens() {
    let folder = Folder::with_store();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let run = || {
        let mut command = folder.command(&["run"]);
        command.env("COURIER_OBSERVE__LISTEN", &address).stdin(Stdio::null());
        End::from(tokio::task::block_in_place(|| command.output()).expect("its end"))
    };
    run().is(2, &["cannot listen", &address, "free the address"]);
    std::fs::remove_file(folder.path().join("testmo-courier.key")).expect("a key");
    let end = run();
    end.is(2, &["the master key file"]);
    assert!(!end.err.contains("free the address"), "{end:?}");
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
