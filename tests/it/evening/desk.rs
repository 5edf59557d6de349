//! Runs the commands of a page as a person does who has just opened a shell.

use std::path::Path;
use std::process::Command;

use crate::support::excerpt::as_in_the_field;
use crate::support::process::run_reading;
use crate::support::stage::Stage;

/// Commands that ask before they change something; without a terminal they need an option.
const ASKING: [&str; 4] = ["testmo-courier replay ", "shelf edit ", "shelf discard ", "--adopt "];

/// How many seconds a command may take, such as one that watches a replay until it ends.
const LONGEST: &str = "120";

/// A shell in the folder of a stage.
pub(super) struct Desk<'a> {
    pub(super) stage: &'a Stage,
    /// What a person types if a command asks for an API key.
    pub(super) key: String,
    /// What a person does in the editor: the command that is run with the file.
    pub(super) editor: String,
}

impl Desk<'_> {
    /// Runs a command and returns its exit code and its lines.
    pub(super) fn run(&self, line: &str) -> (Option<i32>, Vec<String>) {
        let program = Path::new(env!("CARGO_BIN_EXE_testmo-courier")).parent().expect("a folder");
        let (command, redirection) = line.split_once(" > ").unwrap_or((line, ""));
        let mut command = command.replace(" --new-api-key", " --api-key-stdin");
        let is_only_shown = command.ends_with(" --plan") || command.ends_with(" --help");
        if ASKING.iter().any(|asking| command.contains(asking)) && !is_only_shown {
            command.push_str(" --yes");
        }
        if !redirection.is_empty() {
            command.push_str(&format!(" > {redirection}"));
        }
        let mut shell = Command::new("timeout");
        shell.args([LONGEST, "/bin/sh", "-c", &command]).env_clear().envs(&self.stage.environment);
        shell.env("PATH", format!("{}:/usr/bin:/bin", program.display())).current_dir(self.stage.path(""));
        shell.env("EDITOR", &self.editor).env("TMPDIR", self.stage.path("")).env("LOGNAME", "anna").env("USER", "anna");
        let (code, said) = run_reading(shell, &self.key);
        let origin = self.stage.testmo.origin("");
        (code, as_in_the_field(&said, origin.trim_end_matches('/')))
    }
}
