//! Checks that backups and copies hold everything, on both databases, also while the store is changed.

mod consistency;
mod schemas;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection};

use super::super::portable::inside::{LEFT_OUT, MOVED, Row, Table, catalog, drop_all, insert};
use super::super::portable::{self, Contents, FillError, Target};
use super::stores::{config_of, connect};
use super::*;
use crate::config;
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};

/// A store that a test may read whole, as other tests must not.
struct Whole {
    store: Store,
    config: config::Store,
    _folder: tempfile::TempDir,
}

async fn whole(url: impl FnOnce(&tempfile::TempDir) -> String) -> Whole {
    let folder = tempfile::tempdir().unwrap();
    let config = config_of(&url(&folder));
    let store = Store::open(&config, true, Clock::system()).await.unwrap();
    Whole { store, config, _folder: folder }
}

async fn in_a_file() -> Whole {
    whole(|folder| format!("sqlite:{}", folder.path().join("courier.db").display())).await
}

async fn in_a_database() -> Whole {
    whole(|_| postgres::Postgres::shared().database()).await
}

/// Tests that run on an SQLite file and on a PostgreSQL database.
macro_rules! on_each {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::store::tests::portable::in_a_file().await).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::store::tests::portable::in_a_database().await).await })*
        }
    };
}
use on_each;

on_each! {
    every_table_is_moved_or_left_out_with_a_reason,
    a_store_of_any_rows_is_the_same_after_it_was_moved_to_and_fro,
    a_backup_of_any_rows_is_restored_into_either_database,
    a_store_that_holds_something_or_is_in_use_is_not_filled,
    an_event_does_not_wait_for_a_routing_key_that_the_backup_does_not_know,
}

/// The columns that are NULL now and then.
const MAYBE_NULL: [(&str, &str); 10] = [
    ("shelf", "detail"),
    ("shelf", "tenant_id"),
    ("shelf", "cases"),
    ("discarded", "batch_id"),
    ("pushes", "answer"),
    ("outbox", "sent_at"),
    ("connections", "finding"),
    ("audit", "reason"),
    ("batches", "floor"),
    ("trend", "none"),
];

/// What texts are made of: what JSON, SQL and the format of backups write in a special way.
const PIECES: [&str; 10] = ["a", "Z", "\u{e4}", "'", "\"", "\\", "\n", "\\u0000", "=~[{", "\u{1f600}"];

/// The most rows that are drawn for a table.
const MOST_DRAWN: i64 = 450;

/// Draws numbers.
pub(super) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: u64) -> usize {
        usize::try_from(self.next() % most).unwrap()
    }

    fn text(&mut self) -> String {
        (0..self.below(12)).map(|_| PIECES[self.below(10)]).collect()
    }

    /// Draws a whole number. The difference of two is one, too: an index holds such a difference.
    fn int(&mut self) -> i64 {
        match self.below(4) {
            0 => i64::MIN / 4,
            1 => i64::MAX / 4,
            2 => 0,
            _ => i64::try_from(self.next() >> 20).unwrap(),
        }
    }
}

/// Draws a row of a table; `n` makes its key unlike that of every other row.
fn row(draw: &mut Draw, table: &Table, n: i64) -> Row {
    let of = |draw: &mut Draw, column: &str, kind: &str| -> Value {
        let is_key = table.key.iter().any(|key| key == column);
        match (table.name.as_str(), column, kind) {
            ("shelf", "id", _) => json!(2 * n + 1),
            ("discarded", "id", _) => json!(2 * n + 2),
            // What belongs to a batch or a request belongs to one that there is.
            ("batches" | "former_values" | "write_windows" | "undos" | "undo_items", "tenant_id", _) => {
                json!(format!("t-{}", n % 7))
            }
            ("batches" | "former_values" | "write_windows" | "undos" | "undo_items", "batch_id", _) => {
                json!(format!("b-{n}"))
            }
            ("pushes" | "push_parts", "push_id", _) => json!(format!("p-{n}")),
            // States in which nothing is changed by a restore.
            ("replays", "state", _) => json!("planned"),
            ("outbox", "aside_at", _) => Value::Null,
            ("restores", ..) => json!(n + 1),
            (name, column, _) if MAYBE_NULL.contains(&(name, column)) && draw.below(3) == 0 => Value::Null,
            (_, _, "int") if is_key => json!(n),
            (_, _, "int") => json!(draw.int()),
            (_, _, "text") => json!(format!("{n}{}", draw.text())),
            _ if draw.below(2) == 0 => json!(format!("={n}{}", draw.text())),
            _ => json!(format!("~{}{}", ["/w", "AP8", "gICA"][draw.below(3)], base64_of(n))),
        }
    };
    let kind = |column: &portable::inside::Column| serde_json::to_value(column.kind).unwrap();
    table.columns.iter().map(|column| of(draw, &column.name, kind(column).as_str().unwrap())).collect()
}

