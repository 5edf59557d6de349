//! Opening a store, and the errors when that fails.

use super::*;

on_both! {
    a_store_is_opened_again_with_everything_in_it,
    a_clock_that_is_behind_is_noticed,
}

async fn a_store_is_opened_again_with_everything_in_it(f: Fixture) {
    f.store.set_connection(&connection("v1", true)).await.unwrap();
    f.store.close().await;
    let again = Store::open(&f.config, false, f.clock.clone()).await.unwrap();
    let row = again.connection(&tenant()).await.unwrap().unwrap();
    assert!(row.is_verified());
    assert_eq!(row.finding, connection("v1", true).finding);
    assert!(f.store.was_made() && !again.was_made());
}

#[test]
fn a_file_has_one_worker() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.db");
    let first = FileLock::take(&file).unwrap();
    assert!(matches!(FileLock::take(&file), Err(StoreError::InUse(_))));
    drop(first);
    FileLock::take(&file).unwrap();
}

#[tokio::test]
async fn a_full_store_says_so_and_changes_nothing() {
    let f = fixture().await;
    // The limit is a connection's own, so every one that the pool can have gets it.
    let mut all = Vec::new();
    for _ in 0..f.store.writers.options().get_max_connections() {
        let mut conn = f.store.writers.acquire().await.unwrap();
        sql::execute(&mut conn, "PRAGMA max_page_count = 100", vec![]).await.unwrap();
        all.push(conn);
    }
    drop(all);
    let large = Shelving { body: vec![0; 1_000_000], ..shelving("b", ShelvedUntil::Person) };
    let error = f.store.commit(Commit { shelve: Some(large), ..Commit::default() }.into()).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert!(f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().is_empty());
    f.store
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    assert_eq!(f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().len(), 1);
}

async fn a_clock_that_is_behind_is_noticed(f: Fixture) {
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::ZERO);
    f.store
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    f.set_time(1_000_000 - 60_000).await;
    assert_eq!(f.store.clock_lag().await.unwrap(), Duration::from_secs(60));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_missing_and_says_what_to_do() {
    let url = postgres::Postgres::shared().database();
    for url in ["sqlite:/nowhere/x.db", &url] {
        let error = Store::open(&config_of(url), false, Clock::system()).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        assert!(error.to_string().contains("testmo-courier init"), "{error}");
    }
}

#[tokio::test]
async fn each_way_to_fail_to_reach_a_server_is_told_apart_without_the_password() {
    let url = postgres::Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    run(
        &url,
        "CREATE ROLE poor LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0; CREATE ROLE weak LOGIN PASSWORD 'hunter2'; \
         REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    .await;
    let as_user = |user: &str| {
        let place = url.rsplit_once('@').unwrap().1;
        format!("postgres://{user}@{place}")
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = [
        (format!("postgres://u:hunter2@{free}/x"), "check that it runs"),
        (as_user("nobody:hunter2"), "check user and password"),
        (as_user("weak:hunter3"), "check user and password"),
        (as_user("weak:hunter2").replace(name, "elsewhere"), "createdb"),
        (as_user("poor:hunter2"), "max_connections"),
        (as_user("weak:hunter2"), "owner of the database"),
        (format!("{url}?sslmode=verify-full"), "TLS"),
    ];
    for (url, remedy) in table {
        let error = Store::open(&config_of(&url), true, Clock::system()).await.unwrap_err();
        assert!(error.to_string().contains(remedy), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_prepare_the_tables_once() {
    let config = config_of(&postgres::Postgres::shared().database());
    let open = || Store::open(&config, true, Clock::system());
    let stores = futures_util::future::join_all((0..5).map(|_| open())).await;
    for store in stores {
        let store = store.unwrap();
        store.ping().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn what_an_older_version_stored_in_a_file_is_there_in_this_one() {
    let Fixture { store, config, clock, _dir } = fixture().await;
    // The tables as they were when long rows were sorted by their names.
    let mut migrator = migrations::migrator(sql::Dialect::Sqlite);
    migrator.migrations = migrator.migrations.iter().take(4).cloned().collect();
    let mut conn = store.writing().await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
    for row in sql::fetch(&mut conn, tables, vec![]).await.unwrap() {
        sql::execute(&mut conn, format!("DROP TABLE {}", row.text("name").unwrap()), vec![]).await.unwrap();
    }
    migrator.run_direct(None, &mut *conn, false).await.unwrap();
    let record = fresh("b");
    for sql in [
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, claimed_at, lease_until, first_seen_at, settled_at, pruned_at, late_since, look_after) \
         VALUES ('acme', 'b', $1, 'delivered', 1, 3, '[]', '[]', NULL, 4, 5, 6, 7, 8, NULL, 9, 10)",
        "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at) \
         VALUES ('e1', 'k', 'r', $1, 'b1', 11, 12, NULL), ('e2', 'k', 'r', 's', 'b2', 11, 12, 13)",
    ] {
        sql::execute(&mut conn, sql, vec![Bound::Text(record.fingerprint.clone())]).await.unwrap();
    }
    drop(conn);
    store.close().await;
    let store = Store::open(&config, false, clock).await.unwrap();
    let stored = store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!((stored.claimed_at, stored.lease_until), (Some(5), Some(6)));
    let BatchRecord { fingerprint, epoch, unclear_since, first_seen_at, settled_at, late_since, .. } = stored.record;
    assert_eq!(fingerprint, record.fingerprint);
    assert_eq!((epoch, unclear_since, first_seen_at), (3, Some(4), 7));
    assert_eq!((settled_at, late_since), (Some(8), Some(9)));
    let unsent = store.unsent(9, TAKEN).await.unwrap();
    let unsent: Vec<_> = unsent.iter().map(|e| (e.id.as_str(), e.body.as_str(), e.created_at, e.due_at)).collect();
    assert_eq!(unsent, [("e1", "b1", 11, 12)]);
    assert!(store.shelf(&ShelfFilter::default(), 9).await.unwrap().is_empty(), "the tables that stay are there, too");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let f = on_server().await;
    let mut conn = f.store.writing().await.unwrap();
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (99, 'x', true, '', 0)";
    sql::execute(&mut conn, sql, vec![]).await.unwrap();
    let again = Store::open(&f.config, false, Clock::system()).await;
    assert!(matches!(again, Err(StoreError::Newer)), "{again:?}");
}
