//! Reads how a store carries out a statement.

use super::stores::SqlStore;
use super::*;

/// Asserts that a statement reads by an index, and returns its plan.
pub(super) async fn reads_by(f: &SqlStore, (sql, parameters): (String, Vec<Bound>), index: &str) -> String {
    let plan = plan_of(f, &sql, &parameters).await;
    assert!(plan.contains(index), "{index} is not used by {sql}:\n{plan}");
    plan
}

/// Returns the plan of a statement with its parameters, one step a line.
pub(super) async fn plan_of(f: &SqlStore, sql: &str, parameters: &[Bound]) -> String {
    let (how, column) = if f.config.is_shared() { ("EXPLAIN", "QUERY PLAN") } else { ("EXPLAIN QUERY PLAN", "detail") };
    let mut conn = f.store.reading().await.unwrap();
    let rows = sql::fetch(&mut conn, format!("{how} {}", with_values(sql, parameters)), vec![]).await.unwrap();
    rows.iter().map(|row| row.text(column).unwrap() + "\n").collect()
}

/// Writes a statement with its parameters in it, as `EXPLAIN` takes it.
fn with_values(sql: &str, parameters: &[Bound]) -> String {
    let numbered = parameters.iter().enumerate().rev();
    numbered.fold(sql.to_owned(), |sql, (index, parameter)| {
        let value = match parameter {
            Bound::Int(number) => number.to_string(),
            Bound::Text(text) => format!("'{text}'"),
            Bound::MaybeInt(_) | Bound::MaybeText(_) | Bound::Blob(_) => unreachable!("no such parameter is used here"),
        };
        sql.replace(&format!("${}", index + 1), &value)
    })
}
