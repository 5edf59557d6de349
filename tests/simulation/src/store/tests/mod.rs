//! Holds the store in memory to the one on SQLite: both get the same random calls, and have to answer the same.

mod accounts;
mod conformance;
mod connections;
mod draws;
mod folders;
mod instances;
mod ledger;
mod memory;
mod outbox;
mod reads;
mod shelf;

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::{Store, StoreHealth};

use super::tables::Tables;

/// A call by name, and what the store on SQLite and the one in memory answered.
type Call = (&'static str, String, String);

/// How long events are left to a worker that has taken them.
const TAKEN_FOR: Duration = Duration::from_secs(120);

/// The same store twice: on SQLite and in memory.
struct Both {
    real: Store,
    memory: Tables,
    clock: Clock,
    rng: Rng,
    pushes: u32,
    _folder: tempfile::TempDir,
}

impl Both {
    async fn open(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let environment = [("DATABASE_URL".to_owned(), url)].into();
        let config = load(&Sources { files: vec![], environment }).expect("a configuration");
        let clock = Clock::standing_at(1_800_000_000_000);
        let real = Store::open(&config.store, true, clock.clone()).await.expect("a store");
        let rng = Rng::with_seed(seed);
        Self { real, memory: Tables::default(), clock, rng, pushes: 0, _folder: folder }
    }

    /// Makes one call on both, and returns its name and what each answered.
    async fn call(&mut self) -> Call {
        match self.rng.u8(..32) {
            0..=3 => self.claim().await,
            4..=8 => self.commit().await,
            9 => self.set_connection().await,
            10 if self.rng.bool() => self.record_refusal().await,
            11 if self.rng.bool() => self.note_fields().await,
            10 => self.record_verification().await,
            11 => self.take_reverifications().await,
            12 | 13 => self.lease_due().await,
            14 => self.lease_suspect().await,
            15 if self.rng.bool() => self.postpone_row().await,
            15 => self.release().await,
            16 | 17 => self.outbox().await,
            18 | 24 | 25 => self.folder().await,
            19 => self.permit().await,
            20 => self.pauses().await,
            21 => self.lane_override().await,
            22 => self.late_checks().await,
            26 | 27 => self.removal().await,
            28 | 29 => self.unbound().await,
            30 | 31 => self.instance().await,
            _ => self.prune().await,
        }
    }
}

fn shown(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}")
}

#[tokio::test]
async fn the_store_in_memory_answers_every_sequence_of_calls_as_sqlite_does() {
    for seed in 0..24 {
        let mut both = Both::open(seed).await;
        for step in 0..120 {
            let (call, real, memory) = both.call().await;
            assert_eq!(memory, real, "seed {seed}, step {step}: {call}");
            for (real, memory) in both.everything().await {
                assert_eq!(memory, real, "seed {seed}, after step {step}: {call}");
            }
            let jump = both.rng.i64(0..4_000);
            both.clock.set(both.clock.now() + if both.rng.bool() { 0 } else { jump });
        }
        both.real.close().await;
    }
}