/// Four digits of Base64 that depend on a number; the last one has no bits beyond a byte.
fn base64_of(n: i64) -> String {
    let digit = |place: u32| char::from(b'A' + u8::try_from((n >> (4 * place)) & 15).unwrap());
    [digit(2), digit(1), digit(0), 'A'].iter().collect()
}

/// Fills every table with drawn rows.
async fn draw_rows(config: &config::Store, seed: u64) {
    let mut conn = connect(&config.url).await;
    let mut draw = Draw(seed);
    for table in catalog(&mut conn).await.unwrap() {
        let is_belonged_to = ["batches", "pushes"].contains(&table.name.as_str());
        let count = if is_belonged_to { MOST_DRAWN } else { i64::try_from(draw.below(450)).unwrap() };
        let rows: Vec<Row> = (1..=count).map(|n| row(&mut draw, &table, n)).collect();
        for some in rows.chunks(100) {
            insert(&mut conn, &table, some.to_vec()).await.unwrap_or_else(|error| panic!("{}: {error}", table.name));
        }
    }
    if config.is_shared() {
        for table in ["shelf", "audit", "replays"] {
            let sql = format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), 2000)");
            sql::fetch(&mut conn, sql, vec![]).await.unwrap();
        }
    }
    conn.close().await.unwrap();
}

async fn sums(config: &config::Store) -> BTreeMap<String, portable::TableSum> {
    let folder = tempfile::tempdir().unwrap();
    portable::back_up(config, &Clock::system(), &folder.path().join("b"), false).await.unwrap().tables
}

fn entry(action: AuditAction) -> AuditEntry {
    AuditEntry::new(&Actor::new("anna", Role::Admin, Face::CommandLine), action, AuditSubject::named("store"))
}

/// Places for stores that do not exist: one in a file, one on a server.
fn places(folder: &tempfile::TempDir) -> [config::Store; 2] {
    let file = format!("sqlite:{}", folder.path().join("other.db").display());
    [config_of(&file), config_of(&postgres::Postgres::shared().database())]
}

async fn every_table_is_moved_or_left_out_with_a_reason(f: Whole) {
    let mut conn = connect(&f.config.url).await;
    let sql = match Dialect::of(&conn) {
        Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = current_schema()"
        }
    };
    let rows = sql::fetch(&mut conn, sql, vec![]).await.unwrap();
    for row in &rows {
        let name = row.text("name").unwrap();
        // The parts of an index for full text.
        let is_part =
            ["config", "content", "data", "docsize", "idx"].iter().any(|p| name == format!("search_index_{p}"));
        let is_left_out = LEFT_OUT.iter().any(|(left_out, reason)| *left_out == name && !reason.is_empty());
        assert!(is_part || is_left_out != MOVED.contains(&name.as_str()), "is `{name}` moved or left out, and why?");
    }
    let tables = catalog(&mut conn).await.unwrap();
    assert_eq!(tables.len(), MOVED.len(), "a table is moved that does not exist");
    assert!(tables.iter().all(|table| !table.key.is_empty()));
    let other = if f.config.is_shared() { in_a_file().await } else { in_a_database().await };
    let mut others = connect(&other.config.url).await;
    assert_eq!(catalog(&mut others).await.unwrap(), tables, "both databases have the same columns and keys");
}

async fn a_store_of_any_rows_is_the_same_after_it_was_moved_to_and_fro(f: Whole) {
    f.store.close().await;
    for seed in 0..3 {
        draw_rows(&f.config, seed).await;
        let folder = tempfile::tempdir().unwrap();
        for other in places(&folder) {
            let before = sums(&f.config).await;
            let there = portable::move_to(&f.config, &other, &Clock::system(), entry(AuditAction::MoveStore)).await;
            let there = there.unwrap();
            assert_eq!(there.tables, before);
            let again = portable::move_to(&f.config, &other, &Clock::system(), entry(AuditAction::MoveStore)).await;
            assert!(matches!(again, Err(FillError::NotEmpty { .. })), "{again:?}");
            let refused = Store::open(&f.config, false, Clock::system()).await.map(|_| ()).unwrap_err();
            assert!(matches!(&refused, StoreError::Moved { to, .. } if *to == there.to), "{refused}");
            // The former store makes room for the one that comes back.
            empty(&f.config).await;
            let mut expected = sums(&other).await;
            let back = portable::move_to(&other, &f.config, &Clock::system(), entry(AuditAction::MoveStore)).await;
            let back = back.unwrap();
            assert_eq!(back.tables, expected);
            expected.remove("audit");
            let mut found = sums(&f.config).await;
            assert_eq!(found.remove("audit").map(|sum| sum.rows), before.get("audit").map(|sum| sum.rows + 2));
            assert_eq!(found, expected);
            let store = Store::open(&f.config, false, Clock::system()).await.unwrap();
            store.close().await;
        }
        empty(&f.config).await;
        Store::open(&f.config, true, Clock::system()).await.unwrap().close().await;
    }
}

