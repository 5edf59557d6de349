//! Checks that the master key is replaced while workers go on, and that an interruption at any step only delays it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use testmo_conformance::values::{START, connection, target};
use testmo_courier::app::OpenError;
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::audit::{AuditFilter, list};
use testmo_courier::app::rotation::{FileAfter, Rotated, RotationError, RotationOrder, finish, rotate};
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::config::{Config, Sources, load};
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::connections::{ConnectionRow, SealedKey, Successor, Verification, WriteOutcome};
use testmo_courier::store::rotation::{Resealed, RotationEnd, RotationStart, SealedRow, WrappedKey};
use testmo_courier::tenants::{KeyError, Keyring, MASTER_KEY_FACT, MasterKey, Resolution, Tenants, open_keyring};
use testmo_courier::testmo::AddressPolicy;

use crate::stores::SqlStore;

on_both! {
    a_rotation_that_was_interrupted_at_any_step_is_completed_by_the_next_run,
    only_one_process_carries_out_a_rotation,
    a_key_that_is_encrypted_with_the_former_master_key_is_not_stored_any_more,
    a_change_that_is_not_in_force_is_encrypted_again_and_a_key_that_nobody_can_read_is_named,
    the_file_of_the_new_key_can_be_one_that_a_person_puts_into_place,
}

/// How long the steps of a process that was killed keep others waiting.
const KILLED: Duration = Duration::ZERO;
const TENANTS: [&str; 3] = ["acme", "birch", "oak"];

/// A store with connections, and the file of its master key.
struct Desk {
    f: SqlStore,
    config: Config,
    present: MasterKey,
    /// The connections as a worker knows them that was started before.
    worker: Tenants,
    _folder: tempfile::TempDir,
}

fn anna() -> Actor {
    Actor::new("anna", Role::Admin, Face::CommandLine)
}

fn secret(tenant: &str) -> String {
    format!("s3cret of {tenant}")
}

fn sealed(keyring: &Keyring, tenant: &str) -> SealedKey {
    let tenant: TenantId = tenant.parse().unwrap();
    keyring.seal(&tenant, &target().account, &secret(tenant.as_str()).into()).unwrap()
}

fn row_of(tenant: &str, key: SealedKey) -> ConnectionRow {
    ConnectionRow { tenant: tenant.parse().unwrap(), key, ..connection("v1", true) }
}

impl Desk {
    async fn on(f: SqlStore) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = load(&Sources::default()).unwrap();
        (config.store, config.keys.master_key_file) = (f.config.clone(), folder.path().join("key"));
        let present = MasterKey::create(&config.keys.master_key_file).unwrap();
        f.store.keep_fact(MASTER_KEY_FACT, present.id()).await.unwrap();
        let worker = tenants(&f, &config, present.clone().into());
        for tenant in TENANTS {
            let row = row_of(tenant, sealed(worker.keyring(), tenant));
            assert_eq!(f.store.set_connection(&row).await.unwrap(), WriteOutcome::Done);
        }
        Self { f, config, present, worker, _folder: folder }
    }

    fn file(&self) -> &Path {
        &self.config.keys.master_key_file
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.file().as_os_str().to_owned();
        name.push(format!(".{ending}"));
        name.into()
    }

    fn wrapped(&self, next: &MasterKey) -> WrappedKey {
        let (from, to) = (self.present.id().to_owned(), next.id().to_owned());
        WrappedKey { from, to, key: self.present.wrap(next).unwrap() }
    }

    async fn rotate(&self) -> Result<Rotated, RotationError> {
        rotate(&self.config, &anna(), &RotationOrder::default()).await
    }

    /// Encrypts up to so many connections again, as a process does that is killed then.
    async fn reseal(&self, next: &MasterKey, most: u32) {
        let rows = self.f.store.sealed_otherwise(next.id(), None, most).await.unwrap();
        let keyring = Keyring::from(self.present.clone());
        let again = |row: SealedRow| {
            let key = keyring.reseal(&row.key, next).unwrap();
            Resealed { row: SealedRow { key, ..row }, key_id: next.id().to_owned() }
        };
        let resealed: Vec<Resealed> = rows.into_iter().map(again).collect();
        let count = resealed.len();
        assert_eq!(self.f.store.put_resealed(&resealed, "killed", KILLED).await.unwrap(), Some(count));
    }

    /// Checks that a worker which was started earlier, and one that starts now, can use every connection.
    async fn is_readable(&self) {
        let started = open_keyring::<OpenError>(&self.f.store, self.file()).await.unwrap();
        for tenants in [self.worker.clone(), tenants(&self.f, &self.config, started)] {
            for name in TENANTS {
                let tenant = name.parse().unwrap();
                tenants.forget(&tenant);
                let resolution = tenants.resolve(&tenant).await.unwrap();
                assert!(matches!(resolution, Resolution::Ready(_)), "{resolution:?}");
            }
        }
    }
}

