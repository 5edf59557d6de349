//! Checks what is found on a server without trigrams, and that odd events are passed over.

use testmo_conformance::Subject;
use testmo_conformance::values::{START, connection, event};
use testmo_courier::app::find::{FindRequest, Reach, find};
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::{LedgerStore, Store};

use super::{SETTLED, ask, delivered, fill, found, names, shelve_batch};
use crate::stores::{connect, run};

#[tokio::test]
async fn without_trigrams_the_beginnings_of_words_are_found() {
    let f = crate::stores::postgres().await;
    let sql = "DROP INDEX search_by_trigram; \
               CREATE INDEX search_by_word ON search USING gin (to_tsvector('pg_catalog.simple', text))";
    run(&mut connect(&f.config.url).await, sql).await;
    assert_eq!(f.store.search_reach().await.unwrap(), Reach::WordBeginnings);
    f.connect(&connection("v1", true)).await;
    delivered(&f, "shop-142-1", "Sign in with an expired Code", [3721, 3722]).await;
    shelve_batch(&f, "birch/pay-7-1", "Prüfung by card").await;
    f.set_time(START + SETTLED).await;
    fill(&f).await;
    for (text, batches) in [
        ("sign", 1),
        ("expired sig", 1),
        ("ign", 0),
        ("prüf", 1),
        ("shop-1", 1),
        ("tc-a", 1),
        ("tc", 0),
        ("3721", 1),
        ("372", 0),
        ("sqai-", 2),
        ("' & ! :*x", 0),
        ("by card sign", 0),
    ] {
        assert_eq!(found(&f, text).await.len(), batches, "{text}");
    }
    let of_birch = ask(&f, "prüf card", |asked| asked.tenant = "birch".parse().ok()).await;
    assert_eq!(names(&of_birch), ["birch/pay-7-1"]);
}

#[tokio::test]
async fn a_user_who_may_not_create_extensions_gets_the_index_of_words() {
    let url = crate::postgres::Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let sql = format!(
        "CREATE ROLE plain_{name} LOGIN PASSWORD 'p'; CREATE SCHEMA own AUTHORIZATION plain_{name}; \
         ALTER ROLE plain_{name} SET search_path = own; REVOKE CREATE ON DATABASE {name} FROM PUBLIC"
    );
    run(&mut connect(&url).await, &sql).await;
    let place = url.rsplit_once('@').unwrap().1;
    let config = crate::stores::config_of(&format!("postgres://plain_{name}:p@{place}"));
    let store = Store::open(&config, true, Clock::system()).await.unwrap();
    assert_eq!(store.search_reach().await.unwrap(), Reach::WordBeginnings);
    let asked = FindRequest { text: "sign in".into(), tenant: None, after: None, limit: 5 };
    assert!(find(&store, &asked).await.unwrap().hits.is_empty());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_passed_over() {
    let f = crate::stores::sqlite().await;
    f.store.commit(Commit { events: vec![event("odd")], ..Commit::default() }.into()).await.unwrap();
    f.set_time(START + SETTLED).await;
    fill(&f).await;
    assert_eq!(ask(&f, "acme", |_| {}).await.unsearched, Default::default());
}
