//! Moves a store from one database to the other, while nothing uses either of them.

use std::collections::BTreeMap;

use sqlx::Connection;

use super::super::StoreError;
use super::super::audit::{self, AuditEntry};
use super::super::restores::counter;
use super::super::sql::{self, Dialect};
use super::marks::{self, Mark};
use super::place::{Place, movable, numbers};
use super::restore::{FillError, empty_place};
use super::rows::{insert, page};
use super::sums::TableSum;
use super::tables::Table;
use crate::clock::Clock;
use crate::config;

/// A store that was moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where it was, without a password.
    pub from: String,
    /// Where it is, without a password.
    pub to: String,
    /// How many rows of each table both have.
    pub tables: BTreeMap<String, TableSum>,
}

/// Copies everything that a store holds into an empty one, compares both, and marks the first one as moved: workers refuse it
/// from then on. A process that ends before leaves a target that can be filled again.
///
/// # Errors
/// When one of the stores is in use or cannot be used, or the second one is not empty.
pub async fn move_to(
    from: &config::Store,
    to: &config::Store,
    clock: &Clock,
    entry: AuditEntry,
) -> Result<Moved, FillError> {
    let mut source = Place::take(from, false).await?;
    let moved = match empty_place(to).await {
        Ok(mut target) => {
            let moved = moved(&mut source, &mut target, clock, entry).await;
            target.leave().await;
            moved
        }
        Err(error) => Err(error),
    };
    source.leave().await;
    moved
}

async fn moved(source: &mut Place, target: &mut Place, clock: &Clock, entry: AuditEntry) -> Result<Moved, FillError> {
    let now = sql::time(&mut source.conn, clock).await?;
    source.require_no_lease(now).await?;
    match source.mark().await? {
        None => {}
        Some(Mark::Filling) => return Err(StoreError::Incomplete(source.name.clone()).into()),
        // The process ended after it had marked the source, and before the target was complete.
        Some(Mark::Moved(to)) if to == target.name && target.mark().await? == Some(Mark::Filling) => {}
        Some(Mark::Moved(to)) => return Err(StoreError::Moved { place: source.name.clone(), to }.into()),
    }
    let schema = movable(source.schema, &source.name)?;
    if source.dialect == Dialect::Sqlite {
        // No command changes the file until the end.
        sql::execute(&mut source.conn, "BEGIN IMMEDIATE", vec![]).await?;
    }
    let tables = target.begin_filling(schema).await?;
    let mut sums = BTreeMap::new();
    for table in &tables {
        sums.insert(table.name.clone(), copied(source, target, table).await?);
    }
    let numbers = numbers(&mut source.conn).await?;
    target.set_numbers(&numbers).await?;
    for (before, after) in [(&sums, &target.sums(&tables).await?), (&source.sums(&tables).await?, &sums)] {
        if let Some((table, _)) = before.iter().find(|(table, sum)| after.get(*table) != Some(sum)) {
            return Err(FillError::Differs(table.clone()));
        }
    }
    source.require_alone().await?;
    target.migrate().await?;
    // A worker that has the file beside a former store would take this one for another.
    if let Some(file) = &target.file {
        counter::remove(file);
    }
    mark_source(source, &target.name, now, &entry).await?;
    let mut transaction = target.conn.begin().await.map_err(StoreError::from)?;
    marks::remove(&mut transaction).await?;
    audit::put(&mut transaction, now, std::iter::once(&entry)).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(Moved { from: source.name.clone(), to: target.name.clone(), tables: sums })
}

async fn copied(source: &mut Place, target: &mut Place, table: &Table) -> Result<TableSum, StoreError> {
    let (mut sum, mut after) = (TableSum::default(), None);
    loop {
        let mut page = page(&mut source.conn, table, after.as_ref()).await?;
        if table.name == "facts" {
            page.rows.retain(|row| !super::passes::is_mark(table, row));
        }
        page.rows.iter().for_each(|row| sum.add(row));
        if !page.rows.is_empty() {
            insert(&mut target.conn, table, page.rows).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(sum),
        }
    }
}

/// Marks the source as moved, in the transaction that is open on a file.
async fn mark_source(source: &mut Place, to: &str, now: i64, entry: &AuditEntry) -> Result<(), StoreError> {
    if source.dialect == Dialect::Postgres {
        sql::execute(&mut source.conn, "BEGIN", vec![]).await?;
    }
    marks::write(&mut source.conn, &Mark::Moved(to.into())).await?;
    audit::put(&mut source.conn, now, std::iter::once(entry)).await?;
    sql::execute(&mut source.conn, "COMMIT", vec![]).await.map(drop)
}
