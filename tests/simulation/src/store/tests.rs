use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use testmo_courier::account::Signal;
use testmo_courier::batch::event::{DELIVERED, Event, KEY_EXPIRED};
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState, OpenPush, Refusal, Target};
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::accounts::{AccountObservation, LaneOverride, LaneSelector};
use testmo_courier::store::connections::{ConnectionRow, SealedKey, Verification};
use testmo_courier::store::folders::{FolderEnd, FolderLimits, NewFolder};
use testmo_courier::store::ledger::{Claim, Commit, PushEnded, PushMembers, RecordUpdate};
use testmo_courier::store::removal::Removal;
use testmo_courier::store::shelf::{
    Action, OperatorAction, ShelfFilter, ShelfId, ShelfIdentity, Shelved, ShelvedUntil, Shelving,
};
use testmo_courier::store::{
    AccountStore, ConnectionStore, FolderStore, LedgerStore, OutboxStore, RetentionStore, ShelfStore, Store,
    StoreHealth, UnboundStore,
};

use super::tables::Tables;

/// How long events are left to a worker that has taken them.
const TAKEN_FOR: Duration = Duration::from_secs(120);

/// The same store twice: on SQLite and in memory.
struct Both {
    real: Store,
    memory: Tables,
    clock: Clock,
    rng: Rng,
    pushes: u32,
    _folder: tempfile::TempDir,
}

