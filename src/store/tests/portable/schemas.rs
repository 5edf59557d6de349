//! Checks backups of stores of earlier and later versions.

use super::*;
use crate::store::migrations;
use crate::store::portable::inside::Place;

on_each! {
    a_backup_of_an_earlier_schema_is_restored_and_migrated,
}

/// A schema before the table of sessions, the trend and the rotation of the master key.
const EARLIER: i64 = 39;

async fn a_backup_of_an_earlier_schema_is_restored_and_migrated(f: Whole) {
    f.store.close().await;
    let mut place = Place::take(&f.config, false).await.unwrap();
    place.begin_filling(EARLIER).await.unwrap();
    let sql = "INSERT INTO tokens (name, hash, role, created_at, created_by) VALUES ('t', 'h', 'viewer', 1, 'anna')";
    sql::execute(&mut place.conn, sql, vec![]).await.unwrap();
    sql::execute(&mut place.conn, "DELETE FROM facts", vec![]).await.unwrap();
    place.leave().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.gz");
    portable::back_up(&f.config, &Clock::system(), &file, false).await.unwrap();
    let contents = portable::contents(&file).unwrap();
    let later = migrations::steps_after(Dialect::Sqlite, EARLIER);
    assert_eq!((contents.schema, contents.later_steps), (EARLIER, later));
    let mut conn = connect(&f.config.url).await;
    let had = sql::fetch(&mut conn, "SELECT MAX(version) AS newest FROM _sqlx_migrations", vec![]).await.unwrap();
    assert_eq!(had[0].int("newest").unwrap(), EARLIER, "a backup does not migrate the store");
    for other in places(&folder) {
        let filled = portable::fill(&other, &file).await.unwrap();
        filled.note(&Clock::system(), i64::MAX, entry(AuditAction::RestoreStore)).await.unwrap();
        let store = Store::open(&other, false, Clock::system()).await.unwrap();
        assert_eq!(store.tables_state().await.unwrap(), Default::default());
        assert_eq!(store.tokens_after("", 9).await.unwrap().len(), 1);
        store.close().await;
    }
}
