//! Removes a tenant, as the real store does it: its work is paused meanwhile, and nothing of it may be left.

use std::time::Duration;

use testmo_courier::batch::ledger::BatchState;
use testmo_courier::batch::{Reason, TenantId};
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::ShelfState;

use super::tables::{Tables, after, tenant_of};

impl Tables {
    /// Pauses a tenant's work; gives its entries on the shelf with their generations, if it has a connection.
    pub(crate) fn begin_removal(&mut self, tenant: &TenantId, hold: Duration, now: i64) -> Option<Vec<(i64, i64)>> {
        self.connections.get_mut(tenant)?.removing_until = Some(after(now, hold));
        let of_tenant = self.shelf.iter().filter(|(_, row)| tenant_of(&row.content.identity) == Some(tenant));
        Some(of_tenant.map(|(id, row)| (*id, row.generation)).collect())
    }

    pub(crate) fn end_removal(&mut self, tenant: &TenantId, now: i64) {
        if let Some(entry) = self.connections.get_mut(tenant) {
            entry.removing_until = None;
        }
        for row in self.shelf.values_mut().filter(|row| tenant_of(&row.content.identity) == Some(tenant)) {
            if row.state == ShelfState::Parked && row.content.reason == Reason::Paused {
                row.due_at = row.due_at.min(now);
            }
        }
    }

    pub(crate) fn remove_tenant(&mut self, tenant: &TenantId, version: &str) -> RemovalOutcome {
        if self.connections.get(tenant).is_none_or(|entry| entry.row.version != version) {
            return RemovalOutcome::ChangedMeanwhile;
        }
        let shelved = self.shelf.values().any(|row| tenant_of(&row.content.identity) == Some(tenant));
        let records = self.batches.values().map(|entry| &entry.stored.record);
        let open = records.filter(|record| record.key.tenant == *tenant).any(|record| record.state == BatchState::Open);
        if shelved || open {
            return RemovalOutcome::HasWork;
        }
        self.discarded.retain(|_, (row, _)| tenant_of(&row.content.identity) != Some(tenant));
        self.connections.remove(tenant);
        self.histories.retain(|key, _| key.tenant != *tenant);
        self.windows.retain(|(key, _), _| key.tenant != *tenant);
        RemovalOutcome::Done
    }
}
