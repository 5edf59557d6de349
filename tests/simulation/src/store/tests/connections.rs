//! Compares connections, their verification and the removal of tenants.

use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_courier::store::removal::Removal;

use super::draws::fields;
use super::{Both, Call, shown};

impl Both {
    /// Enters a connection.
    pub(super) async fn set_connection(&mut self) -> Call {
        let row = self.connection();
        let epoch = self.epoch(&row.tenant);
        let (row, now) = (ConnectionRow { epoch, ..row }, self.clock.now());
        let real = self.real.set_connection(&row).await.expect("an answer");
        ("set_connection", shown(&real), shown(&self.memory.set_connection(&row, now)))
    }

    /// Notes the result of a verification.
    pub(super) async fn record_verification(&mut self) -> Call {
        let (tenant, version, finding) = (self.tenant(), self.one_of(&["v1", "v2"]), self.finding());
        let (epoch, now) = (self.epoch(&tenant), self.clock.now());
        let real = self.real.record_verification(&tenant, version, epoch, &finding).await.expect("an answer");
        (
            "record_verification",
            shown(&real),
            shown(&self.memory.record_verification(&tenant, version, epoch, &finding, now)),
        )
    }

    /// Notes that a request of a batch was refused.
    pub(super) async fn record_refusal(&mut self) -> Call {
        let (tenant, version) = (self.tenant(), self.one_of(&["v1", "v2"]));
        let reason = self.one_of(&[Reason::KeyRefused, Reason::Forbidden, Reason::ConnectionRejected]);
        let (epoch, now) = (self.epoch(&tenant), self.clock.now());
        let real = self.real.record_refusal(&tenant, version, epoch, reason, "d").await.expect("an answer");
        let finding = Verification::Fails { reason, detail: "d".into() };
        ("record_refusal", shown(&real), shown(&self.memory.record_refusal(&tenant, version, epoch, &finding, now)))
    }

    /// Notes which fields the project of a connection has, and shows them.
    pub(super) async fn note_fields(&mut self) -> Call {
        let (tenant, version) = (self.tenant(), self.one_of(&["v1", "v2"]));
        let (epoch, fields) = (self.epoch(&tenant), fields(self.one_of(&["custom_a", "custom_b"])));
        let real = self.real.note_fields(&tenant, version, epoch, &fields).await.expect("an answer");
        let memory = self.memory.note_fields(&tenant, version, epoch, &fields);
        let noted = |row: Option<ConnectionRow>| row.map(|row| row.fields);
        let stored = noted(self.real.connection(&tenant).await.expect("an answer"));
        ("note_fields", shown(&(real, stored)), shown(&(memory, noted(self.memory.connection(&tenant)))))
    }

    /// Takes connections to verify again.
    pub(super) async fn take_reverifications(&mut self) -> Call {
        let (lease, now) = (self.wait(), self.clock.now());
        let mut real = self.real.take_reverifications(lease, 9).await.expect("taken");
        let mut memory = self.memory.take_reverifications(lease, 9, now);
        real.sort_by_key(|row| row.tenant.clone());
        memory.sort_by_key(|row| row.tenant.clone());
        ("take_reverifications", shown(&real), shown(&memory))
    }

    /// A step of a person who may remove a tenant.
    pub(super) async fn removal(&mut self) -> Call {
        let (tenant, now) = (self.tenant(), self.clock.now());
        match self.rng.u8(..6) {
            0..=2 => {
                let hold = self.wait();
                let real = self.real.begin_removal(&tenant, hold).await.expect("begun");
                let rows = |removal: Removal| removal.shelved.iter().map(|(id, n)| (id.0, *n)).collect::<Vec<_>>();
                let memory = self.memory.begin_removal(&tenant, hold, now);
                ("begin_removal", shown(&real.map(rows)), shown(&memory))
            }
            3 => {
                self.real.end_removal(&tenant).await.expect("ended");
                ("end_removal", shown(&()), shown(&self.memory.end_removal(&tenant, now)))
            }
            _ => {
                let version = self.one_of(&["v1", "v2"]);
                let real = self.real.remove_tenant(&tenant, version, &[]).await.expect("an answer");
                ("remove_tenant", shown(&real), shown(&self.memory.remove_tenant(&tenant, version)))
            }
        }
    }
}
