//! Compares leases of the shelf, and what is on it.

use testmo_courier::store::ShelfStore;
use testmo_courier::store::shelf::{ShelfFilter, ShelfId, Shelved};

use super::super::tables::ShelfRow;
use super::{Both, Call, shown};

impl Both {
    /// The rows of the shelf, as both have them.
    pub(super) async fn shelf(&self) -> (Vec<Shelved>, Vec<Shelved>) {
        let mut real = self.real.shelf(&ShelfFilter::default(), 1_000).await.expect("rows");
        let as_shelved = |(id, row): (&i64, &ShelfRow)| row.as_shelved(*id, self.clock.now());
        let mut memory: Vec<Shelved> = self.memory.shelf.iter().map(as_shelved).collect();
        real.sort_by_key(|row| row.id);
        memory.sort_by_key(|row| row.id);
        (real, memory)
    }

    /// Leases what is due.
    pub(super) async fn lease_due(&mut self) -> Call {
        let (lease, now) = (self.wait(), self.clock.now());
        let asks = [(self.tenant(), self.rng.u32(0..4)), (self.tenant(), self.rng.u32(0..4))];
        // Each body has one byte.
        let most_bytes = self.rng.usize(0..6);
        let real = self.real.lease_due("w", lease, &asks, most_bytes).await.expect("leased");
        ("lease_due", shown(&real), shown(&self.memory.lease_due(lease, &asks, most_bytes, now)))
    }

    /// Leases a suspect.
    pub(super) async fn lease_suspect(&mut self) -> Call {
        let (lease, now) = (self.wait(), self.clock.now());
        let real = self.real.lease_suspect("w", lease).await.expect("leased");
        ("lease_suspect", shown(&real), shown(&self.memory.lease_suspect(lease, now)))
    }

    /// Gives back a lease for a while.
    pub(super) async fn postpone_row(&mut self) -> Call {
        let (id, generation) = (ShelfId(self.rng.i64(1..6)), self.rng.i64(1..6));
        let (wait, now) = (self.wait(), self.clock.now());
        self.real.postpone_row(id, generation, wait).await.expect("postponed");
        ("postpone_row", shown(&()), shown(&self.memory.postpone_row(id, generation, wait, now)))
    }

    /// Gives back a lease.
    pub(super) async fn release(&mut self) -> Call {
        let leases = [(ShelfId(self.rng.i64(1..6)), self.rng.i64(1..6))];
        self.real.release(&leases).await.expect("released");
        ("release", shown(&()), shown(&self.memory.release(&leases)))
    }
}
