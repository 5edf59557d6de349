//! Checks and holds the ids of tenants and batches, and the key that identifies a batch.

use std::fmt;
use std::sync::Arc;

/// The most characters in a tenant id.
pub const MAX_TENANT_ID: usize = 64;
/// The most characters in a batch id.
pub const MAX_BATCH_ID: usize = 128;

/// A tenant's id, as generators write it: 1 to 64 of `A-Z a-z 0-9 . _ : @ -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// A batch id, unique within its tenant: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(Arc<str>);

/// The identity of a batch: the same key is the same work, however often the batch is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchKey {
    /// The tenant that the batch belongs to.
    pub tenant: TenantId,
    /// The id of the batch within the tenant.
    pub batch: BatchId,
}

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnId(String);

impl TenantId {
    /// Checks and keeps the text of a tenant id.
    ///
    /// # Errors
    /// If it is empty, longer than [`MAX_TENANT_ID`], or has another character.
    pub fn new(text: &str) -> Result<Self, NotAnId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@-".contains(c);
        if text.is_empty() || text.len() > MAX_TENANT_ID || !text.chars().all(allowed) {
            return Err(NotAnId(format!(
                "a tenant id is 1 to {MAX_TENANT_ID} of the characters A-Z a-z 0-9 . _ : @ -"
            )));
        }
        Ok(Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as one word of an AMQP routing key, in which `.` separates words.
    pub fn routing_word(&self) -> String {
        self.0.replace('.', "~")
    }
}

impl BatchId {
    /// Checks and keeps the text of a batch id.
    ///
    /// # Errors
    /// If it is empty, longer than [`MAX_BATCH_ID`], or has a blank, control or non-ASCII character.
    pub fn new(text: &str) -> Result<Self, NotAnId> {
        let visible = |c: char| c.is_ascii_graphic();
        if text.is_empty() || text.len() > MAX_BATCH_ID || !text.chars().all(visible) {
            return Err(NotAnId(format!("a batch id is 1 to {MAX_BATCH_ID} visible ASCII characters, such as a UUID")));
        }
        Ok(Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BatchKey {
    /// Returns the key of a tenant's batch.
    pub fn new(tenant: TenantId, batch: BatchId) -> Self {
        Self { tenant, batch }
    }
}

impl std::str::FromStr for BatchKey {
    type Err = NotAnId;

    /// Reads `TENANT/BATCH`; the batch id may contain further slashes.
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (tenant, batch) = text.split_once('/').ok_or_else(|| NotAnId("a batch is named as TENANT/BATCH".into()))?;
        Ok(Self::new(TenantId::new(tenant)?, BatchId::new(batch)?))
    }
}

impl std::str::FromStr for TenantId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Self::new(text)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let key: BatchKey = "acme.eu/2026/11/b-1".parse().unwrap();
        assert_eq!(key.tenant.as_str(), "acme.eu");
        assert_eq!(key.batch.as_str(), "2026/11/b-1");
        assert_eq!(key.to_string(), "acme.eu/2026/11/b-1");
    }

    #[test]
    fn ids_with_other_characters_are_refused() {
        for text in ["", "a b", "a/b", "ä", "a\0", &"x".repeat(65)] {
            assert!(TenantId::new(text).is_err(), "{text:?}");
        }
        for text in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
            assert!(BatchId::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_tenant_is_one_word_of_a_routing_key() {
        assert_eq!(TenantId::new("acme.eu").unwrap().routing_word(), "acme~eu");
    }
}
