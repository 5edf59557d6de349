//! Controls the private broker and the private database through the scripts that run them.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

/// A private server, which ends with its script; the script ends with this process.
#[derive(Clone)]
pub(crate) struct Neighbour {
    script: Arc<Mutex<Script>>,
    /// The first line of the script.
    ready: Arc<str>,
}

struct Script {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Script {
    async fn answer(&mut self) -> anyhow::Result<String> {
        self.answers.next_line().await?.context("the script of a private server has ended")
    }

    /// Sends an order that is answered by one line.
    async fn ask(&mut self, order: &str, expected: &str) -> anyhow::Result<()> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        let answer = self.answer().await?;
        ensure!(answer.starts_with(expected), "{order}: {answer}");
        Ok(())
    }

    /// Sends an order whose answer ends with `ok`.
    async fn run(&mut self, order: &str) -> anyhow::Result<String> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        let mut told = Vec::new();
        loop {
            let line = self.answer().await?;
            match line.as_str() {
                "ok" => return Ok(told.join("\n")),
                failed if failed.starts_with("failed ") => bail!("{order}: {} {failed}", told.join(" ")),
                _ => told.push(line),
            }
        }
    }
}

impl Neighbour {
    pub(crate) async fn broker() -> anyhow::Result<Self> {
        Self::start("broker.sh").await
    }

    /// Starts a database that keeps every commit that it has confirmed, even if it is killed.
    pub(crate) async fn postgres() -> anyhow::Result<Self> {
        Self::start("postgres.sh").await
    }

    async fn start(name: &str) -> anyhow::Result<Self> {
        let path = format!("{}/../env/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut child =
            Command::new(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| path.clone())?;
        let orders = child.stdin.take().context("the script's input")?;
        let answers = BufReader::new(child.stdout.take().context("the script's output")?).lines();
        let mut script = Script { _child: child, orders, answers };
        let ready = script.answer().await.with_context(|| format!("{name} did not start"))?;
        Ok(Self { script: Arc::new(Mutex::new(script)), ready: ready.into() })
    }

    /// Returns a value from the first line of the script.
    fn word(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.ready.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.with_context(|| format!("no {name} in {}", self.ready))
    }

    pub(crate) fn port(&self) -> anyhow::Result<u16> {
        Ok(self.word("port")?.parse()?)
    }

    /// Returns the URL of a database, reached at a port of this machine.
    pub(crate) fn database_url(&self, database: &str, port: u16) -> anyhow::Result<String> {
        let server = self.word("url")?.rsplit_once(':').context("a port")?.0;
        Ok(format!("{server}:{port}/{database}"))
    }

    pub(crate) async fn make(&self, what: &str, name: &str) -> anyhow::Result<()> {
        self.script.lock().await.run(&format!("{what} {name}")).await.map(drop)
    }

    /// Kills the server by SIGKILL, and starts it again with the same data.
    pub(crate) async fn kill_and_boot(&self) -> anyhow::Result<()> {
        let mut script = self.script.lock().await;
        script.ask("kill", "killed").await?;
        script.ask("start", "ready ").await
    }

    /// Stops the server cleanly, without waiting for open transactions, and starts it again.
    pub(crate) async fn stop_and_boot(&self) -> anyhow::Result<()> {
        let mut script = self.script.lock().await;
        script.ask("stop", "stopped").await?;
        script.ask("start", "ready ").await
    }

    pub(crate) async fn close_connections(&self) -> anyhow::Result<()> {
        self.script.lock().await.run("close-connections").await.map(drop)
    }

    /// Returns how many messages a queue of the broker holds, including unacknowledged ones.
    pub(crate) async fn depth(&self, vhost: &str, queue: &str) -> anyhow::Result<u64> {
        let told = self.script.lock().await.run(&format!("depth {vhost} {queue}")).await?;
        told.trim().parse().with_context(|| format!("a number, not {told}"))
    }
}
