//! Controls a process by lines on its input: a broker, a database or the target, each of which ends with its input.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long such a process may take to clean up.
const CLEANS_UP: Duration = Duration::from_secs(15);

/// A process that answers each line with a line.
pub(crate) struct Script {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts the process; returns it with its line about being ready.
    pub(crate) async fn start(program: &Path, arguments: &[&str]) -> anyhow::Result<(Self, String)> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C on a terminal reaches only the harness, which then ends all processes in order.
            .process_group(0)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("the output")?).lines();
        let mut script = Self { child, orders, answers };
        let ready = script.answer().await?;
        if ready.split_whitespace().next() != Some("ready") {
            bail!("{} did not start: {ready}", program.display());
        }
        Ok((script, ready))
    }

    /// Sends a line, and returns the answer.
    pub(crate) async fn ask(&mut self, order: &str) -> anyhow::Result<String> {
        let orders = self.orders.as_mut().context("it was told to end")?;
        orders.write_all(format!("{order}\n").as_bytes()).await?;
        self.answer().await
    }

    /// Sends a line whose answer must end with the line `ok`; returns the lines before `ok`.
    pub(crate) async fn expect_ok(&mut self, order: &str) -> anyhow::Result<Vec<String>> {
        let (mut said, mut answer) = (Vec::new(), self.ask(order).await?);
        while answer != "ok" {
            if answer.starts_with("failed") {
                bail!("{order}: {} {answer}", said.join(" "));
            }
            said.push(answer);
            answer = self.answer().await?;
        }
        Ok(said)
    }

    /// Ends the process, and waits until it has cleaned up.
    pub(crate) async fn end(mut self) {
        drop(self.orders.take());
        if tokio::time::timeout(CLEANS_UP, self.child.wait()).await.is_err() {
            drop(self.child.kill().await);
        }
    }

    /// Returns the process id, while the process runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    async fn answer(&mut self) -> anyhow::Result<String> {
        self.answers.next_line().await?.context("it has ended")
    }
}

/// Returns the value of `name=value` in a line of words.
pub(crate) fn word<'a>(line: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.with_context(|| format!("no {name} in: {line}"))
}