impl Both {
    async fn open(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let environment = [("DATABASE_URL".to_owned(), url)].into();
        let config = load(&Sources { files: vec![], environment }).expect("a configuration");
        let clock = Clock::standing_at(1_800_000_000_000);
        let real = Store::open(&config.store, true, clock.clone()).await.expect("a store");
        let rng = Rng::with_seed(seed);
        Self { real, memory: Tables::default(), clock, rng, pushes: 0, _folder: folder }
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())].clone()
    }

    fn tenant(&mut self) -> TenantId {
        self.one_of(&["a", "b"]).parse().expect("a tenant")
    }

    fn key(&mut self) -> BatchKey {
        self.one_of(&["a/1", "a/2", "b/1"]).parse().expect("a key")
    }

    fn account(&mut self) -> String {
        self.one_of(&["https://x.testmo.net", "https://y.testmo.net"]).to_owned()
    }

    fn wait(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(0..20_000))
    }

    /// A record as a worker may want it stored: from what is stored, or from nothing, or from what was once.
    fn revised(&mut self, step: fn(&mut BatchRecord, &mut Rng)) -> RecordUpdate {
        let key = self.key();
        let fresh = || BatchRecord::fresh(key.clone(), "1:f".into(), ["a".to_owned(), "b".to_owned()]);
        let mut record = match self.memory.batch(&key) {
            Some(stored) if self.rng.u8(..8) > 0 && !stored.record.cases.is_empty() => stored.record,
            Some(_) | None => fresh(),
        };
        if self.rng.u8(..12) == 0 {
            record.fingerprint = "1:other".into();
        }
        let from_epoch = if self.rng.u8(..10) == 0 { record.epoch + 1 } else { record.epoch };
        step(&mut record, &mut self.rng);
        RecordUpdate { record, from_epoch }
    }

    fn shelving(&mut self) -> Shelving {
        let identity = match self.rng.u8(..3) {
            0 => ShelfIdentity::Raw(self.one_of(&["h", "g"]).into(), None, None),
            _ => ShelfIdentity::Batch(self.key(), self.one_of(&["1:f", "1:other"]).into()),
        };
        let until = [ShelvedUntil::After(self.wait()), ShelvedUntil::Connection, ShelvedUntil::Person];
        Shelving {
            identity,
            reason: self.one_of(&[
                Reason::KeyRefused,
                Reason::Suspect,
                Reason::NoRoom,
                Reason::CrashLoop,
                Reason::Paused,
            ]),
            detail: self.rng.bool().then(|| "d".into()),
            until: self.one_of(&until),
            account: self.rng.bool().then(|| self.account()),
            connection: self.one_of(&[None, Some("v1".into()), Some("v2".into())]),
            parks: self.rng.u32(..3),
            failing_since: self.rng.bool().then_some(5),
            arrived_at: self.rng.i64(0..4),
            published_at: self.rng.bool().then_some(6),
            headers: [("h".to_owned(), self.one_of(&["1", "2"]).to_owned())].into(),
            body: vec![self.rng.u8(..)],
        }
    }

    fn connection(&mut self) -> ConnectionRow {
        let version = self.one_of(&["v1", "v2"]);
        let verified = self.rng.u8(..3) > 0;
        ConnectionRow {
            tenant: self.tenant(),
            version: version.into(),
            origin: self.account(),
            key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into() },
            expires_on: self.one_of(&[None, Some("2027-01-01".into()), Some("2028-01-01".into())]),
            project: 1,
            folder: 2,
            mapping: Default::default(),
            resolved: Some(Default::default()),
            verified_version: verified.then(|| version.into()),
            verified_at: verified.then(|| self.clock.now()),
            checked_at: None,
            finding: Some(self.finding()),
            last_success_at: None,
            epoch: 0,
        }
    }

    /// The epoch of a tenant's connection, or one that it had or will have.
    fn epoch(&mut self, tenant: &TenantId) -> u64 {
        let epoch = self.memory.connection(tenant).map_or(0, |row| row.epoch);
        match self.rng.u8(..8) {
            0 => epoch + 1,
            1 => epoch.saturating_sub(1),
            _ => epoch,
        }
    }

    fn finding(&mut self) -> Verification {
        match self.rng.u8(..4) {
            0 => Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() },
            1 => Verification::Fails { reason: Reason::Forbidden, detail: "d".into() },
            2 => Verification::Fails { reason: Reason::ServerError, detail: "d".into() },
            _ => Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() },
        }
    }

    /// The rows of the shelf, as both have them.
    async fn shelf(&self) -> (Vec<Shelved>, Vec<Shelved>) {
        let mut real = self.real.shelf(&ShelfFilter::default(), 1_000).await.expect("rows");
        let told = |(id, row): (&i64, &super::tables::ShelfRow)| row.told(*id, self.clock.now());
        let mut memory: Vec<Shelved> = self.memory.shelf.iter().map(told).collect();
        real.sort_by_key(|row| row.id);
        memory.sort_by_key(|row| row.id);
        (real, memory)
    }

    /// One call, on both; gives what they answered.
    async fn call(&mut self) -> (&'static str, String, String) {
        match self.rng.u8(..30) {
            0..=3 => self.claim().await,
            4..=8 => self.commit().await,
            9 => {
                let row = self.connection();
                let epoch = self.epoch(&row.tenant);
                let (row, now) = (ConnectionRow { epoch, ..row }, self.clock.now());
                let real = self.real.set_connection(&row).await.expect("an answer");
                ("set_connection", told(&real), told(&self.memory.set_connection(&row, now)))
            }
            10 => {
                let (tenant, version, finding) = (self.tenant(), self.one_of(&["v1", "v2"]), self.finding());
                let (epoch, now) = (self.epoch(&tenant), self.clock.now());
                let real = self.real.record_verification(&tenant, version, epoch, &finding).await.expect("an answer");
                (
                    "record_verification",
                    told(&real),
                    told(&self.memory.record_verification(&tenant, version, epoch, &finding, now)),
                )
            }
            11 => {
                let (lease, now) = (self.wait(), self.clock.now());
                let mut real = self.real.take_reverifications(lease, 9).await.expect("taken");
                let mut memory = self.memory.take_reverifications(lease, 9, now);
                real.sort_by_key(|row| row.tenant.clone());
                memory.sort_by_key(|row| row.tenant.clone());
                ("take_reverifications", told(&real), told(&memory))
            }
            12 | 13 => {
                let (lease, now) = (self.wait(), self.clock.now());
                let asks = [(self.tenant(), self.rng.u32(0..4)), (self.tenant(), self.rng.u32(0..4))];
                let real = self.real.lease_due("w", lease, &asks).await.expect("leased");
                ("lease_due", told(&real), told(&self.memory.lease_due(lease, &asks, now)))
            }
            14 => {
                let (lease, now) = (self.wait(), self.clock.now());
                let real = self.real.lease_suspect("w", lease).await.expect("leased");
                ("lease_suspect", told(&real), told(&self.memory.lease_suspect(lease, now)))
            }
            15 => {
                let leases = [(ShelfId(self.rng.i64(1..6)), self.rng.i64(1..6))];
                self.real.release(&leases).await.expect("released");
                ("release", told(&()), told(&self.memory.release(&leases)))
            }
            16 | 17 => self.outbox().await,
            18 | 24 | 25 => self.folder().await,
            28 | 29 => self.unbound().await,
            19 | 20 => {
                let (account, lease, now) = (self.account(), self.wait(), self.clock.now());
                let tenant = self.rng.bool().then(|| self.tenant());
                let real = self.real.permit(&account, tenant.as_ref(), lease).await.expect("an answer");
                ("permit", told(&real), told(&self.memory.permit(&account, tenant.as_ref(), lease, now)))
            }
            21 => {
                let lane = if self.rng.bool() {
                    LaneSelector::Tenant(self.tenant())
                } else {
                    LaneSelector::Account(self.account())
                };
                let (paused, most) = (self.rng.u8(..3) == 0, self.one_of(&[None, None, Some(1), Some(2)]));
                let (order, now) = (LaneOverride { lane, paused, most }, self.clock.now());
                self.real.set_lane_override(&order).await.expect("stored");
                ("set_lane_override", told(&()), told(&self.memory.set_lane_override(&order, now)))
            }
            26 | 27 => self.removal().await,
            22 => {
                let (after, lease, now) = (self.wait(), self.wait(), self.clock.now());
                let mut real = self.real.take_late_checks(after, lease, 9).await.expect("taken");
                let mut memory = self.memory.take_late_checks(after, lease, 9, now);
                real.sort_by_key(|stored| stored.record.key.clone());
                memory.sort_by_key(|stored| stored.record.key.clone());
                ("take_late_checks", told(&real), told(&memory))
            }
            _ => {
                let (retention, most, now) = (self.wait(), self.rng.u32(1..4), self.clock.now());
                let real = self.real.prune(retention, most).await.expect("pruned");
                ("prune", told(&real), told(&self.memory.prune(retention, most, now)))
            }
        }
    }

    /// A step of a person who may remove a tenant.
    async fn removal(&mut self) -> (&'static str, String, String) {
        let (tenant, now) = (self.tenant(), self.clock.now());
        match self.rng.u8(..6) {
            0..=2 => {
                let hold = self.wait();
                let real = self.real.begin_removal(&tenant, hold).await.expect("begun");
                let rows = |removal: Removal| removal.shelved.iter().map(|(id, n)| (id.0, *n)).collect::<Vec<_>>();
                let memory = self.memory.begin_removal(&tenant, hold, now);
                ("begin_removal", told(&real.map(rows)), told(&memory))
            }
            3 => {
                self.real.end_removal(&tenant).await.expect("ended");
                ("end_removal", told(&()), told(&self.memory.end_removal(&tenant, now)))
            }
            _ => {
                let version = self.one_of(&["v1", "v2"]);
                let real = self.real.remove_tenant(&tenant, version).await.expect("an answer");
                ("remove_tenant", told(&real), told(&self.memory.remove_tenant(&tenant, version)))
            }
        }
    }

    /// A claim of one batch or of several, never twice of one.
    async fn claim(&mut self) -> (&'static str, String, String) {
        self.pushes += 1;
        let account = self.account();
        let push = format!("p{}", self.pushes);
        let mut batches: Vec<RecordUpdate> = Vec::new();
        for _ in 0..self.rng.u8(1..4) {
            let mut revised = self.revised(|_, _| {});
            if batches.iter().any(|other| other.record.key == revised.record.key) {
                continue;
            }
            let waiting: Vec<usize> = revised.record.waiting().collect();
            let mark = self.rng.bool().then(|| "m".to_owned());
            let open = OpenPush { id: push.clone(), connection: "v1".into(), batch_tag: mark, committed: false };
            let target = Target { account: account.clone(), project: 1, folder: self.rng.u64(2..4) };
            revised.record.claim(&waiting, open, &target);
            batches.push(revised);
        }
        let claim = Claim {
            push,
            tenant: batches[0].record.key.tenant.clone(),
            connection: self.one_of(&["v1", "v2"]).into(),
            account,
            ceiling: self.rng.u32(1..4),
            holder: "w".into(),
            lease: self.wait(),
            batches,
        };
        let now = self.clock.now();
        let real = self.real.claim(claim.clone()).await.expect("an answer");
        ("claim", told(&real), told(&self.memory.claim(&claim, now)))
    }

    async fn commit(&mut self) -> (&'static str, String, String) {
        let mut change = Commit::default();
        if self.rng.u8(..3) > 0 {
            let revised = self.revised(end);
            let ids = ids_of(&revised.record);
            let ended = PushEnded { push: format!("p{}", self.pushes), answer: "2xx", ids };
            change.ended = self.rng.bool().then_some(ended);
            change.batch = Some(revised);
            change.lease = self.rng.bool().then(|| self.wait());
        }
        if self.rng.u8(..4) == 0 {
            change.shelve = Some(self.shelving());
        }
        if self.rng.u8(..5) == 0 {
            change.unshelve = Some((self.rng.i64(1..6), self.rng.i64(1..5)));
        }
        if self.rng.u8(..8) == 0 {
            let action = self.one_of(&[Action::Replay, Action::Discard]);
            let (id, generation) = (ShelfId(self.rng.i64(1..6)), self.rng.i64(1..5));
            change.operator_action = Some(OperatorAction { id, generation, action });
        }
        if self.rng.u8(..3) == 0 {
            let id = self.one_of(&["e1", "e2", "e3"]).to_owned();
            let routing_key = self.one_of(&["k", "l"]).to_owned();
            let (kind, subject, body) = (self.one_of(&[DELIVERED, KEY_EXPIRED]), "s".into(), "{}".into());
            change.events = vec![Event { id, kind, routing_key, subject, body }];
            change.owner_grace = self.rng.bool().then(|| self.wait());
        }
        if self.rng.u8(..3) == 0 {
            let signal = [
                Signal::Answered,
                Signal::Slow,
                Signal::Throttled(self.wait()),
                Signal::Failed,
                Signal::Failed,
                Signal::ProbeFailed,
            ];
            let (account, signal, ceiling) = (self.account(), self.one_of(&signal), self.rng.u32(1..4));
            change.observation = Some(AccountObservation { account, signal, ceiling });
        }
        if self.rng.u8(..4) == 0 {
            change.success = Some(self.tenant());
        }
        let now = self.clock.now();
        let real = self.real.commit(change.clone().into()).await.expect("an answer");
        ("change", told(&real), told(&self.memory.commit(&change, now)))
    }

    async fn outbox(&mut self) -> (&'static str, String, String) {
        let now = self.clock.now();
        let mut real = self.real.unsent(100, TAKEN_FOR).await.expect("events");
        let mut memory = self.memory.unsent(100, TAKEN_FOR, now);
        real.sort_by_key(|event| event.id.clone());
        memory.sort_by_key(|event| event.id.clone());
        let answers = (told(&real), told(&memory));
        let events = &real[..self.rng.usize(..=real.len())];
        match self.rng.u8(..4) {
            3 => {
                let (returned, behind) = events.split_at(self.rng.usize(..=events.len()));
                self.real.set_aside(returned, behind).await.expect("set aside");
                self.memory.set_aside(returned, behind, now);
            }
            0 => {
                self.real.mark_sent(events).await.expect("marked");
                self.memory.mark_sent(events);
            }
            1 => {
                let pause = self.wait();
                self.real.postpone(events, pause).await.expect("postponed");
                self.memory.postpone(events, pause, now);
            }
            _ => {
                let id = self.one_of(&["e1", "e2", "e3"]);
                self.real.resend_event("s", id).await.expect("due again");
                self.memory.resend_event(id, now);
            }
        }
        ("unsent", answers.0, answers.1)
    }

    async fn unbound(&mut self) -> (&'static str, String, String) {
        let (now, most, wait) = (self.clock.now(), self.rng.u32(1..3), self.wait());
        if self.rng.bool() {
            let key = self.one_of(&["k", "l"]);
            let mut real = self.real.release_waiting(key, most, wait).await.expect("released");
            let mut memory = self.memory.release_waiting(key, most, wait, now);
            real.events.sort_by_key(|event| event.id.clone());
            memory.events.sort_by_key(|event| event.id.clone());
            return ("release_waiting", told(&real), told(&memory));
        }
        let mut real = self.real.take_probes(most, wait).await.expect("probes");
        let mut memory = self.memory.take_probes(most, wait, now);
        real.sort_by_key(|probe| probe.routing_key.clone());
        memory.sort_by_key(|probe| probe.routing_key.clone());
        if let Some(event) = real.iter().find_map(|probe| probe.event.clone()) {
            if self.rng.bool() {
                self.real.mark_sent(std::slice::from_ref(&event)).await.expect("marked");
                self.memory.mark_sent(&[event]);
            } else {
                self.real.set_aside(std::slice::from_ref(&event), &[]).await.expect("set aside");
                self.memory.set_aside(&[event], &[], now);
            }
        }
        ("take_probes", told(&real), told(&memory))
    }

    async fn folder(&mut self) -> (&'static str, String, String) {
        let (parent, account) = (self.rng.u64(1..3), self.account());
        let name = self.one_of(&["n", "a b", "a  b"]).to_owned();
        let new = NewFolder { account, project: 1, parent, name };
        let (holder, wait, now) = (self.one_of(&["w", "v"]), self.wait(), self.clock.now());
        match self.rng.u8(..6) {
            0 | 1 => {
                let shown_as = self.rng.bool().then(|| "a b".to_owned());
                let ends = [
                    FolderEnd::NotCreated,
                    FolderEnd::Created { id: self.rng.u64(5..9), shown_as },
                    FolderEnd::Astray(wait),
                    FolderEnd::Unknown(wait),
                ];
                let end = self.one_of(&ends);
                self.real.release_folder(&new, holder, &end).await.expect("freed");
                ("release_folder", told(&()), told(&self.memory.release_folder(&new, holder, &end, now)))
            }
            2 => {
                let id = self.rng.u64(5..9);
                self.real.forget_folder(&new, id).await.expect("forgotten");
                ("forget_folder", told(&()), told(&self.memory.forget_folder(&new, id)))
            }
            3 => {
                let limits = FolderLimits { window: self.wait(), unknown: self.wait(), spacing: self.wait() / 4 };
                let real = self.real.begin_folder_request(&new, holder, &limits).await.expect("an answer");
                (
                    "begin_folder_request",
                    told(&real),
                    told(&self.memory.begin_folder_request(&new, holder, &limits, now)),
                )
            }
            _ => {
                let real = self.real.claim_folder(&new, holder, wait).await.expect("an answer");
                ("claim_folder", told(&real), told(&self.memory.claim_folder(&new, holder, wait, now)))
            }
        }
    }

    /// Everything that can be read, from both.
    async fn everything(&mut self) -> Vec<(String, String)> {
        let mut read = Vec::new();
        for key in ["a/1", "a/2", "b/1"] {
            let key: BatchKey = key.parse().expect("a key");
            let (real, _) = self.real.batch_at(&key).await.expect("read");
            read.push((told(&real), told(&self.memory.batch(&key))));
        }
        let (real, memory) = self.shelf().await;
        read.push((told(&real), told(&memory)));
        read.push((told(&self.real.shelf_counts().await.expect("read")), told(&self.memory.shelf_counts())));
        for tenant in ["a", "b"] {
            let tenant: TenantId = tenant.parse().expect("a tenant");
            let real = self.real.connection(&tenant).await.expect("read");
            read.push((told(&real), told(&self.memory.connection(&tenant))));
        }
        let expiring = self.real.keys_expiring_by("2027-06-30").await.expect("read");
        read.push((told(&expiring), told(&self.memory.keys_expiring_by("2027-06-30"))));
        let counts = self.real.connection_counts().await.expect("read");
        read.push((told(&counts), told(&self.memory.connection_counts())));
        let (wait, now) = (self.wait(), self.clock.now());
        let counts = self.real.unbound_counts(wait, wait).await.expect("read");
        read.push((told(&counts), told(&self.memory.unbound_counts(wait, wait, now))));
        let due = self.real.due_count().await.expect("read");
        read.push((told(&due), told(&self.memory.due_count())));
        let unsent = self.real.unsent_count().await.expect("read");
        read.push((told(&unsent), told(&self.memory.unsent_count())));
        for name in ["n", "a b"] {
            let (account, parent) = (self.account(), self.rng.u64(1..3));
            let folder = NewFolder { account, project: 1, parent, name: name.into() };
            let real = self.real.known_folder(&folder).await.expect("read");
            read.push((told(&real), told(&self.memory.known_folder(&folder))));
        }
        let (account, ids) = (self.account(), [1, 2, 3, 4, 5, 6]);
        let mut held: Vec<u64> = self.real.held_ids(&account, &ids).await.expect("read").into_iter().collect();
        let mut known: Vec<u64> = self.memory.held_ids(&account, &ids).into_iter().collect();
        held.sort_unstable();
        known.sort_unstable();
        read.push((told(&held), told(&known)));
        let now = self.clock.now();
        read.push((told(&self.real.due_tenants(9).await.expect("read")), told(&self.memory.due_tenants(9, now))));
        read.push((told(&self.real.shed_counts(9).await.expect("read")), told(&self.memory.shed_counts(9))));
        read.push((told(&self.real.lane_overrides().await.expect("read")), told(&self.memory.lane_overrides())));
        read.push((told(&self.real.throttle(&account).await.expect("read")), told(&self.memory.throttle(&account))));
        let push = format!("p{}", self.pushes);
        let sorted = |mut company: PushMembers| {
            company.waiting.sort_by(|a, b| a.key.cmp(&b.key));
            company
        };
        let real = sorted(self.real.push_members(&push).await.expect("read"));
        read.push((told(&real), told(&sorted(self.memory.push_members(&push)))));
        let (batch, but) = (self.key(), self.rng.bool().then_some(push.as_str()));
        let last = self.real.last_push(&batch, &account, but).await.expect("read");
        read.push((told(&last), told(&self.memory.last_push(&batch, &account, but))));
        read
    }
}

