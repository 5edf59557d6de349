//! Reads what is to be compared: a tenant, or one batch.

use std::str::FromStr;

use crate::batch::{BatchKey, NotAnId, TenantId};

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// Everything of a tenant that the ledger still has.
    Tenant(TenantId),
    /// One batch.
    Batch(BatchKey),
}

impl FromStr for Selected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = if text.contains('/') {
            text.parse().map(Self::Batch).map_err(|error: NotAnId| error.to_string())
        } else {
            text.parse().map(Self::Tenant).map_err(|error: NotAnId| error.to_string())
        };
        read.map_err(|why| format!("write a tenant such as acme, or a batch such as acme/shop-142-1: {why}"))
    }
}

impl Selected {
    /// Returns the tenant.
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Tenant(tenant) => tenant,
            Self::Batch(key) => &key.tenant,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Tenant(tenant) => tenant.to_string(),
            Self::Batch(key) => key.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_or_a_batch_is_selected() {
        assert_eq!("acme".parse(), Ok(Selected::Tenant("acme".parse().unwrap())));
        assert_eq!("acme/b-1".parse(), Ok(Selected::Batch("acme/b-1".parse().unwrap())));
        let error = "a b".parse::<Selected>().unwrap_err();
        assert!(error.starts_with("write a tenant such as acme"), "{error}");
    }
}
