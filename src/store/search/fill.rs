//! Makes batches searchable in steps: what is on the shelf, what has finished since, and what an earlier version stored.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::super::{Store, StoreError};
use super::form;
use super::model::{FillStep, SearchName};
use super::progress::Progress;
use super::sources::{EARLIER, Events, Found, LATER, entries, events};
use crate::batch::search::SearchDocument;

/// How long after its time an event is in the store at the latest, in milliseconds: a file has one writer at a time; on a
/// server, no statement of a transaction takes longer than 30 seconds.
const SETTLED_MS: [i64; 2] = [1_000, 35_000];

/// A row of the search as it is stored.
#[derive(Debug)]
struct Row {
    seq: i64,
    is_new: bool,
    known_at: i64,
    document: SearchDocument,
}

pub(super) async fn fill(store: &Store, holder: &str, most: u32) -> Result<FillStep, StoreError> {
    let (mut conn, now) = store.reading_at().await?;
    let mut progress = Progress::read(&mut conn).await?;
    if progress.is_of_another(holder, now) {
        return Ok(FillStep::default());
    }
    let settled = now.saturating_sub(SETTLED_MS[usize::from(Dialect::of(&conn).is_shared())]);
    let later = events(&mut conn, LATER, &progress.later, settled, most).await?;
    let shelved = entries(&mut conn, most).await?;
    // What is new comes first.
    let from = progress.earlier.clone().filter(|_| later.read == 0 && shelved.read.is_empty());
    let is_backwards = from.is_some();
    let earlier = match from {
        Some(from) => events(&mut conn, EARLIER, &from, settled, most).await?,
        None => Events::default(),
    };
    let read = later.read + earlier.read + shelved.read.len() as u64;
    if read == 0 && !is_backwards {
        return Ok(FillStep::default());
    }
    progress.later = later.last.unwrap_or(progress.later);
    if is_backwards {
        progress.earlier = earlier.last;
    }
    let is_more = later.is_more || shelved.is_more || progress.earlier.is_some();
    let marks = shelved.read;
    let mut rows = BTreeMap::new();
    let newer = later.found.into_iter().chain(shelved.found);
    add(&mut conn, &mut rows, &mut progress, newer.collect(), Progress::newer).await?;
    add(&mut conn, &mut rows, &mut progress, earlier.found, Progress::older).await?;
    drop(conn);
    let stored = change(store, holder, &progress, &rows, &marks).await?;
    Ok(FillStep { read: if stored { read } else { 0 }, is_more: stored && is_more })
}

impl Progress {
    fn newer(&mut self) -> i64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    fn older(&mut self) -> i64 {
        self.first_seq -= 1;
        self.first_seq
    }
}

/// Adds what was found to the rows as they are stored: a row keeps its number, so that no page of a list leaves it out.
async fn add(
    conn: &mut AnyConnection,
    rows: &mut BTreeMap<SearchName, Row>,
    progress: &mut Progress,
    found: Vec<Found>,
    number: fn(&mut Progress) -> i64,
) -> Result<(), StoreError> {
    let unknown: Vec<SearchName> =
        found.iter().map(|found| found.name.clone()).filter(|name| !rows.contains_key(name)).collect();
    rows.extend(stored(conn, &unknown).await?);
    for Found { name, known_at, document } in found {
        let Some(row) = rows.get_mut(&name) else {
            rows.insert(name, Row { seq: number(progress), is_new: true, known_at, document });
            continue;
        };
        let before = std::mem::take(&mut row.document);
        row.document = if known_at >= row.known_at { document.over(before) } else { before.over(document) };
        row.known_at = row.known_at.max(known_at);
    }
    Ok(())
}

/// Reads the rows that there are under names.
async fn stored(conn: &mut AnyConnection, names: &[SearchName]) -> Result<BTreeMap<SearchName, Row>, StoreError> {
    let mut rows = BTreeMap::new();
    if names.is_empty() {
        return Ok(rows);
    }
    let named = |name: &SearchName| {
        let (tenant, batch) = name.texts();
        json!({"tenant": tenant, "batch": batch, "entry": name.shelf_id})
    };
    let names: Vec<Value> = names.iter().map(named).collect();
    let sql = known_rows(Dialect::of(conn));
    for row in sql::fetch(conn, sql, vec![Bound::from(names.as_slice())]).await? {
        let document = SearchDocument::of_lines(&row.text("lines")?, &row.text("letters")?);
        let (seq, known_at) = (row.int("seq")?, row.int("known_at")?);
        rows.insert(SearchName::of_row(&row)?, Row { seq, is_new: false, known_at, document });
    }
    Ok(rows)
}

/// The statement that reads rows by their names. The expression keeps a database from reading all rows of a tenant instead.
pub(in crate::store) fn known_rows(dialect: Dialect) -> String {
    format!(
        "SELECT w.* FROM {} CROSS JOIN search w WHERE w.batch_id = r.batch AND w.shelf_id = r.entry \
         AND w.tenant_id || '' = r.tenant",
        dialect.rows(&[("tenant", Kind::Text), ("batch", Kind::Text), ("entry", Kind::Int)])
    )
}

