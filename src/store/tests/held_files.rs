//! The files of an SQLite store: who may use them, and what happens when they are taken away.

use std::fs;
use std::path::{Path, PathBuf};

use super::stores::config_of;
use super::*;
use crate::store::file::HeldFile;

struct Files {
    dir: tempfile::TempDir,
    config: config::Store,
}

/// A new store that nobody uses.
async fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let config = config_at(&dir.path().join("x.db"));
    Store::open(&config, true, Clock::system()).await.unwrap().close().await;
    Files { dir, config }
}

fn config_at(file: &Path) -> config::Store {
    config_of(&format!("sqlite:{}", file.display()))
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn worker(&self) -> Result<Store, StoreError> {
        Store::open_for_worker(&self.config, Clock::system()).await
    }
}

fn held(store: &Store) -> &HeldFile {
    store.file.as_ref().unwrap()
}

async fn shelved(store: &Store) {
    let commit = Commit { shelve: Some(shelving("b", ShelvedUntil::Person)), ..Commit::default() };
    store.commit(commit.into()).await.unwrap();
}

async fn shelf_of(file: &Path) -> usize {
    let store = Store::open(&config_at(file), false, Clock::system()).await.unwrap();
    let rows = store.shelf(&ShelfFilter::default(), 9).await.unwrap().len();
    store.close().await;
    rows
}

#[tokio::test]
async fn a_file_has_one_worker_whatever_name_it_goes_by() {
    let f = files().await;
    std::os::unix::fs::symlink(f.path("x.db"), f.path("symbolic.db")).unwrap();
    fs::hard_link(f.path("x.db"), f.path("hard.db")).unwrap();
    let first = f.worker().await.unwrap();
    for name in ["x.db", "symbolic.db", "hard.db"] {
        let second = Store::open_for_worker(&config_at(&f.path(name)), Clock::system()).await;
        assert!(matches!(second, Err(StoreError::InUse(_))), "{name}: {second:?}");
    }
    Store::open(&f.config, false, Clock::system()).await.unwrap().close().await;
    first.close().await;
    f.worker().await.unwrap().close().await;
}

