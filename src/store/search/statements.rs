//! Lists the statements of the search, each with an index that it has to read by.

use super::super::sql::{Bound, Dialect};
use super::form::wanted_on_server;
use super::model::SearchQuery;
use super::query::{MATCHING, SAMPLE};
use super::server::{extent_statement, index_statement, sample_statement, window_statement};
use super::sources::{EARLIER, ENTRIES, LATER, event_bodies};
use super::{fill, hits, progress, prune};

type Statement = (String, Vec<Bound>, &'static str);

/// Returns every statement that reads rows.
pub(in crate::store) fn all(dialect: Dialect, queries: &[SearchQuery]) -> Vec<Statement> {
    let int = Bound::Int;
    let text = |text: &str| Bound::Text(text.into());
    let is_server = dialect.is_shared();
    let place = || vec![int(7), text("acme/b"), text("e")];
    let by_id = if is_server { "shelf_pkey" } else { "INTEGER PRIMARY KEY" };
    let of_event = text(r#"[{"subject":"acme/b","event":"e"}]"#);
    let of_batch = || text(r#"[{"tenant":"acme","batch":"b","entry":0}]"#);
    let of_entry = || text(r#"[{"entry":7,"seen":1}]"#);
    let events = || place().into_iter().chain([int(9), int(50)]).collect();
    let mut statements = vec![
        (progress::FIRST_UNSEARCHED.to_owned(), place(), "outbox_by_age"),
        (progress::UNSEARCHED_ENTRY.to_owned(), vec![], "shelf_to_search"),
        (LATER.to_owned(), events(), "outbox_by_age"),
        (EARLIER.to_owned(), events(), "outbox_by_age"),
        (event_bodies(dialect), vec![of_event], if is_server { "outbox_pkey" } else { "(subject=? AND event_id=?)" }),
        (ENTRIES.to_owned(), vec![int(50)], "shelf_to_search"),
        (fill::known_rows(dialect), vec![of_batch()], "search_by_name"),
        (fill::marking_statement(dialect), vec![of_entry()], by_id),
        (hits::by_batch(dialect), vec![of_batch()], "shelf_by_batch"),
        (hits::by_id(dialect), vec![of_entry()], by_id),
        (prune::EXAMINED.to_owned(), vec![int(9), int(1), int(1), int(50)], "search_by_age"),
    ];
    if !is_server {
        let condition = text(r#"("abc" AND "bcd")"#);
        statements.push((SAMPLE.to_owned(), vec![int(9), int(60)], "INTEGER PRIMARY KEY"));
        statements.push((
            MATCHING.to_owned(),
            vec![condition, int(9), int(1), int(50), text("abcd")],
            "VIRTUAL TABLE INDEX",
        ));
        return statements;
    }
    statements.push((sample_statement(), vec![text(r#"[{"place":7}]"#)], "search_pkey"));
    // A row that has each word, but none after another: junctions are rarer than trigrams.
    let typical = |text: &str| text.split(' ').collect::<Vec<_>>().join("\n");
    for query in queries {
        let wanted = wanted_on_server(&query.needle, query.tenant.as_ref().map(|tenant| tenant.as_str()));
        let in_order = if query.tenant.is_some() { "search_by_tenant" } else { "search_pkey" };
        let (sql, bounds) = extent_statement(query.tenant.as_ref(), 9, 50);
        statements.push((sql, bounds, in_order));
        let (sql, bounds) = window_statement(query, &wanted, 9, 1);
        statements.push((sql, bounds, in_order));
        let (sql, bounds) = index_statement(query, &wanted, &[], 9);
        statements.push((sql, bounds, "search_by_trigram"));
        let apart: Vec<String> = wanted.one_of.iter().map(|text| typical(text)).collect();
        let has_words = wanted.one_of.iter().all(|text| text.contains(' '));
        let (sql, bounds) = index_statement(query, &wanted, &apart, 9);
        statements.push((sql, bounds, if has_words { "search_by_junction" } else { "search_by_trigram" }));
    }
    statements
}