fn tenants(f: &SqlStore, config: &Config, keyring: Keyring) -> Tenants {
    Tenants::new(Arc::new(f.store.clone()), keyring, AddressPolicy::new(&config.testmo))
}

/// Does what a process does before it is killed, up to a step.
async fn interrupted(desk: &Desk, steps: usize) {
    if steps == 0 {
        return;
    }
    let store = &desk.f.store;
    let next = MasterKey::create(&desk.beside("new")).unwrap();
    if steps > 1 {
        let begun = store.begin_rotation(&desk.wrapped(&next), "killed", KILLED, &[]).await.unwrap();
        assert_eq!(begun, RotationStart::Begun);
    }
    if steps > 2 {
        desk.reseal(&next, 1).await;
    }
    if steps > 3 {
        desk.reseal(&next, 9).await;
    }
    if steps > 4 {
        let end = store.finish_rotation(next.id(), ("killed", KILLED), &[]).await.unwrap();
        assert_eq!(end, RotationEnd::Done);
    }
    if steps > 5 {
        desk.present.write(&desk.beside(desk.present.id())).unwrap();
    }
    if steps > 6 {
        std::fs::rename(desk.beside("new"), desk.file()).unwrap();
    }
}

async fn a_rotation_that_was_interrupted_at_any_step_is_completed_by_the_next_run(f: SqlStore) {
    let mut desk = Desk::on(f).await;
    for steps in 0..=7 {
        interrupted(&desk, steps).await;
        desk.is_readable().await;
        let rotated = desk.rotate().await.unwrap();
        let done = if steps > 3 { 0 } else { 3 - usize::from(steps == 3) };
        assert_eq!((rotated.connections, rotated.former.as_str()), (done, desk.present.id()), "after {steps} steps");
        assert!(rotated.unreadable.is_empty());
        let FileAfter::Replaced { former } = rotated.file else { panic!("after {steps} steps") };
        assert_eq!(MasterKey::load(&former).unwrap().id(), desk.present.id());
        let next = MasterKey::load(desk.file()).unwrap();
        assert_eq!(next.id(), rotated.present);
        assert!(!desk.beside("new").exists());
        assert_eq!(desk.f.store.fact(MASTER_KEY_FACT).await.unwrap().as_deref(), Some(next.id()));
        assert!(desk.f.store.sealed_otherwise(next.id(), None, 9).await.unwrap().is_empty());
        desk.is_readable().await;
        assert_eq!(desk.rotate().await.unwrap().connections, 0, "nothing is left to do");
        assert_eq!(finish(&desk.config, &anna(), None).await.unwrap(), desk.present.id());
        desk.is_readable().await;
        let refused = open_keyring::<OpenError>(&desk.f.store, &former).await;
        assert!(matches!(refused, Err(OpenError::Key(KeyError::OtherMasterKey(_)))), "{refused:?}");
        assert!(matches!(finish(&desk.config, &anna(), None).await, Err(RotationError::NothingBegun)));
        desk.present = next;
    }
    let page = list(&desk.f.store, &AuditFilter::default(), None, 0).await.unwrap();
    let whole: Vec<_> = page.entries.iter().rev().take(3).map(|item| item.row.action.clone()).collect();
    assert_eq!(whole, ["master_key.rotate"; 3], "begun, done and finished");
}

async fn only_one_process_carries_out_a_rotation(f: SqlStore) {
    let desk = Desk::on(f).await;
    let (store, lease) = (&desk.f.store, Duration::from_secs(10));
    let next = MasterKey::create(&desk.beside("new")).unwrap();
    let begin =
        async |key: &MasterKey, holder| store.begin_rotation(&desk.wrapped(key), holder, lease, &[]).await.unwrap();
    assert_eq!(begin(&next, "a").await, RotationStart::Begun);
    assert_eq!(begin(&next, "b").await, RotationStart::Busy { left: lease });
    let other = MasterKey::create(&desk.beside("other")).unwrap();
    assert_eq!(begin(&other, "a").await, RotationStart::Other { to: next.id().into() });
    let order = RotationOrder { new_file: Some(desk.beside("other")), reason: None };
    let refused = rotate(&desk.config, &anna(), &order).await;
    assert!(matches!(refused, Err(RotationError::OtherKey { .. })), "{refused:?}");
    assert!(matches!(finish(&desk.config, &anna(), None).await, Err(RotationError::NotDone)));
    desk.f.set_time(START + 9_999).await;
    assert_eq!(begin(&next, "b").await, RotationStart::Busy { left: Duration::from_millis(1) });
    desk.f.set_time(START + 10_000).await;
    assert_eq!(begin(&next, "b").await, RotationStart::Begun, "the first one made no progress for too long");
    assert_eq!(store.put_resealed(&[], "a", lease).await.unwrap(), None);
    assert_eq!(store.finish_rotation(next.id(), ("a", lease), &[]).await.unwrap(), RotationEnd::Lost);
    assert_eq!(store.finish_rotation(next.id(), ("b", lease), &[]).await.unwrap(), RotationEnd::NotYet);
    let viewer = Actor::new("eve", Role::Operator, Face::CommandLine);
    let refused = rotate(&desk.config, &viewer, &RotationOrder::default()).await;
    assert!(matches!(refused, Err(RotationError::NotAllowed(_))), "{refused:?}");
}

