use std::time::Duration;

use super::accounts::{AccountObservation, AccountStates, LaneOverride, LaneSelector, Pause, Permit};
use super::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome, KnownIds, PushEnded, RecordUpdate};
use super::shelf::{DueTenant, ShelfFilter, ShelfIdentity, ShelvedUntil, Shelving};
use super::sql::{Bound, Columns};
use super::*;
use crate::account::Signal;
use crate::batch::ledger::{BatchRecord, BatchState, OpenPush, Target};
use crate::batch::{Reason, TenantId};
use crate::store::connections::{ConnectionCount, ConnectionRow, SealedKey, Verification, WriteOutcome};

#[allow(dead_code, reason = "these tests hurt no server")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[path = "../../tests/it/support/script.rs"]
mod script;

/// Tests that run on an SQLite file and on a PostgreSQL database.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::fixture().await).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(super::on_server().await).await })*
        }
    };
}

mod accounts;
mod claims;
mod connections;
mod folders;
mod opening;
mod outbox;
mod past;
mod removal;
mod replicas;
mod shelf;
mod unbound;

const HOUR: Duration = Duration::from_secs(3_600);

struct Fixture {
    store: Store,
    config: config::Store,
    clock: Clock,
    _dir: tempfile::TempDir,
}

/// A store in a file, whose clock stands.
async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let config = config_of(&format!("sqlite:{}", dir.path().join("a b.db").display()));
    let clock = Clock::standing_at(1_000_000);
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    Fixture { store, config, clock, _dir: dir }
}

/// A store on a server, whose clock stands. The worker's own is far behind, which must not matter.
async fn on_server() -> Fixture {
    let url = postgres::Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    let function = "CREATE FUNCTION test.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
                    AS 'SELECT to_timestamp(ms / 1000.0) FROM test.clock'";
    run(
        &url,
        &format!(
            "CREATE SCHEMA test; CREATE TABLE test.clock AS SELECT 1000000::bigint AS ms; {function}; \
             ALTER DATABASE {name} SET search_path = test, pg_catalog"
        ),
    )
    .await;
    let (config, clock) = (config_of(&url), Clock::standing_at(7));
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    Fixture { store, config, clock, _dir: tempfile::tempdir().unwrap() }
}

/// Runs statements in the database of a URL.
async fn run(url: &str, statements: &str) {
    use sqlx::Connection;
    sqlx::any::install_default_drivers();
    let mut conn = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

impl Fixture {
    /// Enters a connection in place of the tenant's present one.
    async fn connect(&self, row: &ConnectionRow) {
        let epoch = self.store.connection(&row.tenant).await.unwrap().map_or(0, |stored| stored.epoch);
        let row = ConnectionRow { epoch, ..row.clone() };
        assert_eq!(self.store.set_connection(&row).await.unwrap(), WriteOutcome::Done);
    }

    /// Notes what a look at the tenant's present connection finds.
    async fn found(&self, finding: &Verification) {
        let row = self.store.connection(&tenant()).await.unwrap().unwrap();
        let written = self.store.record_verification(&tenant(), &row.version, row.epoch, finding).await.unwrap();
        assert_eq!(written, WriteOutcome::Done);
    }

    async fn set_time(&self, ms: i64) {
        if self.config.is_shared() {
            let mut conn = self.store.writing().await.unwrap();
            sql::execute(&mut conn, "UPDATE test.clock SET ms = $1", vec![Bound::Int(ms)]).await.unwrap();
        } else {
            self.clock.set(ms);
        }
    }
}

fn config_of(url: &str) -> config::Store {
    let environment = [("DATABASE_URL".to_owned(), url.to_owned())].into();
    config::load(&config::Sources { files: vec![], environment }).unwrap().store
}

fn connection(version: &str, verified: bool) -> ConnectionRow {
    ConnectionRow {
        tenant: tenant(),
        version: version.into(),
        origin: "https://acme.testmo.net".into(),
        key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into() },
        expires_on: Some("2027-01-01".into()),
        project: 1,
        folder: 2,
        mapping: Default::default(),
        resolved: Some(Default::default()),
        verified_version: verified.then(|| version.into()),
        verified_at: verified.then_some(1),
        checked_at: None,
        finding: Some(Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() }),
        last_success_at: None,
        epoch: 0,
    }
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn target() -> Target {
    Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 }
}

fn fresh(batch: &str) -> BatchRecord {
    BatchRecord::fresh(format!("acme/{batch}").parse().unwrap(), "1:f".into(), ["a".to_owned(), "b".to_owned()])
}

fn claim_of(push: &str, record: &BatchRecord) -> Claim {
    let from_epoch = record.epoch;
    let mut record = record.clone();
    let open =
        OpenPush { id: push.into(), connection: "v1".into(), batch_tag: Some("sqai-x".into()), committed: false };
    let waiting: Vec<usize> = record.waiting().collect();
    record.claim(&waiting, open, &target());
    Claim {
        push: push.into(),
        tenant: tenant(),
        connection: "v1".into(),
        account: target().account,
        ceiling: 1_000,
        holder: "w1".into(),
        lease: Duration::from_secs(10),
        batches: vec![RecordUpdate { record, from_epoch }],
    }
}

fn event(id: &str) -> crate::batch::event::Event {
    crate::batch::event::Event {
        id: id.into(),
        kind: crate::batch::event::DELIVERED,
        routing_key: "k".into(),
        subject: "acme/b".into(),
        body: "{}".into(),
    }
}

fn granted(claimed: &ClaimOutcome) -> bool {
    matches!(claimed, ClaimOutcome::Granted { .. })
}

fn shelving(batch: &str, until: ShelvedUntil) -> Shelving {
    Shelving {
        identity: ShelfIdentity::Batch(format!("acme/{batch}").parse().unwrap(), "1:f".into()),
        reason: Reason::KeyRefused,
        detail: None,
        until,
        account: None,
        connection: Some("v1".into()),
        parks: 1,
        failing_since: None,
        arrived_at: 5,
        published_at: None,
        headers: [("a".to_owned(), "b".to_owned())].into(),
        body: vec![0, 255],
    }
}

/// How long events belong to whoever has taken them.
const TAKEN: Duration = Duration::from_secs(120);

/// Another replica on the same database.
async fn replica(f: &Fixture) -> Store {
    Store::open(&f.config, false, Clock::standing_at(9_999_999_999)).await.unwrap()
}
