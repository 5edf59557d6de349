//! How did the processes of each worker end, and over which messages may one have ended?

use std::collections::BTreeSet;

use async_trait::async_trait;
use testmo_courier::store::instances::{Instance, StartRule};
use testmo_courier::store::{InstanceStore, StoreError};

use super::StoreOf;
use super::tables::Tables;

/// How long a message is suspected that does not come again.
const SUSPECTED_FOR_MS: i64 = 86_400_000;
/// How long an instance is remembered that does not start again.
const REMEMBERED_FOR_MS: i64 = 90 * 86_400_000;

impl Tables {
    pub(super) fn begin_instance(&mut self, name: &str, run: &str, now: i64) -> StartRule {
        self.suspicions.retain(|_, at| *at >= now - SUSPECTED_FOR_MS);
        self.instances.retain(|_, instance| instance.started_at() >= now - REMEMBERED_FOR_MS);
        let (instance, suspect) = Instance::begin(self.instances.get(name).cloned(), run, now);
        if let Some(hash) = suspect {
            self.suspicions.entry(hash).or_insert(now);
        }
        let rule = instance.rule();
        self.instances.insert(name.to_owned(), instance);
        rule
    }

    pub(super) fn end_instance(&mut self, name: &str, run: &str) {
        if let Some(instance) = self.instances.get_mut(name) {
            instance.end(run);
        }
    }

    pub(super) fn set_in_hand(&mut self, name: &str, run: &str, hash: Option<&str>) {
        if let Some(instance) = self.instances.get_mut(name) {
            instance.take_in_hand(run, hash);
        }
    }

    pub(super) fn suspected(&self, now: i64) -> BTreeSet<String> {
        self.suspicions.iter().filter(|(_, at)| **at >= now - SUSPECTED_FOR_MS).map(|(hash, _)| hash.clone()).collect()
    }
}

#[async_trait]
impl InstanceStore for StoreOf {
    async fn begin_instance(&self, name: &str, run: &str) -> Result<StartRule, StoreError> {
        let (name, run) = (name.to_owned(), run.to_owned());
        self.ask("begin_instance", move |tables, now| tables.begin_instance(&name, &run, now)).await
    }

    async fn end_instance(&self, name: &str, run: &str) -> Result<(), StoreError> {
        let (name, run) = (name.to_owned(), run.to_owned());
        self.ask("end_instance", move |tables, _| tables.end_instance(&name, &run)).await
    }

    async fn set_in_hand(&self, name: &str, run: &str, hash: Option<&str>) -> Result<(), StoreError> {
        let (name, run, hash) = (name.to_owned(), run.to_owned(), hash.map(str::to_owned));
        self.ask("set_in_hand", move |tables, _| tables.set_in_hand(&name, &run, hash.as_deref())).await
    }

    async fn suspicions(&self) -> Result<BTreeSet<String>, StoreError> {
        self.ask("suspicions", |tables, now| tables.suspected(now)).await
    }

    async fn drop_suspicion(&self, hash: &str) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        self.ask("drop_suspicion", move |tables, _| {
            tables.suspicions.remove(&hash);
        })
        .await
    }
}
