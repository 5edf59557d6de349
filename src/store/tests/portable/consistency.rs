//! Checks what a backup holds of a store that is changed meanwhile, and that it holds no transaction open for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::TaskTracker;

use super::*;

on_each! {
    each_batch_is_in_a_backup_with_its_entry_as_both_were_at_one_moment,
}

const BATCHES: i64 = 1_500;
/// The longest time that a backup may keep a state of the database from being vacuumed, in seconds. A page takes some
/// milliseconds; the rest is for a machine that does other things, too.
const LONGEST_STATE: i64 = 1;

/// Stores batches, each with an entry; half of the entries are discarded ones.
async fn fill(conn: &mut AnyConnection) {
    let tables = catalog(conn).await.unwrap();
    let table = |name: &str| tables.iter().find(|table| table.name == name).unwrap();
    let mut draw = Draw(1);
    for n in 1..=BATCHES {
        let mut put = Vec::new();
        for name in ["batches", if n % 2 == 0 { "shelf" } else { "discarded" }] {
            let mut row = row(&mut draw, table(name), n);
            let mut set = |column: &str, value: Value| {
                if let Some(place) = table(name).place(column) {
                    row[place] = value;
                }
            };
            // Names whose order is not that of the entries.
            set("tenant_id", json!(format!("t-{}", (n * 7_919) % 101)));
            set("batch_id", json!(format!("b-{n}")));
            set("id", json!(n));
            set("identity", json!(format!("identity of {n}")));
            set("epoch", json!(1));
            set("generation", json!(1));
            put.push((name, row));
        }
        for (name, row) in put {
            insert(conn, table(name), vec![row]).await.unwrap();
        }
    }
}

/// Changes a batch and its entry in one transaction: both get the next number, and the entry may move to the other table. A
/// batch without an entry gets a new one with a higher number, as one that was in hand and is shelved.
async fn change(conn: &mut AnyConnection, dialect: Dialect, draw: &mut Draw) {
    let name = format!("b-{}", draw.below(u64::try_from(BATCHES).unwrap()) + 1);
    let bound = || vec![Bound::Text(name.clone())];
    let begin = if dialect.is_shared() { "BEGIN" } else { "BEGIN IMMEDIATE" };
    sql::execute(conn, begin, vec![]).await.unwrap();
    let next = "UPDATE batches SET epoch = epoch + 1 WHERE batch_id = $1";
    sql::execute(conn, next, bound()).await.unwrap();
    for table in ["shelf", "discarded"] {
        let next = format!("UPDATE {table} SET generation = generation + 1 WHERE batch_id = $1");
        sql::execute(conn, next, bound()).await.unwrap();
    }
    let columns = "id, identity, generation, state, reason, tenant_id, batch_id, waits_for, due_at, parks, arrived_at, \
                   shelved_at, headers, body, person_epoch";
    let moves = match draw.below(3) {
        0 => vec![
            format!(
                "INSERT INTO discarded ({columns}, discarded_at, discarded_by) \
                     SELECT {columns}, 1, 'anna' FROM shelf WHERE batch_id = $1"
            ),
            "DELETE FROM shelf WHERE batch_id = $1".to_owned(),
        ],
        1 => vec![
            format!(
                "INSERT INTO shelf ({columns}) SELECT {columns} FROM discarded WHERE batch_id = $1 \
                     AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.id = discarded.id)"
            ),
            "DELETE FROM discarded WHERE batch_id = $1".to_owned(),
        ],
        // The entry leaves the shelf, and another one of the same batch takes its place.
        _ => vec![format!(
            "UPDATE shelf SET id = (SELECT MAX(id) FROM (SELECT MAX(id) AS id FROM shelf UNION ALL \
             SELECT MAX(id) FROM discarded) AS all_entries) + 1 WHERE batch_id = $1"
        )],
    };
    for sql in moves {
        sql::execute(conn, sql, bound()).await.unwrap();
    }
    sql::execute(conn, "COMMIT", vec![]).await.unwrap();
}

async fn each_batch_is_in_a_backup_with_its_entry_as_both_were_at_one_moment(f: Whole) {
    f.store.close().await;
    let mut conn = connect(&f.config.url).await;
    fill(&mut conn).await;
    conn.close().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.gz");
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = TaskTracker::new();
    let changing = tasks.spawn(changes(f.config.url.clone(), stop.clone()));
    let watching = tasks.spawn(oldest_state(f.config.clone(), stop.clone()));
    for _ in 0..3 {
        portable::back_up(&f.config, &Clock::system(), &file, true).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    assert!(changing.await.unwrap() > 20, "the store was changed meanwhile");
    assert!(watching.await.unwrap() < LONGEST_STATE * 1_000, "no state is kept for long");
    let [other, _] = places(&folder);
    portable::fill(&other, &file).await.unwrap().leave().await;
    let mut conn = connect(&other.url).await;
    let sql = "SELECT b.batch_id AS name, b.epoch AS epoch, COUNT(e.id) AS entries, MAX(e.generation) AS generation \
               FROM batches b LEFT JOIN (SELECT id, generation, batch_id FROM shelf UNION ALL \
               SELECT id, generation, batch_id FROM discarded) AS e ON e.batch_id = b.batch_id GROUP BY b.batch_id, b.epoch";
    let rows = sql::fetch(&mut conn, sql, vec![]).await.unwrap();
    assert_eq!(rows.len(), usize::try_from(BATCHES).unwrap());
    for row in &rows {
        let name = row.text("name").unwrap();
        assert_eq!(row.int("entries").unwrap(), 1, "{name}");
        assert_eq!(row.int("generation").unwrap(), row.int("epoch").unwrap(), "{name}");
    }
}

async fn changes(url: String, stop: Arc<AtomicBool>) -> u64 {
    let mut conn = connect(&url).await;
    let dialect = Dialect::of(&conn);
    if !dialect.is_shared() {
        sql::execute(&mut conn, "PRAGMA busy_timeout = 30000", vec![]).await.unwrap();
    }
    let (mut draw, mut count) = (Draw(2), 0);
    while !stop.load(Ordering::SeqCst) {
        change(&mut conn, dialect, &mut draw).await;
        count += 1;
    }
    count
}

/// Returns for how long a session of the program kept a state of a database at most, in milliseconds; a file has no sessions.
async fn oldest_state(config: config::Store, stop: Arc<AtomicBool>) -> i64 {
    if !config.is_shared() {
        return 0;
    }
    let mut conn = connect(&config.url).await;
    let sql = "SELECT COALESCE(MAX(CAST(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - xact_start) * 1000 AS BIGINT)), 0) \
               AS age FROM pg_stat_activity WHERE application_name = 'testmo-courier' AND datname = current_database() \
               AND backend_xmin IS NOT NULL";
    let mut oldest = 0;
    while !stop.load(Ordering::SeqCst) {
        let rows = sql::fetch(&mut conn, sql, vec![]).await.unwrap();
        oldest = oldest.max(rows[0].int("age").unwrap());
    }
    oldest
}
