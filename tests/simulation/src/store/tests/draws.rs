//! Draws the values of calls.

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::batch::ledger::{self, BatchRecord, BatchState, CaseState};
use testmo_courier::batch::render::catalogue::{Catalogue, Field, FieldKind};
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::store::connections::{ConnectionRow, Refusal, SealedKey, Successor, Verification};
use testmo_courier::store::history::{Happening, HistoryEntry, Reconciliation};
use testmo_courier::store::ledger::RecordUpdate;
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};

use super::Both;

impl Both {
    pub(super) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(..all.len())].clone()
    }

    pub(super) fn tenant(&mut self) -> TenantId {
        self.one_of(&["a", "b"]).parse().expect("a tenant")
    }

    pub(super) fn key(&mut self) -> BatchKey {
        self.one_of(&["a/1", "a/2", "b/1"]).parse().expect("a key")
    }

    pub(super) fn account(&mut self) -> String {
        self.one_of(&["https://x.testmo.net", "https://y.testmo.net"]).to_owned()
    }

    pub(super) fn wait(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(0..20_000))
    }

    /// A record as a worker may want it stored: from what is stored, or from nothing, or from what was once.
    pub(super) fn revised(&mut self, step: fn(&mut BatchRecord, &mut Rng)) -> RecordUpdate {
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

    pub(super) fn shelving(&mut self) -> Shelving {
        let identity = match self.rng.u8(..3) {
            0 => ShelfIdentity::Raw(self.one_of(&["h", "g"]).into(), None, None),
            _ => ShelfIdentity::Batch(self.key(), self.one_of(&["1:f", "1:other"]).into()),
        };
        let until = [ShelvedUntil::After(self.wait()), ShelvedUntil::Connection, ShelvedUntil::Person];
        Shelving {
            identity,
            reason: self.one_of(&[
                Reason::KeyRefused,
                Reason::UnknownTenant,
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
            body: vec![self.rng.u8(..)].into(),
        }
    }

    /// Something that happened to a batch.
    pub(super) fn happening(&mut self) -> HistoryEntry {
        let found = |adopted| Happening::Reconciled(Reconciliation { unknown: 2, adopted, ..Default::default() });
        let retried = |detail| Happening::retried(Reason::ServerError, detail);
        let what = [retried(None), retried(Some("d")), found(0), found(1), Happening::LateChecked { duplicates: 1 }];
        let now = self.clock.now();
        HistoryEntry::once(self.one_of(&what), now, self.rng.bool().then_some(now + 5))
    }

    /// A connection that a person enters; sometimes it keeps a refusal, and sometimes another is to succeed it.
    pub(super) fn connection(&mut self) -> ConnectionRow {
        let now = self.clock.now();
        let refusal = if self.rng.u8(..4) == 0 { Refusal::of(&self.finding(), now) } else { None };
        let row = ConnectionRow { refusal, ..self.entered() };
        if self.rng.u8(..4) > 0 {
            return row;
        }
        let (next, finding) = (self.entered(), self.finding());
        ConnectionRow { successor: Some(Box::new(Successor::of(next, &row, finding, now))), ..row }
    }

    fn entered(&mut self) -> ConnectionRow {
        let version = self.one_of(&["v1", "v2"]);
        let verified = self.rng.u8(..3) > 0;
        ConnectionRow {
            tenant: self.tenant(),
            version: version.into(),
            origin: self.account(),
            key: SealedKey { nonce: vec![1], ciphertext: vec![2], bound_to: "x".into(), key_id: String::new() },
            expires_on: self.one_of(&[None, Some("2027-01-01".into()), Some("2028-01-01".into())]),
            project: 1,
            folder: 2,
            mapping: Default::default(),
            resolved: Some(Default::default()),
            verified_version: verified.then(|| version.into()),
            verified_at: verified.then(|| self.clock.now()),
            checked_at: None,
            finding: Some(self.finding()),
            seen: Default::default(),
            fields: fields(self.one_of(&["custom_a", "custom_b"])),
            last_success_at: None,
            refusal: None,
            successor: None,
            probe: None,
            source: None,
            epoch: 0,
        }
    }

    /// The epoch of a tenant's connection, or one that it had or will have.
    pub(super) fn epoch(&mut self, tenant: &TenantId) -> u64 {
        let epoch = self.memory.connection(tenant).map_or(0, |row| row.epoch);
        match self.rng.u8(..8) {
            0 => epoch + 1,
            1 => epoch.saturating_sub(1),
            _ => epoch,
        }
    }

    pub(super) fn finding(&mut self) -> Verification {
        match self.rng.u8(..4) {
            0 => Verification::Fails { reason: Reason::KeyRefused, detail: "d".into() },
            1 => Verification::Fails { reason: Reason::Forbidden, detail: "d".into() },
            2 => Verification::Fails { reason: Reason::ServerError, detail: "d".into() },
            _ => Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into(), not_there: vec![] },
        }
    }
}

/// A project with one field.
pub(super) fn fields(column: &str) -> FieldKinds {
    let (label, kind) = (column.into(), FieldKind::RichText);
    let field = Field { id: None, column: column.into(), label, options: vec![], required: false, kind };
    FieldKinds::of(&Catalogue { fields: Some(vec![field]), ..Catalogue::default() })
}

/// One of the ends that a push, a look or a settlement can have.
pub(super) fn end(record: &mut BatchRecord, rng: &mut Rng) {
    match rng.u8(..8) {
        0 => record.created(&[(0, rng.u64(1..7)), (1, rng.u64(1..7))]),
        1 => record.created(&[(1, rng.u64(1..7))]),
        2 => record.not_created(vec![(0, ledger::Refusal { reason: Reason::CaseRefused, said: vec![] })]),
        3 => record.unclear(rng.i64(1_799_999_000_000..1_800_000_000_000)),
        4 => record.reconciled(&[(0, rng.u64(1..7))], false),
        5 => record.reconciled(&[], false),
        6 => record.late_checked(),
        _ => {
            record.state = record.outcome().unwrap_or(BatchState::Failed);
            record.settled_at = Some(rng.i64(1_799_999_900_000..1_800_000_000_000));
            record.revision += 1;
            record.epoch += 1;
        }
    }
}

pub(super) fn ids_of(record: &BatchRecord) -> Option<(u64, u64)> {
    let mut ids: Vec<u64> = Vec::new();
    for case in &record.cases {
        if let CaseState::Created(id) | CaseState::Adopted(id) = case.state {
            ids.push(id);
        }
    }
    Some((*ids.iter().min()?, *ids.iter().max()?))
}