fn told(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}")
}

/// One of the ends that a push, a look or a settlement can have.
fn end(record: &mut BatchRecord, rng: &mut Rng) {
    match rng.u8(..8) {
        0 => record.created(&[(0, rng.u64(1..7)), (1, rng.u64(1..7))]),
        1 => record.created(&[(1, rng.u64(1..7))]),
        2 => record.not_created(vec![(0, Refusal { reason: Reason::CaseRefused, said: vec![] })]),
        3 => record.unclear(rng.i64(1_799_999_000_000..1_800_000_000_000)),
        4 => record.looked(&[(0, rng.u64(1..7))], false),
        5 => record.looked(&[], false),
        6 => record.last_looked(),
        _ => {
            record.state = record.outcome().unwrap_or(BatchState::Failed);
            record.settled_at = Some(rng.i64(1_799_999_900_000..1_800_000_000_000));
            record.revision += 1;
            record.epoch += 1;
        }
    }
}

fn ids_of(record: &BatchRecord) -> Option<(u64, u64)> {
    let mut ids: Vec<u64> = Vec::new();
    for case in &record.cases {
        if let CaseState::Created(id) | CaseState::Adopted(id) = case.state {
            ids.push(id);
        }
    }
    Some((*ids.iter().min()?, *ids.iter().max()?))
}

