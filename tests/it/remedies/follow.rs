//! Reads the remedy of an entry of the shelf as a person does, and runs the commands that it names.

use std::path::Path;
use std::process::Command;

use testmo_courier::app::shelf::{Pauses, commands};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{ShelfIdentity, Shelved};

use crate::support::process::run_reading;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// What a person reads about an entry.
pub(super) struct Entry {
    /// What `shelf show` prints.
    pub(super) text: String,
    row: Shelved,
    commands: Vec<String>,
}

/// Waits until a batch is on the shelf for a reason, and in nobody's hand.
async fn shelved(stage: &Stage, batch: &str, reason: Reason) -> Shelved {
    let is_it = |row: &Shelved| {
        let its_batch = match &row.content.identity {
            ShelfIdentity::Batch(key, _) => key.to_string(),
            ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
            ShelfIdentity::Raw(..) => String::new(),
        };
        its_batch == batch && row.content.reason == reason
    };
    until(async || stage.shelf().await.iter().any(|row| is_it(row) && !row.leased)).await;
    stage.shelf().await.into_iter().find(is_it).expect("it stays there")
}

/// Waits until a batch is on the shelf for a reason, and reads what is said about it; `""` for a message without a batch.
pub(super) async fn read(stage: &Stage, batch: &str, reason: Reason) -> Entry {
    let row = shelved(stage, batch, reason).await;
    let (code, text) = shell(stage, &format!("testmo-courier shelf show {}", row.id), "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(reason.cause()) && text.contains(reason.remedy()), "{text}");
    let commands = text.lines().filter_map(|line| line.strip_prefix("command")).map(|line| line.trim().to_owned());
    Entry { commands: commands.collect(), text, row }
}

/// Waits until a batch is on the shelf for a reason for which nobody has to do anything, and then until it is delivered.
pub(super) async fn delivered_automatically(stage: &mut Stage, batch: &str, reason: Reason) {
    let row = shelved(stage, batch, reason).await;
    assert!(reason.remedy().starts_with("Nothing to do: "), "{reason}");
    assert_eq!(commands(&row, &Pauses::default()), [], "{reason}");
    stage.delivered(batch).await;
}

impl Entry {
    /// Runs the command that contains some words as it is printed, its comment included; returns its exit code and output.
    /// `replaced` are the words in capitals that a person replaces. Without a terminal, a command that asks needs an option.
    pub(super) fn run(&self, stage: &Stage, words: &str, replaced: &[(&str, &str)]) -> (Option<i32>, String) {
        self.run_typing(stage, words, replaced, "")
    }

    /// Runs a command that asks for an API key, as [`Self::run`] does.
    pub(super) fn run_typing(
        &self,
        stage: &Stage,
        words: &str,
        replaced: &[(&str, &str)],
        key: &str,
    ) -> (Option<i32>, String) {
        let line = self.commands.iter().find(|line| line.contains(words));
        let line = line.unwrap_or_else(|| panic!("no command with {words:?} in\n{}", self.text));
        let (command, comment) = line.split_once("  # ").expect("a comment");
        let mut command = command.to_owned();
        for (name, value) in replaced {
            command = command.replacen(name, value, 1);
        }
        if command.contains(" replay ") || command.contains(" discard ") {
            command.push_str(" --because 'it is followed' --yes");
        }
        if !key.is_empty() {
            command = command.replace(" --new-api-key", "") + " --api-key-stdin";
        }
        shell(stage, &format!("{command}  # {comment}"), key)
    }

    /// Runs a command that has to succeed.
    #[track_caller]
    pub(super) fn follow(&self, stage: &Stage, words: &str, replaced: &[(&str, &str)]) {
        let (code, said) = self.run(stage, words, replaced);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Removes the entry by the command that is named for this, and checks that nothing else is changed.
    pub(super) async fn discard(&self, stage: &Stage) {
        let others = stage.shelf().await.len() - 1;
        self.follow(stage, "shelf discard", &[]);
        let shelf = stage.shelf().await;
        assert!(shelf.len() == others && shelf.iter().all(|row| row.id != self.row.id), "{shelf:?}");
    }
}

/// Runs a line in a shell that finds the program, in the folder of the stage.
fn shell(stage: &Stage, line: &str, input: &str) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_testmo-courier"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env_clear().envs(&stage.environment);
    command.env("PATH", program.parent().expect("a folder")).current_dir(stage.path(""));
    run_reading(command, input)
}