/// Removes all tables of a store.
async fn empty(config: &config::Store) {
    let mut conn = connect(&config.url).await;
    drop_all(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

async fn a_backup_of_any_rows_is_restored_into_either_database(f: Whole) {
    f.store.close().await;
    draw_rows(&f.config, 7).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.gz");
    let backup = portable::back_up(&f.config, &Clock::system(), &file, false).await.unwrap();
    let Contents { tables, later_steps, begun_at, .. } = portable::contents(&file).unwrap();
    assert_eq!((&tables, later_steps, begun_at), (&backup.tables, 0, backup.begun_at));
    for other in places(&folder) {
        assert_eq!(portable::target(&other).await.unwrap(), Target::Missing);
        let filled = portable::fill(&other, &file).await.unwrap();
        filled.leave().await;
        let refused = Store::open(&other, false, Clock::system()).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StoreError::Incomplete(_)), "{refused}");
        assert_eq!(portable::target(&other).await.unwrap(), Target::Interrupted);
        let filled = portable::fill(&other, &file).await.unwrap();
        let restore = filled.note(&Clock::system(), i64::MAX, entry(AuditAction::RestoreStore)).await.unwrap();
        assert_eq!((restore.copied_at, restore.latest_at), (backup.begun_at, backup.begun_at));
        let mut found = sums(&other).await;
        let mut expected = backup.tables.clone();
        for (table, more) in [("restores", 1), ("audit", 1)] {
            let rows = expected.remove(table).unwrap().rows;
            assert_eq!(found.remove(table).unwrap().rows, rows + more, "{table}");
        }
        // The store's id and its counter of writes.
        expected.remove("facts");
        found.remove("facts");
        assert_eq!(found, expected);
        let store = Store::open(&other, false, Clock::system()).await.unwrap();
        store.close().await;
    }
}

async fn a_store_that_holds_something_or_is_in_use_is_not_filled(f: Whole) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.gz");
    portable::back_up(&f.config, &Clock::system(), &file, false).await.unwrap();
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    let used = portable::fill(&f.config, &file).await.map(|_| ()).unwrap_err();
    if f.config.is_shared() {
        assert!(matches!(used, FillError::Store(StoreError::Occupied { .. })), "{used}");
    }
    f.store.close().await;
    let full = portable::fill(&f.config, &file).await.map(|_| ()).unwrap_err();
    assert!(matches!(&full, FillError::NotEmpty { table, .. } if table == "connections"), "{full}");
    assert_eq!(portable::target(&f.config).await.unwrap(), Target::Occupied("connections".into()));
    let store = Store::open(&f.config, false, Clock::system()).await.unwrap();
    assert!(store.connection(&tenant()).await.unwrap().is_some(), "nothing was changed");
    store.close().await;
}

async fn an_event_does_not_wait_for_a_routing_key_that_the_backup_does_not_know(f: Whole) {
    let mut conn = connect(&f.config.url).await;
    let sql = "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, aside_at) \
               VALUES ('e', 'k', $1, $1, '{}', 1, 1, 1)";
    for key in ["known", "released"] {
        sql::execute(&mut conn, sql, vec![Bound::Text(key.into())]).await.unwrap();
    }
    sql::execute(
        &mut conn,
        "INSERT INTO unbound_keys (routing_key, unbound_since, returned_at, pause, probe_at, probed_at) \
         VALUES ('known', 1, 1, 1, 1, 1) ON CONFLICT (routing_key) DO NOTHING",
        vec![],
    )
    .await
    .unwrap();
    conn.close().await.unwrap();
    f.store.close().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.gz");
    portable::back_up(&f.config, &Clock::system(), &file, false).await.unwrap();
    let [other, _] = places(&folder);
    let filled = portable::fill(&other, &file).await.unwrap();
    filled.note(&Clock::system(), i64::MAX, entry(AuditAction::RestoreStore)).await.unwrap();
    let store = Store::open(&other, false, Clock::standing_at(10)).await.unwrap();
    assert_eq!((store.due_count().await.unwrap(), store.unsent_count().await.unwrap()), (1, 2));
    store.close().await;
}
