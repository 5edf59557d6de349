//! Checks that the binary starts, prints its address, and stops on a signal.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::client::{KEY, begin, end};

fn testmo_sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testmo-sim"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_serves_the_accounts_of_a_file_until_it_is_terminated() {
    let file = std::env::temp_dir().join(format!("testmo-sim-{}.json", std::process::id()));
    let spec = format!(r#"{{"acme": {{"users": [{{"name": "Push Bot", "token": "{KEY}"}}]}}}}"#);
    std::fs::write(&file, spec).unwrap();
    let mut child = testmo_sim(&["--accounts", file.to_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    std::fs::remove_file(&file).unwrap();
    let address = line.strip_prefix("listening http://").unwrap().parse().unwrap();
    let user = end(begin(address, "GET", "/acme/api/v1/user", "").await).await;
    assert_eq!(user.json()["name"], "Push Bot");
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn it_refuses_addresses_that_others_can_reach() {
    let output = testmo_sim(&["--listen", "0.0.0.0:0"]).output().await.unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("--allow-any-address"), "{words}");
}

#[tokio::test]
async fn its_help_names_every_argument() {
    let output = testmo_sim(&["--help"]).output().await.unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    for word in ["--listen", "--accounts", "--allow-any-address", "/_sim/"] {
        assert!(words.contains(word), "{words}");
    }
}

#[tokio::test]
async fn it_names_the_fault_in_an_accounts_file() {
    let output = testmo_sim(&["--accounts", "/does/not/exist.json"]).output().await.unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("cannot read /does/not/exist.json"), "{words}");
}
