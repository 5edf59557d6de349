//! Checks what is found by a text, and that nothing is lost or shown that is not kept.

use std::collections::BTreeSet;

use serde_json::json;
use testmo_conformance::Subject;
use testmo_conformance::finished::deliver;
use testmo_conformance::values::{DAY, HOUR, START, connection, shelving, target, tenant};
use testmo_courier::app::find::{FindRequest, Found, find};
use testmo_courier::batch::event::{EventInput, of_settlement};
use testmo_courier::batch::ledger::{BatchRecord, CaseState};
use testmo_courier::batch::message::Source;
use testmo_courier::batch::{BatchKey, Reason, batch_tag};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::search::{FillStep, SearchRound};
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use testmo_courier::store::{LedgerStore, RetentionStore, SearchStore};

use crate::stores::{SqlStore, connect, run};

mod parts;
mod words;

on_both! {
    what_people_name_is_found,
    hostile_texts_find_what_has_them_and_nothing_else,
    pages_leave_nothing_out_while_batches_come_and_go,
    what_an_earlier_version_stored_is_found_after_what_is_new,
    a_later_outcome_takes_the_place_of_an_earlier_one_and_keeps_the_names,
    what_is_no_longer_kept_is_not_found,
    one_worker_at_a_time_makes_batches_searchable,
    a_text_that_is_in_most_batches_is_found_in_order,
}

const WORKER: &str = "w1";

/// How long after its time an event is searchable on both databases.
const SETTLED: i64 = 40_000;

async fn fill(f: &SqlStore) {
    while f.store.fill_search(WORKER, 3).await.unwrap().is_more {}
}

