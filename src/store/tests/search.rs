//! Checks that every statement of the search reads by an index.

use super::growth::fill;
use super::statements::plan_of;
use super::stores::SqlStore;
use super::*;
use crate::batch::search::Reach;
use crate::store::search::{SearchQuery, SearchStore, statements};

on_both! {
    each_statement_of_the_search_reads_by_an_index,
}

async fn each_statement_of_the_search_reads_by_an_index(f: SqlStore) {
    fill(&f, 3_000).await;
    while f.store.fill_search("w", 1_000).await.unwrap().is_more {}
    let dialect = Dialect::of(&f.store.reading().await.unwrap());
    let query = |text: &str, tenant: Option<&str>, reach| SearchQuery {
        needle: text.parse().unwrap(),
        tenant: tenant.map(|tenant| tenant.parse().unwrap()),
        reach,
    };
    let queries = [
        query("sign in", None, Reach::AnyPart),
        query("3721", Some("acme"), Reach::AnyPart),
        query("ab", None, Reach::AnyPart),
    ];
    let mut wasteful = String::new();
    for (sql, parameters, index) in statements::all(dialect, &queries) {
        let plan = plan_of(&f, &sql, &parameters).await;
        let is_whole = ["search", "w", "shelf", "s", "batches", "b", "outbox", "o"]
            .iter()
            .any(|table| plan.contains(&format!("SCAN {table}\n")) || plan.contains(&format!("Seq Scan on {table}")));
        if is_whole || !plan.contains(index) {
            wasteful.push_str(&format!("{index} is not used by {sql}:\n{plan}"));
        }
    }
    assert!(wasteful.is_empty(), "{wasteful}");
}
