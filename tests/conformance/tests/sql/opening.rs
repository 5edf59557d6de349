//! Checks how a store is opened, and the errors when that fails.

use sqlx::AnyConnection;
use testmo_courier::clock::Clock;
use testmo_courier::store::{ConnectionStore, Store, StoreError, StoreHealth};

use crate::postgres::Postgres;
use crate::stores::{SqlStore, config_of, connect, postgres, run, sqlite};

#[tokio::test]
async fn a_missing_store_is_reported_with_a_remedy() {
    let url = Postgres::shared().database();
    for url in ["sqlite:/nowhere/x.db", &url] {
        let error = Store::open(&config_of(url), false, Clock::system()).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        assert!(error.to_string().contains("testmo-courier init"), "{error}");
    }
}

#[tokio::test]
async fn each_reason_why_a_server_is_not_reached_has_its_own_remedy_without_the_password() {
    let url = Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    run(
        &mut connect(&url).await,
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
        (format!("postgres://u:hunter2@{free}/x"), "check that the database runs"),
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
    let config = config_of(&Postgres::shared().database());
    let open = || Store::open(&config, true, Clock::system());
    let stores = futures_util::future::join_all((0..5).map(|_| open())).await;
    for store in stores {
        let store = store.unwrap();
        store.ping().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_not_opened() {
    let f = postgres().await;
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (99, 'x', true, '', 0)";
    run(&mut connect(&f.config.url).await, sql).await;
    let again = Store::open(&f.config, false, Clock::system()).await;
    assert!(matches!(again, Err(StoreError::Newer)), "{again:?}");
}

#[tokio::test]
async fn a_store_to_which_a_newer_version_has_added_something_is_opened_unless_it_requires_to_know_that() {
    let check = async |f: SqlStore| {
        let mut conn = connect(&f.config.url).await;
        let sql = "INSERT INTO _sqlx_expansions (version, description, success, checksum, execution_time) \
                   VALUES (9999, 'x', true, '', 0)";
        run(&mut conn, sql).await;
        let again = Store::open(&f.config, false, Clock::system()).await.unwrap();
        assert_eq!(again.tables_state().await.unwrap().unknown, [9999]);
        again.close().await;
        run(&mut conn, "INSERT INTO facts (name, value) VALUES ('oldest_step', '9999')").await;
        let again = Store::open(&f.config, false, Clock::system()).await;
        assert!(matches!(again, Err(StoreError::Newer)), "{again:?}");
    };
    check(sqlite().await).await;
    check(postgres().await).await;
}

/// Counts the steps that a version without expansions does not know.
async fn count(conn: &mut AnyConnection) -> i64 {
    let sql = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version > 40";
    sqlx::query_scalar(sql).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn a_version_that_knows_no_expansion_finds_only_steps_that_it_knows() {
    let check = async |f: SqlStore| {
        let mut conn = connect(&f.config.url).await;
        assert_eq!(count(&mut conn).await, 0);
        // As earlier builds have recorded them.
        run(&mut conn, "INSERT INTO _sqlx_migrations SELECT * FROM _sqlx_expansions; DROP TABLE _sqlx_expansions")
            .await;
        assert!(count(&mut conn).await > 0);
        let again = Store::open(&f.config, false, Clock::system()).await.unwrap();
        assert_eq!(again.tables_state().await.unwrap().waiting, []);
        again.close().await;
        assert_eq!(count(&mut conn).await, 0);
    };
    check(sqlite().await).await;
    check(postgres().await).await;
}

#[tokio::test]
async fn workers_go_on_after_a_newer_version_has_added_a_column() {
    let f = postgres().await;
    let older = "ALTER TABLE connections DROP COLUMN key_id; DROP TABLE master_key_rotation; \
                 DELETE FROM _sqlx_expansions WHERE version = 42";
    run(&mut connect(&f.config.url).await, older).await;
    let tenant = "acme".parse().unwrap();
    assert!(f.store.connection(&tenant).await.unwrap().is_none(), "and the session keeps the plan of the statement");
    let newer = Store::open(&f.config, false, Clock::system()).await.unwrap();
    newer.close().await;
    // Each of its sessions may be noticed to be over.
    let mut tries = 0..=f.config.max_connections;
    while let Err(error) = f.store.connection(&tenant).await {
        assert!(!error.to_string().contains("cached plan"), "{error}");
        assert!(tries.next().is_some(), "{error}");
    }
}
