//! Reads what the forecasts of a plan depend on, each connection and account once.

use std::collections::HashMap;

use super::store::PlanStore;
use crate::account::Throttle;
use crate::batch::TenantId;
use crate::store::StoreError;
use crate::store::accounts::LaneOverride;
use crate::store::connections::ConnectionRow;

/// What is known of the tenants and accounts of a plan.
pub(super) struct Known<'a> {
    store: &'a dyn PlanStore,
    pub(super) overrides: Vec<LaneOverride>,
    connections: HashMap<TenantId, Option<ConnectionRow>>,
    throttles: HashMap<String, Throttle>,
}

impl<'a> Known<'a> {
    /// Reads what people have ordered for lanes.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn new(store: &'a dyn PlanStore) -> Result<Self, StoreError> {
        let overrides = store.lane_overrides().await?;
        Ok(Self { store, overrides, connections: HashMap::new(), throttles: HashMap::new() })
    }

    /// Reads the connection of a tenant, and the throttle of its account. One that this version cannot read counts as none:
    /// the worker holds such a tenant, too.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn read(&mut self, tenant: &TenantId) -> Result<(), StoreError> {
        if self.connections.contains_key(tenant) {
            return Ok(());
        }
        let connection = match self.store.connection(tenant).await {
            Ok(connection) => connection,
            Err(StoreError::Unreadable(_)) => None,
            Err(error) => return Err(error),
        };
        if let Some(row) = &connection
            && !self.throttles.contains_key(&row.origin)
        {
            let throttle = match self.store.throttle(&row.origin).await {
                Ok(throttle) => throttle,
                Err(StoreError::Unreadable(_)) => Throttle::default(),
                Err(error) => return Err(error),
            };
            self.throttles.insert(row.origin.clone(), throttle);
        }
        self.connections.insert(tenant.clone(), connection);
        Ok(())
    }

    /// Returns the connection of a tenant that was read.
    pub(super) fn connection(&self, tenant: &TenantId) -> Option<&ConnectionRow> {
        self.connections.get(tenant)?.as_ref()
    }

    /// Returns what is known of an account.
    pub(super) fn throttle(&self, account: &str) -> Throttle {
        self.throttles.get(account).cloned().unwrap_or_default()
    }
}
