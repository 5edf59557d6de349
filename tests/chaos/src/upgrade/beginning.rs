//! Has the previous version begin: it makes the store, enters the connections, and delivers first batches, before the present
//! version opens the store beside its workers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use testmo_courier::amqp::{Outgoing, Publisher};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::people::People;
use crate::plan::{Plan, TENANTS};
use crate::worker::Worker;

/// The longest that the first batches may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The previous version, with the settings of its workers.
pub(crate) struct Previous<'a> {
    pub(crate) program: &'a Path,
    pub(crate) environment: &'a BTreeMap<String, String>,
}

impl Previous<'_> {
    /// Makes the store and the master key, and enters a connection for each tenant.
    pub(crate) async fn set_up(&self, connected: &[(&str, &String)]) -> anyhow::Result<()> {
        self.command(&["init"], "").await?;
        for (tenant, origin) in connected {
            let place =
                ["--base-url", origin.as_str(), "--project", "1", "--folder", "1", "--no-expiry", "--api-key-stdin"];
            let words = [["tenants", "set", *tenant].as_slice(), place.as_slice()].concat();
            self.command(&words, &People::key_of(tenant)).await?;
        }
        Ok(())
    }

    /// Starts the workers, and waits until they have delivered the first batches of a plan.
    pub(crate) async fn deliver(
        &self,
        plan: &Plan,
        workers: &mut [Worker],
        (publisher, exchange): (&Publisher, &str),
        testmo: &testmo_sim::Server,
    ) -> anyhow::Result<()> {
        workers.iter_mut().try_for_each(|worker| worker.check(|_| false))?;
        let first = &plan.batches[..plan.first];
        for batch in first {
            let (exchange, body) = (exchange.to_owned(), batch.body());
            let outgoing = Outgoing { exchange, routing_key: "batch".into(), body, ..Outgoing::default() };
            publisher.publish(outgoing).await.map_err(|error| anyhow::anyhow!("{error}"))?;
        }
        for tenant in TENANTS {
            let wanted: usize = first.iter().filter(|batch| batch.tenant == tenant).map(|batch| batch.cases).sum();
            let account = testmo.account(tenant);
            let delivered = account
                .until(|station| station.log.iter().map(|request| request.created.len()).sum::<usize>() >= wanted);
            timeout(PATIENCE, delivered).await.with_context(|| format!("the first batches of {tenant}"))?;
        }
        Ok(())
    }

    async fn command(&self, words: &[&str], input: &str) -> anyhow::Result<()> {
        let mut command = Command::new(self.program);
        command.args(["--as", "the operator"]).args(words).env_clear().envs(self.environment).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut stdin = child.stdin.take().context("the program's input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{}: {said}", words.join(" "));
        Ok(())
    }
}
