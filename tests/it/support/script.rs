//! Runs a private server through a script, which runs the server for as long as this process lives.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running script that carries out lines as commands.
pub(crate) struct Script {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Script {
    /// Starts a script of `tests/env`, and returns the script and its first line.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> (Self, String) {
        let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("tests/env"));
        let folder = folders.find(|folder| folder.is_dir()).expect("a repository with tests/env");
        let path = folder.join(name).display().to_string();
        let mut child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("the script's output"));
        let mut script = Self { child, input, output };
        let ready = script.line();
        assert!(ready.starts_with("ready "), "{name} did not start: {ready}");
        (script, ready)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer of the script");
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.input.as_mut().expect("the script's input"), "{command}").expect("a script that listens");
        self.line()
    }

    /// Runs a command, and returns its output up to the closing `ok`; the output must not contain such a line.
    pub(crate) fn expect_ok(&mut self, command: &str) -> String {
        let mut lines = vec![self.ask(command)];
        loop {
            match lines.last().map(String::as_str) {
                Some("ok") => break,
                Some(line) if line.starts_with("failed") => panic!("{command}: {}", lines.join("\n")),
                Some(_) | None => {
                    let line = self.line();
                    lines.push(line);
                }
            }
        }
        lines.pop();
        lines.join("\n")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.input.take());
        // The script removes its folder and ends; its last output does not matter.
        drop(self.child.wait());
    }
}

/// Returns the value of `name=value` in a line of a script.
pub(crate) fn word<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}"))
}