#[tokio::test]
async fn stores_with_other_endings_do_not_exclude_each_other() {
    let f = files().await;
    let other = config_at(&f.path("x.sqlite"));
    Store::open(&other, true, Clock::system()).await.unwrap().close().await;
    let (one, two) = (f.worker().await.unwrap(), Store::open_for_worker(&other, Clock::system()).await.unwrap());
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn an_earlier_build_and_this_one_exclude_each_other() {
    let f = files().await;
    // Earlier builds take the lock of this file, and of no other.
    let earlier = || fs::File::options().create(true).truncate(false).write(true).open(f.path("x.lock")).unwrap();
    let working = earlier();
    working.try_lock().unwrap();
    assert!(matches!(f.worker().await, Err(StoreError::InUse(_))));
    drop(working);
    let ours = f.worker().await.unwrap();
    assert!(earlier().try_lock().is_err());
    ours.close().await;
    earlier().try_lock().unwrap();
}

#[tokio::test]
async fn a_long_log_is_written_back_beside_the_commits_and_begins_again_once_nobody_reads_it() {
    let f = files().await;
    let store = f.worker().await.unwrap();
    for batch in 0..9 {
        let body = vec![7; 4 << 20].into();
        let shelve = Shelving { body, ..shelving(&format!("b-{batch}"), ShelvedUntil::Person) };
        store.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
    }
    let mut reader = store.reading().await.unwrap();
    sql::fetch(&mut reader, "BEGIN", vec![]).await.unwrap();
    sql::fetch(&mut reader, "SELECT id FROM shelf", vec![]).await.unwrap();
    shelved(&store).await;
    let log = held(&store).write_back_meanwhile().await.unwrap().unwrap();
    assert!(log.pages > 9 << 10 && log.is_read, "{log:?}");
    shelved(&store).await;
    sql::fetch(&mut reader, "COMMIT", vec![]).await.unwrap();
    drop(reader);
    let log = held(&store).write_back_meanwhile().await.unwrap().unwrap();
    assert!(log.pages > 9 << 10 && !log.is_read, "{log:?}");
    shelved(&store).await;
    let log = held(&store).write_back_meanwhile().await.unwrap().unwrap();
    assert!(log.pages < 100, "{log:?}");
    store.close().await;
}

#[tokio::test]
async fn a_worker_notices_each_of_its_files_that_is_moved_or_replaced() {
    for (name, part) in [("x.db", FilePart::Database), ("x.db-wal", FilePart::Log), ("x.db-shm", FilePart::Index)] {
        for is_replaced in [false, true] {
            let f = files().await;
            let store = f.worker().await.unwrap();
            shelved(&store).await;
            // What other processes do with the store changes nothing.
            assert_eq!(shelf_of(&f.path("x.db")).await, 1);
            assert_eq!(held(&store).change(), None);
            fs::rename(f.path(name), f.path("moved")).unwrap();
            if is_replaced {
                fs::write(f.path(name), "").unwrap();
            }
            let change = store.file_changed().await;
            assert_eq!((change.part, change.is_replaced), (part, is_replaced));
        }
    }
}

#[tokio::test]
async fn a_worker_that_closes_its_store_has_not_lost_it() {
    let f = files().await;
    let store = f.worker().await.unwrap();
    shelved(&store).await;
    assert!(!held(&store).is_lost());
    store.close().await;
    assert!(!f.path("x.db-wal").exists(), "the last connection was closed");
    assert!(held(&store).change().is_some() && !held(&store).is_lost());
}

#[tokio::test]
async fn a_moved_store_takes_everything_with_it_and_leaves_no_log_behind() {
    let f = files().await;
    let store = f.worker().await.unwrap();
    shelved(&store).await;
    fs::create_dir(f.path("elsewhere")).unwrap();
    fs::rename(f.path("x.db"), f.path("elsewhere/x.db")).unwrap();
    let lost = store.give_up_file(store.file_changed().await).await;
    assert_eq!((lost.is_complete, lost.is_deleted, &lost.copy), (true, false, &None));
    let commit = Commit { shelve: Some(shelving("c", ShelvedUntil::Person)), ..Commit::default() };
    assert!(matches!(store.commit(commit.into()).await, Err(StoreError::Closed)), "nothing more is written");
    assert_eq!(shelf_of(&f.path("elsewhere/x.db")).await, 1);
    assert_eq!(fs::metadata(f.path("x.db-wal")).unwrap().len(), 0, "it would be taken for that of the next file here");
}

#[tokio::test]
async fn a_deleted_store_is_copied_before_it_is_gone() {
    let f = files().await;
    let store = f.worker().await.unwrap();
    shelved(&store).await;
    for name in ["x.db", "x.db-wal", "x.db-shm"] {
        fs::remove_file(f.path(name)).unwrap();
    }
    let lost = store.give_up_file(store.file_changed().await).await;
    assert!(lost.is_deleted);
    assert_eq!(shelf_of(&lost.copy.unwrap()).await, 1);
}

#[tokio::test]
async fn a_deleted_log_was_written_into_the_database() {
    let f = files().await;
    let store = f.worker().await.unwrap();
    shelved(&store).await;
    fs::remove_file(f.path("x.db-wal")).unwrap();
    let lost = store.give_up_file(store.file_changed().await).await;
    assert_eq!((lost.is_complete, lost.copy), (true, None));
    fs::remove_file(f.path("x.db-shm")).unwrap();
    assert_eq!(shelf_of(&f.path("x.db")).await, 1);
}

#[tokio::test]
async fn an_empty_file_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let config = config_at(&dir.path().join("x.db"));
    fs::write(dir.path().join("x.db"), "").unwrap();
    let opened =
        [Store::open(&config, false, Clock::system()).await, Store::open_for_worker(&config, Clock::system()).await];
    assert!(opened.iter().all(|opened| matches!(opened, Err(StoreError::Missing(_)))), "{opened:?}");
    let store = Store::open(&config, true, Clock::system()).await.unwrap();
    assert!(store.was_made());
    store.close().await;
}

#[tokio::test]
async fn a_name_with_any_characters_is_the_file_that_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a%20b.db", "100%.db", "a#b.db", "ä b+c.db"] {
        let config = config_at(&dir.path().join(name));
        Store::open(&config, true, Clock::system()).await.unwrap().close().await;
        assert!(dir.path().join(name).exists(), "{name}");
        Store::open_for_worker(&config, Clock::system()).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn of_processes_that_make_a_file_at_once_one_has_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = config_at(&dir.path().join("x.db"));
    let opened = futures_util::future::join_all((0..8).map(|_| Store::open(&config, true, Clock::system()))).await;
    let stores: Vec<Store> = opened.into_iter().map(Result::unwrap).collect();
    assert_eq!(stores.iter().filter(|store| store.was_made()).count(), 1);
    for store in stores {
        store.close().await;
    }
}

/// Changes who may do what, and puts it back when it is dropped, so that the folder can be removed.
struct Mode(PathBuf, u32);

impl Mode {
    fn of(path: PathBuf, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let before = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path, before)
    }

    /// Whether it has an effect: the superuser may do everything.
    fn is_felt(&self) -> bool {
        fs::File::options().append(true).open(&self.0).is_err() && fs::File::create(self.0.join("x")).is_err()
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&self.0, fs::Permissions::from_mode(self.1)).unwrap();
    }
}

#[tokio::test]
async fn a_folder_or_file_that_may_not_be_written_has_its_own_sentence() {
    for (name, mode, remedy) in [("", 0o555, "make the user the owner of the folder"), ("x.db", 0o444, "these files")] {
        let f = files().await;
        let path = if name.is_empty() { f.dir.path().to_owned() } else { f.path(name) };
        let mode = Mode::of(path, mode);
        if !mode.is_felt() {
            return;
        }
        for opened in [f.worker().await, Store::open(&f.config, false, Clock::system()).await] {
            let error = opened.unwrap_err();
            assert!(matches!(error, StoreError::NotWritable(_)), "{error}");
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }
}