async fn ask(f: &SqlStore, text: &str, request: impl FnOnce(&mut FindRequest)) -> Found {
    let mut asked = FindRequest { text: text.into(), tenant: None, after: None, limit: 0 };
    request(&mut asked);
    find(&f.store, &asked).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Returns the names of what a text finds: batches, and ids of entries whose batch is not known.
async fn found(f: &SqlStore, text: &str) -> Vec<String> {
    names(&ask(f, text, |_| {}).await)
}

fn names(found: &Found) -> Vec<String> {
    let name = |hit: &testmo_courier::app::find::Hit| match &hit.key {
        Some(key) => key.to_string(),
        None => hit.shelf[0].id.to_string(),
    };
    found.hits.iter().map(name).collect()
}

/// Stores the event of a batch of two cases.
async fn announce(f: &SqlStore, record: &BatchRecord, name: &str, source: &str) {
    let source = Source { key: Some(source.into()), ..Source::default() };
    let input = EventInput { source: &source, cases: &[], now: 0, reason: None, detail: None, replay: None };
    let mut event = of_settlement(record, &input).unwrap();
    let mut body: serde_json::Value = serde_json::from_str(&event.body).unwrap();
    for case in body["data"]["cases"].as_array_mut().unwrap().iter_mut().filter(|_| !name.is_empty()) {
        let key = case["label"].as_str().unwrap().to_owned();
        (case["name"], case["external_id"]) = (json!(format!("{name} ({key})")), json!(format!("TC-{key}")));
    }
    event.body = body.to_string();
    f.store.commit(Commit { events: vec![event], ..Commit::default() }.into()).await.unwrap();
}

async fn delivered(f: &SqlStore, batch: &str, name: &str, ids: [u64; 2]) -> BatchRecord {
    let record = deliver(f, batch, |record| create_as(record, ids)).await;
    announce(f, &record, name, "SHOP-142").await;
    record
}

fn create_as(record: &mut BatchRecord, ids: [u64; 2]) {
    record.cases.iter_mut().zip(ids).for_each(|(case, id)| case.state = CaseState::Created(id));
}

/// Puts a message onto the shelf.
async fn shelve(f: &SqlStore, identity: ShelfIdentity, body: Vec<u8>) {
    let content = Shelving { identity, body: body.into(), ..shelving("x", ShelvedUntil::Person) };
    f.store.commit(Commit { shelve: Some(content), ..Commit::default() }.into()).await.unwrap();
}

async fn shelve_batch(f: &SqlStore, key: &str, name: &str) {
    let body = json!({"source": {"key": "PAY-7"}, "cases": [{"name": name, "external_id": "PX-1"}]}).to_string();
    shelve(f, ShelfIdentity::Batch(key.parse().unwrap(), "1:f".into()), body.into_bytes()).await;
}

async fn what_people_name_is_found(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    let record = delivered(&f, "shop-142-1", "Sign in with an expired Code", [3721, 3722]).await;
    delivered(&f, "shop-143-1", "Prüfung der Überweisung 一覧", [13_721, 7]).await;
    shelve_batch(&f, "birch/pay-7-1", "Pay by card").await;
    let raw = |hash: &str, key: Option<&str>| {
        let key: Option<BatchKey> = key.map(|key| key.parse().unwrap());
        ShelfIdentity::Raw(hash.into(), key.clone().map(|key| key.tenant), key.map(|key| key.batch))
    };
    shelve(&f, raw("aa", None), b"{\"cases\": [{\"name\": \"of nobody\"}]}".to_vec()).await;
    shelve(&f, raw("bb", Some("acme/shop-142-1")), b"{\"cases\": [{\"name\": \"in conflict\"}]}".to_vec()).await;
    shelve(&f, raw("cc", Some("acme/broken")), vec![0xff, 0]).await;
    assert!(ask(&f, "sign in", |_| {}).await.unsearched.shelf);
    f.set_time(START + SETTLED).await;
    fill(&f).await;
    let (first, second) = ("acme/shop-142-1", "acme/shop-143-1");
    let tag = batch_tag(&record.key);
    let link = |account: &str, id: u64| format!("{account}/repositories/1?group_id=2&case_id={id}");
    let (of_acme, of_birch) = (link(&target().account, 3721), link("https://birch.testmo.net", 3721));
    let conflict = || first.to_owned();
    let table: Vec<(&str, Vec<String>)> = vec![
        ("Sign In with", vec![first.into()]),
        ("ign in wi", vec![first.into()]),
        ("sign  in", vec![first.into()]),
        ("signin", vec![]),
        ("ÜBERWEISUNG 一", vec![second.into()]),
        ("ubreweisung", vec![]),
        ("shop-142-1", vec![first.into(), conflict()]),
        ("acme/shop-142-1", vec![first.into()]),
        ("acme/broken", vec!["acme/broken".into()]),
        ("broken", vec!["acme/broken".into()]),
        ("acme/nothing", vec![]),
        ("TC-a", vec![second.into(), first.into()]),
        ("SHOP-142", vec![first.into(), second.into(), conflict()]),
        (&tag, vec![first.into(), conflict()]),
        (&tag[3..10], vec![first.into(), conflict()]),
        ("3721", vec![first.into()]),
        ("#13721", vec![second.into()]),
        ("7", vec![second.into()]),
        (&of_acme, vec![first.into()]),
        (&of_birch, vec![]),
        ("pay by", vec!["birch/pay-7-1".into()]),
        ("PX-1", vec!["birch/pay-7-1".into()]),
        ("pay-7", vec!["birch/pay-7-1".into()]),
        ("of nobody", vec!["00000002".into()]),
        ("in conflict", vec![conflict()]),
    ];
    for (text, expected) in table {
        let mut said = found(&f, text).await;
        let mut expected = expected;
        said.sort();
        expected.sort();
        assert_eq!(said, expected, "{text}");
    }
    let hit = &ask(&f, "expired", |_| {}).await.hits[0];
    let case = &hit.cases[0];
    assert_eq!((hit.cases.len(), case.testmo_id, hit.source_key.as_deref()), (2, Some(3721), Some("SHOP-142")));
    assert_eq!(case.link.as_deref(), Some("https://acme.testmo.net/repositories/1?group_id=2&case_id=3721"));
    assert_eq!(case.name.as_deref(), Some("Sign in with an expired Code (a)"));
    let hit = &ask(&f, "pay by card", |_| {}).await.hits[0];
    assert_eq!((hit.shelf[0].id.0, hit.shelf[0].reason), (1, Some(Reason::KeyRefused)));
    assert!(hit.record.is_none());
    for (tenant, expected) in [("acme", vec![first, first]), ("birch", vec![]), ("nobody", vec![])] {
        let found = ask(&f, "shop-142-1", |asked| asked.tenant = tenant.parse().ok()).await;
        assert_eq!(names(&found), expected, "{tenant}");
    }
    let of_birch = ask(&f, "acme/shop-142-1", |asked| asked.tenant = "birch".parse().ok()).await;
    assert_eq!(names(&of_birch), [""; 0], "a batch of another tenant is not named by its key");
    assert_eq!(ask(&f, "sign in", |_| {}).await.unsearched, Default::default());
}

async fn hostile_texts_find_what_has_them_and_nothing_else(f: SqlStore) {
    let texts = [
        "100 % _ done",
        "it's \"quoted\"",
        "a\\b\\\\c",
        "x AND y OR z*",
        "NEAR(a b)",
        "col:val",
        "(((",
        "-- ; DROP TABLE search",
        "$1 $2 {}",
        "<script>alert(1)</script>",
        "\u{1b}[2J\u{202e}x",
        "a'b':*&!|<->",
        "zyzazw z0070",
        "ÄÖÜ ß 𝒳 한국어",
        "…—–x",
    ];
    let alphabetic: Vec<&str> = texts.iter().copied().filter(|text| text.contains(char::is_alphanumeric)).collect();
    for (index, text) in alphabetic.iter().enumerate() {
        shelve_batch(&f, &format!("acme/b{index:02}"), &format!("case {text} end")).await;
    }
    shelve_batch(&f, "acme/other", "case 100 x done, its quoted a b c x and y or z near col val").await;
    fill(&f).await;
    for (index, text) in alphabetic.iter().enumerate() {
        assert_eq!(found(&f, text).await, [format!("acme/b{index:02}")], "{text}");
        let name = format!("case {text} end");
        let part: String = name.chars().skip(2).take(name.chars().count() - 4).collect();
        assert_eq!(found(&f, &part).await, [format!("acme/b{index:02}")], "{part}");
    }
    for text in ["%%%a", "_00", "b0_", "*x*", "case%end", "zyb", "\u{0}q", "e000"] {
        assert_eq!(found(&f, text).await, [""; 0], "{text:?}");
    }
    for text in ["(((", "", " ", "%", "\"'"] {
        let asked = FindRequest { text: text.into(), tenant: None, after: None, limit: 5 };
        assert!(find(&f.store, &asked).await.is_err(), "{text:?}");
    }
}

async fn pages_leave_nothing_out_while_batches_come_and_go(f: SqlStore) {
    let key = |n: i32| format!("acme/b{n:03}");
    for n in 0..30 {
        shelve_batch(&f, &key(n), &format!("Sign in {n}")).await;
    }
    fill(&f).await;
    for limit in [1, 4, 30, 31] {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = ask(&f, "sign in", |asked| (asked.after, asked.limit) = (after, limit)).await;
            seen.extend(names(&page));
            pages += 1;
            assert!(page.hits.len() <= usize::try_from(limit).unwrap());
            if pages == 1 {
                // One comes, one of the rest goes, and one of them changes.
                shelve_batch(&f, &key(100 + i32::try_from(limit).unwrap()), "Sign in later").await;
                shelve_batch(&f, &key(3), "Sign in 3").await;
                run(&mut connect(&f.config.url).await, "DELETE FROM shelf WHERE batch_id = 'b000'").await;
                fill(&f).await;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "none is seen twice: {seen:?}");
        assert!((1..30).all(|n| unique.contains(&key(n))), "{limit}: {seen:?}");
        let in_order: Vec<&String> = seen.iter().filter(|name| **name < key(100)).collect();
        assert!(in_order.is_sorted_by(|one, other| one > other), "newest first: {seen:?}");
    }
    let first = ask(&f, "acme/b007", |asked| asked.limit = 1).await;
    assert_eq!((names(&first), first.next), (vec![key(7)], None));
    let both = ask(&f, "b007", |asked| (asked.tenant, asked.limit) = (Some(tenant()), 1)).await;
    assert_eq!((names(&both), both.next), (vec![key(7)], None), "the one that is named is not found again");
}

async fn what_an_earlier_version_stored_is_found_after_what_is_new(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    for (day, batch) in [(1, "old-1"), (2, "old-2"), (3, "old-3")] {
        f.set_time(START + day * 86_400_000).await;
        delivered(&f, batch, "Sign in", [10, 11]).await;
    }
    let start = START + 3 * 86_400_000 - 60_000;
    let sql = format!(
        "UPDATE search_progress SET later_at = {start}, earlier_at = {start}; UPDATE shelf SET searched = NULL"
    );
    run(&mut connect(&f.config.url).await, &sql).await;
    f.set_time(START + 3 * 86_400_000 + SETTLED).await;
    let mut order = Vec::new();
    loop {
        let step = f.store.fill_search(WORKER, 1).await.unwrap();
        let found = ask(&f, "sign in", |_| {}).await;
        order.push((names(&found).len(), found.unsearched.before.is_some()));
        if !step.is_more {
            break;
        }
    }
    assert_eq!(order, [(1, true), (2, true), (3, true), (3, false)]);
    assert_eq!(found(&f, "sign in").await, ["acme/old-3", "acme/old-2", "acme/old-1"]);
    delivered(&f, "new", "Sign in", [12, 13]).await;
    f.set_time(START + 3 * 86_400_000 + 2 * SETTLED).await;
    assert!(ask(&f, "sign in", |_| {}).await.unsearched.since.is_some());
    fill(&f).await;
    assert_eq!(found(&f, "sign in").await, ["acme/new", "acme/old-3", "acme/old-2", "acme/old-1"]);
    assert_eq!(f.store.fill_search(WORKER, 9).await.unwrap(), FillStep::default(), "nothing is left");
}

async fn a_later_outcome_takes_the_place_of_an_earlier_one_and_keeps_the_names(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    shelve_batch(&f, "acme/b", "Sign in").await;
    fill(&f).await;
    assert_eq!(found(&f, "sign in").await, ["acme/b"]);
    let mut record = deliver(&f, "b", |record| create_as(record, [20, 21])).await;
    announce(&f, &record, "", "SHOP-1").await;
    f.set_time(START + SETTLED).await;
    fill(&f).await;
    for text in ["sign in", "20", "shop-1"] {
        assert_eq!(found(&f, text).await, ["acme/b"], "{text}");
    }
    assert_eq!(found(&f, "pay-7").await, [""; 0], "the event names another source");
    record.revision += 1;
    create_as(&mut record, [20, 99]);
    announce(&f, &record, "Log in", "SHOP-1").await;
    f.set_time(START + 2 * SETTLED).await;
    fill(&f).await;
    for (text, batches) in [("99", 1), ("log in", 1), ("21", 0), ("sign in", 0)] {
        assert_eq!(found(&f, text).await.len(), batches, "{text}");
    }
}

async fn what_is_no_longer_kept_is_not_found(f: SqlStore) {
    f.connect(&connection("v1", true)).await;
    delivered(&f, "old", "Sign in", [10, 11]).await;
    shelve_batch(&f, "acme/kept", "Sign in").await;
    shelve(&f, ShelfIdentity::Raw("aa".into(), None, None), b"{\"cases\": [{\"name\": \"sign in\"}]}".to_vec()).await;
    shelve(&f, ShelfIdentity::Raw("bb".into(), None, None), b"{\"cases\": [{\"name\": \"sign in\"}]}".to_vec()).await;
    f.set_time(START + 20 * 86_400_000).await;
    delivered(&f, "recent", "Sign in", [12, 13]).await;
    f.set_time(START + 31 * 86_400_000).await;
    fill(&f).await;
    assert_eq!(found(&f, "sign in").await.len(), 5);
    run(&mut connect(&f.config.url).await, "DELETE FROM shelf WHERE identity = 'raw:aa'").await;
    assert_eq!(found(&f, "sign in").await.len(), 4, "what has left the shelf is not shown");
    assert_eq!(f.store.prune(DAY * 30, 100).await.unwrap().batches, 1);
    assert_eq!(found(&f, "sign in").await, ["00000003", "acme/kept", "acme/recent"]);
    assert_eq!(found(&f, "acme/old").await, ["acme/old"], "by its key its outcome is found");
    let mut round = SearchRound::new(DAY * 30);
    let mut removed = 0;
    while !round.is_done() {
        removed += f.store.prune_search(&mut round, 1).await.unwrap();
    }
    assert_eq!(removed, 2);
    assert_eq!(found(&f, "sign in").await, ["00000003", "acme/kept", "acme/recent"]);
    let mut conn = connect(&f.config.url).await;
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM search").fetch_one(&mut conn).await.unwrap();
    assert_eq!(rows, 3);
}

async fn one_worker_at_a_time_makes_batches_searchable(f: SqlStore) {
    for n in 0..4 {
        shelve_batch(&f, &format!("acme/b{n}"), "Sign in").await;
    }
    assert!(f.store.fill_search("w1", 1).await.unwrap().is_more);
    let other = f.another_worker().await;
    assert_eq!(other.fill_search("w2", 9).await.unwrap(), FillStep::default(), "the first one is at it");
    f.set_time(START + i64::try_from(HOUR.as_millis()).unwrap()).await;
    assert_eq!(other.fill_search("w2", 9).await.unwrap().read, 3, "the first one has stopped");
    let both = f.store.fill_search("w1", 9).await.unwrap();
    assert_eq!(both, FillStep::default());
    assert_eq!(found(&f, "sign in").await.len(), 4);
    shelve_batch(&f, "acme/b9", "Sign in").await;
    let hour = i64::try_from(HOUR.as_millis()).unwrap();
    f.set_time(START + 2 * hour).await;
    let (one, two) = tokio::join!(f.store.fill_search("w1", 9), other.fill_search("w2", 9));
    assert_eq!(one.unwrap().read + two.unwrap().read, 1, "one of both at the same moment");
    assert_eq!(found(&f, "sign in").await.len(), 5);
}

/// More batches than are read in order at once, with a text in most and another one in few of them.
async fn a_text_that_is_in_most_batches_is_found_in_order(f: SqlStore) {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 7999)";
    let message =
        "'{\"cases\":[{\"name\":\"Sign in ' || CASE WHEN i < 6000 THEN 'early' ELSE 'late' END || ' ' || i || '\"}]}'";
    let body = if f.config.is_shared() {
        format!("convert_to({message}, 'UTF8')")
    } else {
        format!("CAST({message} AS BLOB)")
    };
    let sql = format!(
        "{numbers} INSERT INTO shelf (identity, generation, state, reason, tenant_id, batch_id, waits_for, due_at, parks, \
         arrived_at, shelved_at, headers, body) SELECT 't' || (i % 2) || '/b' || i || '/1:f', 1, 'dead', 'case_refused', \
         't' || (i % 2), 'b' || i, 'person', 1, 1, i, i, '{{}}', {body} FROM n"
    );
    run(&mut connect(&f.config.url).await, &sql).await;
    while f.store.fill_search(WORKER, 1_000).await.unwrap().is_more {}
    let batch = |n: i32| format!("t{}/b{n}", n % 2);
    for (text, newest, all) in [("sign in", 7_999, 8_000), ("early", 5_999, 6_000), ("late", 7_999, 2_000)] {
        let page = ask(&f, text, |asked| asked.limit = 3).await;
        assert_eq!(names(&page), [batch(newest), batch(newest - 1), batch(newest - 2)], "{text}");
        assert_eq!(found(&f, text).await.len(), all, "{text}");
        let of_one = ask(&f, text, |asked| asked.tenant = "t1".parse().ok()).await;
        assert_eq!(of_one.hits.len(), all / 2, "{text}");
    }
    assert_eq!(found(&f, "early 4321").await, [batch(4321)]);
    assert_eq!(found(&f, "sign in early 17").await.len(), 111, "17, 170 to 179, 1700 to 1799");
}
