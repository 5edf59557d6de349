//! Checks that parts of values are found wherever they are, whichever way the store searches them.

use std::collections::BTreeSet;

use testmo_courier::store::SearchStore;

use super::{WORKER, ask, names};
use crate::stores::{SqlStore, connect, run};

on_both! {
    each_part_of_a_name_finds_the_batches_that_have_it_newest_first,
}

/// How many batches there are: more than are read in order at first.
const BATCHES: usize = 5_000;

const WORDS: [&str; 23] = [
    "sign",
    "in",
    "a",
    "valid",
    "code",
    "error",
    "coupon",
    "shipping",
    "on",
    "shop-1",
    "überweisung",
    "supplier",
    "refund",
    "the",
    "user",
    "1",
    "an",
    "x",
    "notification",
    "touch",
    "screen",
    "session",
    "order",
];

/// Returns the name of the case of a batch. Old ones have words that no new one has.
fn name(batch: usize) -> String {
    let word = |at: usize| match (batch, at) {
        (17, 2) => "zeppelin",
        (17, 3) => "y",
        _ => WORDS[(batch * (at * 2 + 1) + batch / 7 * at + at) % WORDS.len()],
    };
    (0..5).map(word).collect::<Vec<_>>().join(" ")
}

async fn each_part_of_a_name_finds_the_batches_that_have_it_newest_first(f: SqlStore) {
    shelve_all(&f).await;
    while f.store.fill_search(WORKER, 1_000).await.unwrap().is_more {}
    let all: Vec<String> = (0..BATCHES).map(name).collect();
    let parts = all.iter().step_by(331).chain([&all[17]]).flat_map(|name| {
        let length = name.chars().count();
        [(0, length), (1, 9), (3, 5), (4, 14), (length / 2, 7), (length.saturating_sub(6), 6)].map(|(from, most)| {
            let part: String = name.chars().skip(from).take(most).collect();
            part.trim().to_owned()
        })
    });
    let parts: BTreeSet<String> = parts.filter(|part| part.chars().count() >= 3).collect();
    assert!(parts.len() > 50, "{parts:?}");
    for part in &parts {
        let having = |of: Option<usize>| -> Vec<String> {
            let matching = (0..BATCHES).rev().filter(|batch| of.is_none_or(|of| batch % 2 == of));
            matching.filter(|batch| all[*batch].contains(part.as_str())).map(key).collect()
        };
        assert_eq!(names(&ask(&f, part, |_| {}).await), having(None), "{part}");
        let of_one = ask(&f, part, |asked| asked.tenant = "t1".parse().ok()).await;
        assert_eq!(names(&of_one), having(Some(1)), "{part} of a tenant");
        let first = ask(&f, part, |asked| asked.limit = 3).await;
        let rest = match first.next {
            Some(place) => names(&ask(&f, part, |asked| asked.after = Some(place)).await),
            None => Vec::new(),
        };
        assert_eq!([names(&first), rest].concat(), having(None), "{part} in two pages");
    }
}

fn key(batch: usize) -> String {
    format!("t{}/b{batch}", batch % 2)
}

async fn shelve_all(f: &SqlStore) {
    let mut conn = connect(&f.config.url).await;
    let body = if f.config.is_shared() { "convert_to(body, 'UTF8')" } else { "CAST(body AS BLOB)" };
    for from in (0..BATCHES).step_by(1_000) {
        let row = |batch| format!("({batch}, '{{\"cases\":[{{\"name\":\"{}\"}}]}}')", name(batch));
        let rows: Vec<String> = (from..from + 1_000).map(row).collect();
        let sql = format!(
            "WITH n(i, body) AS (VALUES {}) INSERT INTO shelf (identity, generation, state, reason, tenant_id, batch_id, \
             waits_for, due_at, parks, arrived_at, shelved_at, headers, body) SELECT 't' || (i % 2) || '/b' || i || '/1:f', 1, \
             'dead', 'case_refused', 't' || (i % 2), 'b' || i, 'person', 1, 1, i, i, '{{}}', {body} FROM n ORDER BY i",
            rows.join(", ")
        );
        run(&mut conn, &sql).await;
    }
}