#[tokio::test]
async fn it_answers_as_the_store_on_sqlite_does_whatever_the_calls() {
    for seed in 0..24 {
        let mut both = Both::open(seed).await;
        for step in 0..120 {
            let (call, real, memory) = both.call().await;
            assert_eq!(memory, real, "seed {seed}, step {step}: {call}");
            for (real, memory) in both.everything().await {
                assert_eq!(memory, real, "seed {seed}, after step {step}: {call}");
            }
            let jump = both.rng.i64(0..4_000);
            both.clock.set(both.clock.now() + if both.rng.bool() { 0 } else { jump });
        }
        both.real.close().await;
    }
}

#[test]
fn where_workers_share_it_an_event_is_given_to_one_of_them_for_a_while() {
    let mut tables = Tables { shared: true, ..Tables::default() };
    let event =
        Event { id: "e".into(), kind: DELIVERED, routing_key: "k".into(), subject: "s".into(), body: "{}".into() };
    tables.put_events(&[event], None, 1_000);
    let taken = tables.unsent(9, TAKEN_FOR, 1_000);
    assert_eq!((taken.len(), tables.unsent(9, TAKEN_FOR, 1_000).len()), (1, 0));
    assert_eq!(tables.unsent(9, TAKEN_FOR, 121_000).len(), 1, "whoever took it is gone");
    tables.mark_sent(&taken);
    assert_eq!(tables.unsent_count(), 1, "it was taken again since");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_is_done_although_whoever_asked_is_gone() {
    use crate::diary::Diary;
    use crate::fuse::Fuse;
    use crate::weather::{Rates, Weather};
    let (diary, weather) = (Arc::new(Diary::begin(false)), Arc::new(Weather::new(3, Rates::default())));
    let store = super::MemoryStore::new(Tables::default(), diary, weather);
    let observation =
        AccountObservation { account: "x".into(), signal: Signal::Throttled(Duration::from_secs(9)), ceiling: 1 };
    let (fuse, change) = (Fuse::new(), Commit { observation: Some(observation), ..Commit::default() });
    let mut calls = 0;
    while store.at_once(|tables, _| tables.throttles.is_empty()) {
        let of = store.of(1, fuse.clone());
        let asked = testmo_courier::store::LedgerStore::commit(&of, change.clone().into());
        // Given up before it is answered, as a process does that is killed.
        drop(tokio::time::timeout(Duration::ZERO, asked).await);
        tokio::time::sleep(Duration::from_secs(9)).await;
        calls += 1;
        assert!(calls < 100);
    }
    fuse.blow();
    let late = store.of(1, fuse.clone());
    let answer = tokio::time::timeout(Duration::from_secs(99), testmo_courier::store::StoreHealth::ping(&late)).await;
    assert!(answer.is_err(), "a process that is gone is not answered");
}
