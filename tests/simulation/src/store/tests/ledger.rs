//! Compares claims, commits, late-duplicate checks and pruning.

use testmo_courier::account::Signal;
use testmo_courier::batch::event::{DELIVERED, Event, KEY_EXPIRED};
use testmo_courier::batch::ledger::{OpenPush, Target};
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::actor::{Actor, Face, Role};
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::ledger::{Claim, Commit, PushEnded, RecordUpdate};
use testmo_courier::store::shelf::{Action, EditedMessage, OperatorAction, ShelfId, ShelfIdentity};
use testmo_courier::store::{LedgerStore, RetentionStore};

use super::draws::{end, ids_of};
use super::{Both, Call, shown};

impl Both {
    /// Claims one batch or several, none of them twice.
    pub(super) async fn claim(&mut self) -> Call {
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
            let batch_tag = self.rng.bool().then(|| "m".to_owned());
            let open = OpenPush { id: push.clone(), connection: "v1".into(), batch_tag, committed: false };
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
        ("claim", shown(&real), shown(&self.memory.claim(&claim, now).expect("an answer")))
    }

    pub(super) async fn commit(&mut self) -> Call {
        let mut change = Commit::default();
        if self.rng.u8(..3) > 0 {
            let revised = self.revised(end);
            let ids = ids_of(&revised.record);
            let ended = PushEnded { push: format!("p{}", self.pushes), answer: "2xx".into(), detail: None, ids };
            change.ended = self.rng.bool().then_some(ended);
            change.batch = Some(revised);
            change.lease = self.rng.bool().then(|| self.wait());
        }
        if self.rng.u8(..4) == 0 {
            change.shelve = Some(self.shelving());
        }
        if self.rng.u8(..3) == 0 {
            change.history = vec![self.happening()];
        }
        if self.rng.u8(..5) == 0 {
            change.unshelve = Some((self.rng.i64(1..6), self.rng.i64(1..5)));
            change.unless_open = self.rng.bool().then(|| self.key());
        }
        if self.rng.u8(..8) == 0 {
            let action = self.one_of(&[Action::Replay, Action::Discard]);
            let (id, generation) = (ShelfId(self.rng.i64(1..6)), self.rng.i64(1..5));
            let batch = self.rng.bool().then(|| self.key());
            change.operator_action = Some(OperatorAction { id, generation, action, batch, item: None });
            let anna = Actor::new("anna", Role::Operator, Face::Api);
            let entry = AuditEntry::new(&anna, AuditAction::DiscardEntry, AuditSubject::entry(id, None, None));
            change.audit = if self.rng.bool() { vec![entry] } else { vec![] };
        } else if self.rng.u8(..10) == 0 {
            let (id, generation) = (ShelfId(self.rng.i64(1..6)), self.rng.i64(1..5));
            let identity = ShelfIdentity::Batch(self.key(), "1:f".into());
            let body = b"edited".to_vec().into();
            change.edit = Some(EditedMessage { id, generation, identity, headers: Default::default(), body });
        } else if self.rng.u8(..6) == 0 {
            change.restore = Some(ShelfId(self.rng.i64(1..6)));
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
                Signal::ProbeAnswered,
            ];
            let (account, signal, ceiling) = (self.account(), self.one_of(&signal), self.rng.u32(1..4));
            change.observation = Some(AccountObservation { account, signal, ceiling });
        }
        if self.rng.u8(..4) == 0 {
            change.success = Some(self.tenant());
        }
        let now = self.clock.now();
        let real = self.real.commit(change.clone().into()).await.expect("an answer");
        ("change", shown(&real), shown(&self.memory.commit(&change, now)))
    }

    /// Takes late-duplicate checks.
    pub(super) async fn late_checks(&mut self) -> Call {
        let (after, lease, now) = (self.wait(), self.wait(), self.clock.now());
        let mut real = self.real.take_late_checks(after, lease, 9).await.expect("taken");
        let mut memory = self.memory.take_late_checks(after, lease, 9, now);
        real.sort_by_key(|stored| stored.record.key.clone());
        memory.sort_by_key(|stored| stored.record.key.clone());
        ("take_late_checks", shown(&real), shown(&memory))
    }

    /// Prunes what finished.
    pub(super) async fn prune(&mut self) -> Call {
        let (retention, most, now) = (self.wait(), self.rng.u32(1..4), self.clock.now());
        let real = self.real.prune(retention, most).await.expect("pruned");
        ("prune", shown(&real), shown(&self.memory.prune(retention, most, now)))
    }
}
