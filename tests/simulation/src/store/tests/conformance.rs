//! Lets the store in memory take part in the cases of every store, as a worker sees it: alone, and shared by several.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testmo_conformance::values::{START, tenant};
use testmo_conformance::{Subject, conformance, shared_conformance};
use testmo_courier::batch::BatchKey;
use testmo_courier::store::Storage;
use testmo_courier::store::accounts::LaneOverride;
use testmo_courier::store::history::HistoryEntry;
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::Shelved;

use super::super::tables::Tables;
use super::super::{MemoryStore, StoreOf};
use crate::diary::Diary;
use crate::fuse::Fuse;
use crate::weather::{Rates, Weather};

mod of_one_worker {
    super::conformance!(
        #[tokio::test(start_paused = true)]
        crate::store::tests::conformance::of_one
    );
}

mod of_several_workers {
    super::conformance!(
        #[tokio::test(start_paused = true)]
        crate::store::tests::conformance::of_several
    );
    super::shared_conformance!(
        #[tokio::test(start_paused = true)]
        crate::store::tests::conformance::of_several
    );
}

/// A store whose calls take no time and never fail.
struct Memory {
    store: Arc<MemoryStore>,
    worker: StoreOf,
    diary: Arc<Diary>,
}

async fn of_one() -> Memory {
    Memory::begin(false)
}

async fn of_several() -> Memory {
    Memory::begin(true)
}

impl Memory {
    fn begin(shared: bool) -> Self {
        let (diary, weather) = (Arc::new(Diary::begin(false)), Arc::new(Weather::new(0, Rates::default())));
        weather.calm_down();
        diary.jump(START - diary.now());
        let store = MemoryStore::new(Tables { shared, ..Tables::default() }, diary.clone(), weather);
        let worker = store.of(1, Fuse::new());
        Self { store, worker, diary }
    }
}

#[async_trait]
impl Subject for Memory {
    fn store(&self) -> &dyn Storage {
        &self.worker
    }

    async fn another_worker(&self) -> Arc<dyn Storage> {
        Arc::new(self.store.of(2, Fuse::new()))
    }

    async fn set_time(&self, ms: i64) {
        self.diary.jump(ms - self.diary.now());
    }

    async fn shelf(&self) -> Vec<Shelved> {
        self.store.at_once(|tables, now| tables.shelf.iter().map(|(id, row)| row.as_shelved(*id, now)).collect())
    }

    async fn set_lane_override(&self, order: &LaneOverride) {
        self.store.at_once(|tables, now| tables.set_lane_override(order, now));
    }

    async fn begin_removal(&self, hold: Duration) {
        assert!(self.store.at_once(|tables, now| tables.begin_removal(&tenant(), hold, now)).is_some());
    }

    async fn end_removal(&self) {
        self.store.at_once(|tables, now| tables.end_removal(&tenant(), now));
    }

    async fn history(&self, key: &BatchKey) -> (Vec<HistoryEntry>, u64) {
        self.store.at_once(|tables, _| tables.history(key))
    }

    async fn remove_tenant(&self, version: &str) -> RemovalOutcome {
        self.store.at_once(|tables, _| tables.remove_tenant(&tenant(), version))
    }
}
