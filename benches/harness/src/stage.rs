//! Sets up one measurement: a virtual host, a worker's store, and the running contestants.

use anyhow::Context;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::contestant::{Contestant, Role, Running};
use crate::neighbours::Neighbours;
use crate::worker::{Settings, Setup};

/// The virtual host of every measurement, of which there is one at a time.
const VHOST: &str = "bench";

/// The worker settings of a row.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    /// `None` for an SQLite file.
    pub(crate) store_url: Option<String>,
    pub(crate) prefetch: usize,
    pub(crate) in_flight: usize,
    pub(crate) max_cases: Option<usize>,
    /// The tenants, which have the names of their accounts.
    pub(crate) tenants: Vec<String>,
}

/// Everything of one measurement; the contestants are killed when this value is dropped.
pub(crate) struct Stage {
    // Dropped before the folder, so that no contestant runs in the folder when it is removed.
    pub(crate) running: Vec<Running>,
    pub(crate) bus: Bus,
    pub(crate) setup: Setup,
    pub(crate) origins: Vec<String>,
    settings: Settings,
    dir: TempDir,
}

impl Stage {
    pub(crate) async fn set(neighbours: &mut Neighbours, wishes: &Wishes) -> anyhow::Result<Self> {
        Self::set_hearing(neighbours, wishes, &["#".to_owned()]).await
    }

    /// Sets up a measurement with a queue for the events with these routing keys only.
    pub(crate) async fn set_hearing(
        neighbours: &mut Neighbours,
        wishes: &Wishes,
        heard: &[String],
    ) -> anyhow::Result<Self> {
        neighbours.drop_vhost_if_there(VHOST).await;
        let dir = tempfile::tempdir()?;
        let origins: Vec<String> = wishes.tenants.iter().map(|tenant| neighbours.origin(tenant)).collect();
        let settings = Settings {
            amqp_url: neighbours.add_vhost(VHOST).await?,
            store_url: wishes.store_url.clone(),
            prefetch: wishes.prefetch,
            in_flight: wishes.in_flight,
            max_cases: wishes.max_cases,
            tenants: wishes.tenants.iter().cloned().zip(origins.clone()).collect(),
        };
        let setup = Setup::make(&dir.path().join("0"), &settings).await?;
        let bus = Bus::open(&setup.config.amqp, heard).await?;
        Ok(Self { running: vec![], bus, setup, origins, settings, dir })
    }

    /// Starts a contestant.
    pub(crate) fn start(
        &mut self,
        contestant: &Contestant,
        arguments: &[String],
        variables: &[(&str, String)],
    ) -> anyhow::Result<()> {
        self.running.push(contestant.start(&self.setup.dir, arguments, variables)?);
        Ok(())
    }

    /// Starts a worker; further workers share the store of the first, if it has one.
    pub(crate) fn start_worker(&mut self, worker: &Contestant) -> anyhow::Result<()> {
        if worker.role == Role::Storeless {
            let file = self.setup.file().display().to_string();
            return self.start(worker, &[file], &[]);
        }
        if self.running.is_empty() {
            let arguments = self.setup.arguments();
            return self.start(worker, &arguments, &[]);
        }
        let setup = self.setup.join(&self.dir.path().join(self.running.len().to_string()), &self.settings)?;
        self.running.push(worker.start(&setup.dir, &setup.arguments(), &[])?);
        Ok(())
    }

    /// Fails if a contestant has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.running.iter_mut().try_for_each(Running::check)
    }

    /// Returns the end of the first contestant's log.
    pub(crate) fn tail(&self) -> anyhow::Result<String> {
        Ok(self.running.first().context("nobody runs")?.tail())
    }

    /// Ends all contestants and removes everything.
    pub(crate) async fn strike(self, neighbours: &mut Neighbours) -> anyhow::Result<()> {
        for running in self.running {
            running.end().await;
        }
        self.bus.close().await;
        neighbours.drop_vhost(VHOST).await
    }
}
