//! Shows how many rows the tables of a store have.

use std::collections::BTreeMap;

use testmo_courier::app::backup::TableSum;

use super::super::failure::Failure;
use super::super::output::Output;

/// Writes a line for each table that has rows.
pub(super) fn show(out: &mut Output, tables: &BTreeMap<String, TableSum>) -> Result<(), Failure> {
    for (table, sum) in tables.iter().filter(|(_, sum)| sum.rows > 0) {
        out.line(format!("  {table:<20} {:>12}", sum.rows))?;
    }
    Ok(())
}

/// Returns how many rows all tables have.
pub(super) fn total(tables: &BTreeMap<String, TableSum>) -> u64 {
    tables.values().map(|sum| sum.rows).sum()
}