async fn a_key_that_is_encrypted_with_the_former_master_key_is_not_stored_any_more(f: SqlStore) {
    let desk = Desk::on(f).await;
    let store = &desk.f.store;
    let former = Keyring::from(desk.present.clone());
    let next = MasterKey::create(&desk.beside("new")).unwrap();
    store.begin_rotation(&desk.wrapped(&next), "killed", KILLED, &[]).await.unwrap();
    desk.reseal(&next, 9).await;
    let set =
        async |tenant: &str, keyring: &Keyring| store.set_connection(&row_of(tenant, sealed(keyring, tenant))).await;
    assert_eq!(set("pine", &former).await.unwrap(), WriteOutcome::Done, "it is encrypted again before the end");
    let end = store.finish_rotation(next.id(), ("killed", KILLED), &[]).await.unwrap();
    assert_eq!(end, RotationEnd::NotYet);
    assert_eq!(desk.rotate().await.unwrap().connections, 1);
    assert_eq!(set("elm", &former).await.unwrap(), WriteOutcome::ChangedMeanwhile);
    let worker = &desk.worker;
    worker.refresh_keys().await.unwrap();
    assert_eq!(set("elm", worker.keyring()).await.unwrap(), WriteOutcome::Done, "a worker learns the new key");
}

async fn a_change_that_is_not_in_force_is_encrypted_again_and_a_key_that_nobody_can_read_is_named(f: SqlStore) {
    let desk = Desk::on(f).await;
    let store = &desk.f.store;
    let stored = async |tenant: &str| store.connection(&tenant.parse().unwrap()).await.unwrap().unwrap();
    let refused = || Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() };
    let change = async |tenant: &str, key: SealedKey| {
        let row = stored(tenant).await;
        let candidate = ConnectionRow { version: "v2".into(), folder: 7, key, ..row.clone() };
        let next = Successor::of(candidate, &row, refused(), START);
        let changed = ConnectionRow { successor: Some(Box::new(next)), ..row };
        assert_eq!(store.set_connection(&changed).await.unwrap(), WriteOutcome::Done);
    };
    change("acme", stored("acme").await.key).await;
    change("birch", sealed(desk.worker.keyring(), "birch")).await;
    let broken = SealedKey { ciphertext: vec![1; 40], ..stored("oak").await.key };
    let oak = ConnectionRow { key: broken, ..stored("oak").await };
    assert_eq!(store.set_connection(&oak).await.unwrap(), WriteOutcome::Done);
    let rotated = desk.rotate().await.unwrap();
    assert_eq!(rotated.unreadable.iter().map(TenantId::as_str).collect::<Vec<_>>(), ["oak"]);
    let next = Keyring::load(desk.file()).unwrap();
    for tenant in ["acme", "birch"] {
        let row = stored(tenant).await;
        let successor = row.successor.clone().unwrap();
        assert_eq!(successor.key == row.key, tenant == "acme", "the same key is the same afterwards");
        for key in [&row.key, &successor.key] {
            next.open(&row.tenant, &row.origin, key).unwrap();
        }
    }
    let named = row_of("oak", sealed(&next, "oak"));
    let entered = ConnectionRow { epoch: stored("oak").await.epoch, ..named };
    assert_eq!(store.set_connection(&entered).await.unwrap(), WriteOutcome::Done, "it can be entered again");
}

async fn the_file_of_the_new_key_can_be_one_that_a_person_puts_into_place(f: SqlStore) {
    let desk = Desk::on(f).await;
    let new_file = desk.beside("elsewhere");
    let order = RotationOrder { new_file: Some(new_file.clone()), reason: Some("a test".into()) };
    let rotated = rotate(&desk.config, &anna(), &order).await.unwrap();
    assert!(matches!(rotated.file, FileAfter::Left { error: None, .. }), "{rotated:?}");
    desk.is_readable().await;
    assert!(matches!(finish(&desk.config, &anna(), None).await, Err(RotationError::FormerFile { .. })));
    std::fs::rename(&new_file, desk.file()).unwrap();
    finish(&desk.config, &anna(), None).await.unwrap();
    desk.is_readable().await;
    let present = RotationOrder { new_file: Some(desk.file().into()), reason: None };
    assert!(matches!(rotate(&desk.config, &anna(), &present).await, Err(RotationError::NotNew(_))));
}