/// Stores rows, and returns whether nobody else has changed the search meanwhile; otherwise nothing is stored.
async fn change(
    store: &Store,
    holder: &str,
    progress: &Progress,
    rows: &BTreeMap<SearchName, Row>,
    marks: &[(i64, i64)],
) -> Result<bool, StoreError> {
    let mut transaction = Transaction::begin(&store.writers, &store.clock).await?;
    let now = transaction.now;
    let conn = transaction.conn()?;
    if !progress.store(conn, holder, now).await? {
        transaction.roll_back().await?;
        return Ok(false);
    }
    let dialect = Dialect::of(conn);
    match dialect {
        Dialect::Sqlite => put_in_file(conn, rows).await?,
        Dialect::Postgres => put_on_server(conn, rows).await?,
    }
    if !marks.is_empty() {
        let marks: Vec<Value> = marks.iter().map(|(id, seen)| json!({"entry": id, "seen": seen})).collect();
        sql::execute(conn, marking_statement(dialect), vec![Bound::from(marks.as_slice())]).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// The statement that marks entries of the shelf as searchable, if they are as they were read.
pub(in crate::store) fn marking_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE shelf SET searched = 1 WHERE id IN (SELECT s.id FROM {} CROSS JOIN shelf s WHERE s.id = r.entry \
         AND s.generation = r.seen {})",
        dialect.rows(&[("entry", Kind::Int), ("seen", Kind::Int)]),
        dialect.skip_taken()
    )
}

const COLUMNS: [(&str, Kind); 8] = [
    ("seq", Kind::Int),
    ("tenant_id", Kind::Text),
    ("batch_id", Kind::Text),
    ("shelf_id", Kind::Int),
    ("known_at", Kind::Int),
    ("lines", Kind::Text),
    ("letters", Kind::Text),
    ("text", Kind::Text),
];

fn in_rows(rows: &BTreeMap<SearchName, Row>, text: fn(&SearchName, &SearchDocument) -> String) -> Vec<Value> {
    let row = |(name, row): (&SearchName, &Row)| {
        let ((tenant, batch), (lines, letters)) = (name.texts(), row.document.lines());
        json!({"seq": row.seq, "tenant_id": tenant, "batch_id": batch, "shelf_id": name.shelf_id,
               "known_at": row.known_at, "lines": lines, "letters": letters, "text": text(name, &row.document)})
    };
    rows.iter().map(row).collect()
}

async fn put_in_file(conn: &mut AnyConnection, rows: &BTreeMap<SearchName, Row>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let known: Vec<i64> = rows.values().filter(|row| !row.is_new).map(|row| row.seq).collect();
    unindex(conn, &known).await?;
    let values = Bound::from(in_rows(rows, form::in_file).as_slice());
    let Bound::Text(values) = values else { return Ok(()) };
    let columns = Dialect::Sqlite.rows(&COLUMNS);
    let sql = format!(
        "INSERT INTO search (seq, tenant_id, batch_id, shelf_id, known_at, lines, letters) \
         SELECT seq, tenant_id, batch_id, shelf_id, known_at, lines, letters FROM {columns} WHERE true \
         ON CONFLICT (seq) DO UPDATE SET known_at = excluded.known_at, lines = excluded.lines, letters = excluded.letters"
    );
    sql::execute(conn, sql, vec![Bound::Text(values.clone())]).await?;
    let sql = format!("INSERT INTO search_index (rowid, text) SELECT seq, text FROM {columns}");
    sql::execute(conn, sql, vec![Bound::Text(values)]).await.map(drop)
}

async fn put_on_server(conn: &mut AnyConnection, rows: &BTreeMap<SearchName, Row>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO search (seq, tenant_id, batch_id, shelf_id, known_at, lines, letters, text) \
         SELECT seq, tenant_id, batch_id, shelf_id, known_at, lines, letters, text FROM {} \
         ON CONFLICT (seq) DO UPDATE SET known_at = excluded.known_at, lines = excluded.lines, \
         letters = excluded.letters, text = excluded.text",
        Dialect::Postgres.rows(&COLUMNS)
    );
    sql::execute(conn, sql, vec![Bound::from(in_rows(rows, form::on_server).as_slice())]).await.map(drop)
}

/// Removes rows of a file from the index of trigrams.
pub(super) async fn unindex(conn: &mut AnyConnection, numbers: &[i64]) -> Result<(), StoreError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM search_index WHERE rowid IN (SELECT r.seq FROM {})",
        Dialect::Sqlite.rows(&[("seq", Kind::Int)])
    );
    let numbers: Vec<Value> = numbers.iter().map(|seq| json!({"seq": seq})).collect();
    sql::execute(conn, sql, vec![Bound::from(numbers.as_slice())]).await.map(drop)
}
