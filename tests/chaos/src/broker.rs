//! How is the private broker spoken to? Through the script that runs it.

use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A private RabbitMQ node; it ends with its script, and that with this process.
pub(crate) struct Broker {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) port: u16,
}

impl Broker {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../env/broker.sh");
        let mut child = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(script)?;
        let orders = child.stdin.take().context("the script's input")?;
        let answers = BufReader::new(child.stdout.take().context("the script's output")?).lines();
        let mut broker = Self { _child: child, orders, answers, port: 0 };
        let ready = broker.answer().await?;
        broker.port = ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix("port=")?.parse().ok())
            .with_context(|| format!("the broker did not start: {ready}"))?;
        Ok(broker)
    }

    async fn answer(&mut self) -> anyhow::Result<String> {
        self.answers.next_line().await?.context("the script has ended")
    }

    async fn ask(&mut self, order: &str) -> anyhow::Result<String> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        self.answer().await
    }

    pub(crate) async fn add_vhost(&mut self, name: &str) -> anyhow::Result<()> {
        match self.ask(&format!("vhost {name}")).await?.as_str() {
            "ok" => Ok(()),
            other => bail!("vhost {name}: {other}"),
        }
    }

    pub(crate) async fn kill_and_boot(&mut self) -> anyhow::Result<()> {
        self.ask("kill").await?;
        let ready = self.ask("start").await?;
        if ready.starts_with("ready ") { Ok(()) } else { bail!("the broker did not come back: {ready}") }
    }

    pub(crate) async fn close_connections(&mut self) -> anyhow::Result<()> {
        let mut answer = self.ask("ctl close_all_connections chaos").await?;
        while answer != "ok" {
            if answer.starts_with("failed") {
                bail!("close_all_connections: {answer}");
            }
            answer = self.answer().await?;
        }
        Ok(())
    }
}
