//! Runs a few short plans of faults with every run of the tests; `make chaos` runs whole ones.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Makes plans take turns, because they depend on time limits.
static TURN: Mutex<()> = Mutex::new(());

/// Runs the program with these arguments; returns what it said.
fn succeeds(arguments: &[&str], is_rehearsal: bool) -> String {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let chaos = Path::new(env!("CARGO_BIN_EXE_testmo-chaos"));
    let worker = chaos.with_file_name("testmo-courier");
    let missing = "the worker is not built: test the whole workspace, or type `cargo build --workspace --bins` before";
    assert!(worker.exists(), "{missing}");
    let mut command = Command::new(chaos);
    command.arg("--short").args(arguments).arg("--program").arg(&worker);
    if is_rehearsal {
        command.arg("--previous").arg(&worker);
    }
    let output = command.output().expect("a program to run");
    drop(turn);
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{told}");
    told
}

fn passes(seed: &str, replicas: &str) {
    let told = succeeds(&["--from", seed, "--seeds", "1", "--replicas", replicas], false);
    assert!(told.contains("1 plans passed, 0 failed"), "{told}");
}

#[test]
fn one_worker_on_sqlite_loses_nothing_and_repeats_nothing() {
    passes("1", "1");
}

#[test]
fn three_workers_on_postgresql_lose_nothing_and_repeat_nothing() {
    passes("2", "3");
}

#[test]
fn three_workers_whose_broker_is_killed_lose_nothing_and_repeat_nothing() {
    passes("3", "3");
}

#[test]
fn three_workers_that_are_replaced_one_by_one_lose_nothing_and_repeat_nothing() {
    let told = succeeds(&["--times", "1"], true);
    assert!(told.contains("1 rolling upgrades and back: 0 passes"), "{told}");
}
