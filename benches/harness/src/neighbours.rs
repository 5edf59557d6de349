//! Runs the neighbours of the contestants: a private RabbitMQ, a private PostgreSQL if a row needs it, and the target.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::script::{Script, word};
use crate::target::order::{Manner, Order, Refusals, Report};
use crate::usage::{self, Usage};

/// All neighbours; they end with this process, however it ends.
pub(crate) struct Neighbours {
    broker: Script,
    broker_port: u16,
    broker_vm: u32,
    postgres: Option<Script>,
    postgres_url: String,
    target: Script,
    target_port: u16,
}

/// The resources used by the neighbours that share the machine with the contestants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) broker: Usage,
    pub(crate) target: Usage,
}

impl Neighbours {
    pub(crate) async fn start(with_postgres: bool) -> anyhow::Result<Self> {
        let (broker, ready) = Script::start(&script("broker.sh"), &[]).await?;
        let (broker_port, broker_vm) = (word(&ready, "port")?.parse()?, word(&ready, "pid")?.parse()?);
        let (postgres, postgres_url) = if with_postgres {
            let (script, ready) = Script::start(&script("postgres.sh"), &[]).await?;
            (Some(script), word(&ready, "url")?.to_owned())
        } else {
            (None, String::new())
        };
        let (target, ready) = Script::start(&std::env::current_exe()?, &["target"]).await?;
        let target_port = ready.split_whitespace().nth(1).context("the target's port")?.parse()?;
        Ok(Self { broker, broker_port, broker_vm, postgres, postgres_url, target, target_port })
    }

    pub(crate) async fn end(self) {
        self.target.end().await;
        if let Some(postgres) = self.postgres {
            postgres.end().await;
        }
        self.broker.end().await;
    }

    /// Creates an empty virtual host, and returns its URL.
    pub(crate) async fn add_vhost(&mut self, name: &str) -> anyhow::Result<String> {
        self.broker.expect_ok(&format!("vhost {name}")).await?;
        Ok(format!("amqp://guest:guest@127.0.0.1:{}/{name}", self.broker_port))
    }

    pub(crate) async fn drop_vhost(&mut self, name: &str) -> anyhow::Result<()> {
        self.broker.expect_ok(&format!("drop-vhost {name}")).await.map(drop)
    }

    /// Drops a virtual host, if it exists, because a failed measurement may have left one.
    pub(crate) async fn drop_vhost_if_there(&mut self, name: &str) {
        drop(self.drop_vhost(name).await);
    }

    /// Creates an empty database, and returns its URL.
    pub(crate) async fn add_database(&mut self, name: &str) -> anyhow::Result<String> {
        let postgres = self.postgres.as_mut().context("PostgreSQL was not started")?;
        postgres.expect_ok(&format!("database {name}")).await?;
        let (server, _) = self.postgres_url.rsplit_once('/').context("a URL with a database")?;
        Ok(format!("{server}/{name}"))
    }

    pub(crate) async fn drop_database(&mut self, name: &str) -> anyhow::Result<()> {
        let postgres = self.postgres.as_mut().context("PostgreSQL was not started")?;
        postgres.expect_ok(&format!("drop-database {name}")).await.map(drop)
    }

    /// Returns the origin of an account at the target.
    pub(crate) fn origin(&self, account: &str) -> String {
        format!("http://127.0.0.1:{}/{account}", self.target_port)
    }

    /// Makes the target forget everything, and sets its behaviour.
    pub(crate) async fn behave(&mut self, manner: Manner) -> anyhow::Result<()> {
        self.order(&Order::Reset(manner)).await.map(drop)
    }

    /// Returns the report of the target.
    pub(crate) async fn report(&mut self) -> anyhow::Result<Report> {
        Ok(serde_json::from_str(&self.order(&Order::Report).await?)?)
    }

    /// Returns the requests that the target refused by 429.
    pub(crate) async fn refusals(&mut self) -> anyhow::Result<Refusals> {
        Ok(serde_json::from_str(&self.order(&Order::Refusals).await?)?)
    }

    async fn order(&mut self, order: &Order) -> anyhow::Result<String> {
        self.target.ask(&serde_json::to_string(order)?).await
    }

    /// Returns the resources that the broker and the target have used so far.
    pub(crate) fn usage(&self) -> Used {
        let target = self.target.pid().map(usage::of_group).unwrap_or_default();
        Used { broker: usage::of_group(self.broker_vm), target }
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/env")).join(name)
}
