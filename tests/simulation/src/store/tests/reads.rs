//! Compares everything that can be read.

use std::collections::BTreeSet;

use testmo_courier::batch::{BatchKey, TenantId};
use testmo_courier::store::folders::NewFolder;
use testmo_courier::store::ledger::PushMembers;
use testmo_courier::store::shelf::ShelfId;
use testmo_courier::store::{
    AccountStore, ConnectionStore, FolderStore, LedgerStore, OutboxStore, ShelfStore, UnboundStore,
};

use super::{Both, shown};

impl Both {
    /// Returns everything that can be read, from both.
    pub(super) async fn everything(&mut self) -> Vec<(String, String)> {
        let mut read = self.rows().await;
        read.extend(self.counts().await);
        read.extend(self.folders_and_ids().await);
        read.extend(self.accounts_and_pushes().await);
        read
    }

    /// Reads batches, the shelf and connections.
    async fn rows(&mut self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        for key in ["a/1", "a/2", "b/1"] {
            let key: BatchKey = key.parse().expect("a key");
            let (real, _) = self.real.batch_at(&key).await.expect("read");
            read.push((shown(&real), shown(&self.memory.batch(&key))));
            let real = self.real.history(&key).await.expect("read");
            read.push((shown(&(real.entries, real.dropped)), shown(&self.memory.history(&key))));
        }
        let (real, memory) = self.shelf().await;
        read.push((shown(&real), shown(&memory)));
        read.push((shown(&self.real.shelf_counts().await.expect("read")), shown(&self.memory.shelf_counts())));
        let (real, now) = (self.real.connected_since(ShelfId(1), 9).await.expect("read"), self.clock.now());
        read.push((shown(&real), shown(&self.memory.connected_since(ShelfId(1), 9, now))));
        read.push((shown(&self.real.shelf_ages().await.expect("read")), shown(&self.memory.shelf_ages())));
        for tenant in ["a", "b"] {
            let tenant: TenantId = tenant.parse().expect("a tenant");
            let real = self.real.connection(&tenant).await.expect("read");
            read.push((shown(&real), shown(&self.memory.connection(&tenant))));
        }
        read
    }

    /// Reads what is counted.
    async fn counts(&mut self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        let expiring = self.real.keys_expiring_by("2027-06-30").await.expect("read");
        read.push((shown(&expiring), shown(&self.memory.keys_expiring_by("2027-06-30"))));
        let connected = self.real.connected_tenants(2).await.expect("read");
        read.push((shown(&connected), shown(&self.memory.connected_tenants(2))));
        let counts = self.real.connection_counts().await.expect("read");
        read.push((shown(&counts), shown(&self.memory.connection_counts())));
        let (wait, now) = (self.wait(), self.clock.now());
        let counts = self.real.unbound_counts(wait, wait).await.expect("read");
        read.push((shown(&counts), shown(&self.memory.unbound_counts(wait, wait, now))));
        let due = self.real.due_count().await.expect("read");
        read.push((shown(&due), shown(&self.memory.due_count())));
        let unsent = self.real.unsent_count().await.expect("read");
        read.push((shown(&unsent), shown(&self.memory.unsent_count())));
        read
    }

    /// Reads folders and the ids of cases.
    async fn folders_and_ids(&mut self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        for name in ["n", "a b"] {
            let (account, parent) = (self.account(), self.rng.u64(1..3));
            let folder = NewFolder { account, project: 1, parent, name: name.into() };
            let real = self.real.known_folder(&folder).await.expect("read");
            read.push((shown(&real), shown(&self.memory.known_folder(&folder))));
        }
        let (account, ids) = (self.account(), [1, 2, 3, 4, 5, 6]);
        let mut held: Vec<u64> = self.real.held_ids(&account, &ids).await.expect("read").into_iter().collect();
        let mut known: Vec<u64> = self.memory.held_ids(&account, &ids).into_iter().collect();
        held.sort_unstable();
        known.sort_unstable();
        read.push((shown(&held), shown(&known)));
        let before = self.clock.now() - self.rng.i64(0..20_000);
        let given = self.real.ids_given_before(&account, &ids, before).await.expect("read");
        let known: BTreeSet<u64> = self.memory.ids_given_before(&account, &ids, before).into_iter().collect();
        read.push((shown(&given.into_iter().collect::<BTreeSet<u64>>()), shown(&known)));
        read
    }

    /// Reads what is due, accounts and pushes.
    async fn accounts_and_pushes(&mut self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        let account = self.account();
        let now = self.clock.now();
        read.push((shown(&self.real.due_tenants(9).await.expect("read")), shown(&self.memory.due_tenants(9, now))));
        read.push((shown(&self.real.shed_counts(9).await.expect("read")), shown(&self.memory.shed_counts(9))));
        read.push((shown(&self.real.lane_overrides().await.expect("read")), shown(&self.memory.lane_overrides())));
        read.push((shown(&self.real.throttle(&account).await.expect("read")), shown(&self.memory.throttle(&account))));
        let push = format!("p{}", self.pushes);
        let sorted = |mut company: PushMembers| {
            company.waiting.sort_by(|a, b| a.key.cmp(&b.key));
            company
        };
        let real = sorted(self.real.push_members(&push).await.expect("read"));
        read.push((shown(&real), shown(&sorted(self.memory.push_members(&push)))));
        let (batch, but) = (self.key(), self.rng.bool().then_some(push.as_str()));
        let last = self.real.last_push(&batch, &account, but).await.expect("read");
        read.push((shown(&last), shown(&self.memory.last_push(&batch, &account, but))));
        read
    }
}
