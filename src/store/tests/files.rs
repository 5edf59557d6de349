//! Checks an SQLite file that is full, and one that an older version wrote.

use super::*;

#[tokio::test]
async fn a_full_file_is_reported_and_nothing_is_changed() {
    let f = sqlite().await;
    // The limit belongs to a connection, so it is set on every connection that the pool can have.
    let mut all = Vec::new();
    for _ in 0..f.store.writers.options().get_max_connections() {
        let mut conn = f.store.writers.acquire().await.unwrap();
        sql::execute(&mut conn, "PRAGMA max_page_count = 100", vec![]).await.unwrap();
        all.push(conn);
    }
    drop(all);
    let large = Shelving { body: vec![0; 1_000_000].into(), ..shelving("b", ShelvedUntil::Person) };
    let error = f.store.commit(Commit { shelve: Some(large), ..Commit::default() }.into()).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert!(f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().is_empty());
    f.store
        .commit(Commit { shelve: Some(shelving("b", ShelvedUntil::Person)), ..Commit::default() }.into())
        .await
        .unwrap();
    assert_eq!(f.store.shelf(&ShelfFilter::default(), 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_command_finds_room_in_a_file_at_its_limit_and_a_worker_then_uses_what_is_freed() {
    let f = sqlite().await;
    let size = std::fs::metadata(f.config.url.trim_start_matches("sqlite:")).unwrap().len();
    let config = crate::config::Store { max_file_bytes: size + 400_000, ..f.config.clone() };
    f.store.close().await;
    let worker = Store::open_for_worker(&config, f.clock.clone()).await.unwrap();
    let shelve = async |store: &Store, name: &str, bytes: usize| {
        let change = Shelving { body: vec![0; bytes].into(), ..shelving(name, ShelvedUntil::Person) };
        store.commit(Commit { shelve: Some(change), ..Commit::default() }.into()).await
    };
    for n in 0.. {
        if let Err(error) = shelve(&worker, &format!("b-{n}"), 20_000).await {
            assert!(matches!(error, StoreError::NoRoom(_)), "{error}");
            break;
        }
    }
    assert!(worker.ping().await.is_err(), "a megabyte does not fit");
    let command = Store::open(&config, false, f.clock.clone()).await.unwrap();
    shelve(&command, "of-a-person", 2_000_000).await.unwrap();
    // The pages beyond the worker's limit are free now.
    let last = command.newest_on_shelf(&ShelfFilter::default(), 1).await.unwrap()[0].id.0;
    let mut conn = command.writing().await.unwrap();
    sql::execute(&mut conn, "DELETE FROM shelf WHERE id = $1", vec![Bound::Int(last)]).await.unwrap();
    drop(conn);
    worker.ping().await.unwrap();
    shelve(&worker, "in-what-was-freed", 500_000).await.unwrap();
    assert!(shelve(&command, "too-large", 20_000_000).await.is_err(), "a command has a limit, too");
    command.close().await;
    worker.close().await;
}

#[tokio::test]
async fn a_file_of_an_older_version_is_read() {
    let f = sqlite().await;
    let store = &f.store;
    // The tables as they were when long rows were sorted by their names.
    let [mut migrator, _] = migrations::migrators(sql::Dialect::Sqlite);
    migrator.migrations = migrator.migrations.iter().take(4).cloned().collect();
    let mut conn = store.writing().await.unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'search\\_index\\_%' ESCAPE '\\'";
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
    let store = Store::open(&f.config, false, f.clock.clone()).await.unwrap();
    let stored = store.batch(&record.key).await.unwrap().unwrap();
    assert_eq!((stored.claimed_at, stored.lease_until), (Some(5), Some(6)));
    let BatchRecord { fingerprint, epoch, unclear_since, first_seen_at, settled_at, late_since, .. } = stored.record;
    assert_eq!(fingerprint, record.fingerprint);
    assert_eq!((epoch, unclear_since, first_seen_at), (3, Some(4), 7));
    assert_eq!((settled_at, late_since), (Some(8), Some(9)));
    let unsent = store.unsent(9, TAKEN).await.unwrap();
    let unsent: Vec<_> = unsent.iter().map(|e| (e.id.as_str(), e.body.as_str(), e.created_at, e.due_at)).collect();
    assert_eq!(unsent, [("e1", "b1", 11, 12)]);
    assert!(store.shelf(&ShelfFilter::default(), 9).await.unwrap().is_empty(), "the tables that stayed are read, too");
}
