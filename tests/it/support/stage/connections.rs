//! Enters the connections of tenants.

use secrecy::SecretString;
use testmo_courier::batch::Reason;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::mapping_spec::MappingSpec;
use testmo_courier::clock::Clock;
use testmo_courier::store::connections::{ConnectionRow, Successor, Verification};
use testmo_courier::store::{ConnectionStore, Store, StoreHealth};
use testmo_courier::tenants::{Entered, verify};
use testmo_courier::testmo::Access;
use testmo_sim::AccountHandle;
use testmo_sim::world::{AccountSpec, FolderSpec};

use super::Stage;
use crate::support::batches::{key_of, tenant_id};
use crate::support::waiting::until;

impl Stage {
    /// Enters a connection to an account and verifies it; returns whether it works.
    pub(crate) async fn connect(&mut self, tenant: &str, account: &str, key: &str) -> bool {
        self.connect_to(tenant, &self.testmo.origin(account), key).await
    }

    /// Enters a connection to any listed origin and verifies it; returns whether it works.
    pub(crate) async fn connect_to(&mut self, tenant: &str, origin: &str, key: &str) -> bool {
        let origin = self.tenants.policy().check(origin).expect("a listed origin");
        let access = Access { origin, key: SecretString::from(key) };
        let entered = Entered {
            tenant: tenant_id(tenant),
            access: access.clone(),
            expires_on: None,
            project: 1,
            folder: 1,
            mapping: MappingSpec::default(),
            resolved: Some(Mapping::default()),
            fields: Default::default(),
        };
        let finding = verify(&self.client, &access, 1, 1).await;
        let row = self.tenants.enter(entered).expect("a sealed key").judged(finding, self.store.now());
        self.enter(&row).await;
        row.is_verified()
    }

    /// Replaces a tenant's account by one with so many folders below the tenant's folder, `F-0` with the id 100 and so on,
    /// and connects to it.
    pub(crate) async fn connect_with_folders(&mut self, tenant: &str, count: u64) {
        let mut spec = AccountSpec::with_one_folder(&key_of(tenant));
        let folder = |n: u64| FolderSpec { id: Some(100 + n), name: format!("F-{n}"), folders: vec![] };
        spec.projects[0].folders[0].folders = (0..count).map(folder).collect();
        self.account(tenant).create(spec).expect("an account");
        assert!(self.connect(tenant, tenant, &key_of(tenant)).await);
    }

    /// Has connections be refused so long ago that they are due to be verified again, the first one first.
    pub(crate) async fn fail_long_ago(&self, tenants: &[&str]) {
        let past = Store::open(&self.config.store, false, Clock::standing_at(1)).await.expect("a store");
        for tenant in tenants {
            let mut row = past.connection(&tenant_id(tenant)).await.expect("a store").expect("a connection");
            row.verified_version = None;
            row.finding = Some(Verification::Fails { reason: Reason::Forbidden, detail: "refused".into() });
            past.set_connection(&row).await.expect("a store");
        }
        past.close().await;
    }

    /// Has a person enter another folder for a verified connection, which did not exist then, so long ago that the change is
    /// due to be verified again.
    pub(crate) async fn change_long_ago(&self, tenant: &str, folder: u64) {
        let past = Store::open(&self.config.store, false, Clock::standing_at(1)).await.expect("a store");
        let row = past.connection(&tenant_id(tenant)).await.expect("a store").expect("a connection");
        let entered = Entered {
            tenant: row.tenant.clone(),
            access: self.tenants.access(&row).expect("a key"),
            expires_on: None,
            project: row.project,
            folder,
            mapping: MappingSpec::default(),
            resolved: Some(Mapping::default()),
            fields: Default::default(),
        };
        let candidate = self.tenants.enter(entered).expect("a sealed key");
        let missing = Verification::Fails { reason: Reason::TargetMissing, detail: "no such folder".into() };
        let next = Successor::of(candidate, &row, missing, 1);
        let changed = ConnectionRow { successor: Some(next.into()), ..row };
        assert!(past.set_connection(&changed).await.expect("a store").is_done());
        past.close().await;
    }

    /// Enters a connection that has worked before, even if its origin does not answer now.
    pub(crate) async fn connect_as_proven(&self, tenant: &str, origin: &str) {
        self.connect_with(tenant, origin, Mapping::default()).await;
    }

    /// Enters a connection with a mapping by ids as one that works, without asking Testmo.
    pub(crate) async fn connect_with(&self, tenant: &str, origin: &str, mapping: Mapping) {
        let origin = self.tenants.policy().check(origin).expect("a listed origin");
        let entered = Entered {
            tenant: tenant_id(tenant),
            access: Access { origin, key: SecretString::from(key_of(tenant)) },
            expires_on: None,
            project: 1,
            folder: 1,
            mapping: mapping.clone().into(),
            resolved: Some(mapping),
            fields: Default::default(),
        };
        let works =
            Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into(), not_there: vec![] };
        let row = self.tenants.enter(entered).expect("a sealed key").judged(works, self.store.now());
        self.enter(&row).await;
    }

    /// Stores a connection in place of the tenant's present one, even if a worker changes the present one meanwhile.
    async fn enter(&self, row: &ConnectionRow) {
        until(async || {
            let stored = self.store.connection(&row.tenant).await.expect("a store");
            let row = ConnectionRow { epoch: stored.map_or(0, |stored| stored.epoch), ..row.clone() };
            self.store.set_connection(&row).await.expect("a store").is_done()
        })
        .await;
    }

    /// Returns the tenant's account at the stand-in.
    pub(crate) fn account(&self, tenant: &str) -> AccountHandle {
        self.testmo.account(tenant)
    }
}
