//! Computes by what a case is recognized in later batches, and by what its batch is found again.

use sha2::{Digest, Sha256};

use crate::batch::ledger::Target;
use crate::batch::{BatchKey, TenantId};

/// How many bytes of an identity are the same for all cases of one source.
const SOURCE_BYTES: usize = 8;

/// The identity of a case in all batches: a hash over account, project, tenant, `source.key` and `external_id`.
///
/// The first half is a hash over what all cases of one source have in common, so that a store finds and changes them side
/// by side; the second half is a hash over everything. A case with the same identity as another tenant's would have to
/// match both halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseIdentity([u8; 16]);

impl CaseIdentity {
    /// Returns the identity of a case; `None` without a source key or an external id.
    pub fn of(target: &Target, tenant: &TenantId, source_key: Option<&str>, external_id: Option<&str>) -> Option<Self> {
        let key = source_key.filter(|key| !key.is_empty())?;
        let id = external_id.filter(|id| !id.is_empty())?;
        let project = target.project.to_string();
        let source = hash(&[target.account.as_bytes(), project.as_bytes(), tenant.as_str().as_bytes(), key.as_bytes()]);
        let whole = hash(&[&source, id.as_bytes()]);
        let mut bytes = [0; 16];
        bytes[..SOURCE_BYTES].copy_from_slice(&source[..SOURCE_BYTES]);
        bytes[SOURCE_BYTES..].copy_from_slice(&whole[..16 - SOURCE_BYTES]);
        Some(Self(bytes))
    }

    /// Returns the source of the case.
    pub fn source(&self) -> SourceId {
        let mut bytes = [0; SOURCE_BYTES];
        bytes.copy_from_slice(&self.0[..SOURCE_BYTES]);
        SourceId(bytes)
    }

    /// Returns the identity as it is stored.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads an identity that was stored; `None` if it has another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The first half of the identities of all cases of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId([u8; SOURCE_BYTES]);

impl SourceId {
    /// Returns the source as it is stored.
    pub fn bytes(&self) -> &[u8; SOURCE_BYTES] {
        &self.0
    }

    /// Returns what follows every identity of a case of the source, in their order.
    pub fn end(&self) -> Vec<u8> {
        match u64::from_be_bytes(self.0).checked_add(1) {
            Some(next) => next.to_be_bytes().to_vec(),
            None => vec![u8::MAX; 2 * SOURCE_BYTES + 1],
        }
    }
}

/// By what the batch of a case is found again for as long as the ledger has its row: the time of its first claim, and two
/// bytes of a hash over its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchMark(i64);

impl BatchMark {
    /// Returns the mark of a batch that was first claimed at a time, in milliseconds on the store's clock.
    pub fn of(batch: &BatchKey, first_seen_at: i64) -> Self {
        Self((first_seen_at << 16) | i64::from(short_hash(batch)))
    }

    /// Returns when the batch was first claimed, in milliseconds on the store's clock.
    pub fn first_seen_at(self) -> i64 {
        self.0 >> 16
    }

    /// Returns whether this can be the mark of a batch that was first claimed at that time.
    pub fn fits(self, batch: &BatchKey) -> bool {
        self.0 & 0xffff == i64::from(short_hash(batch))
    }

    /// Returns the mark as it is stored.
    pub fn value(self) -> i64 {
        self.0
    }

    /// Reads a mark that was stored.
    pub fn from_value(value: i64) -> Self {
        Self(value)
    }
}

fn short_hash(batch: &BatchKey) -> u16 {
    let hash = hash(&[batch.tenant.as_str().as_bytes(), batch.batch.as_str().as_bytes()]);
    u16::from_be_bytes([hash[0], hash[1]])
}

/// Hashes parts, each after its length, so that no two lists of parts read the same.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(parts: [&str; 5]) -> CaseIdentity {
        let [account, project, tenant, key, id] = parts;
        let target = Target { account: account.into(), project: project.parse().unwrap(), folder: 5 };
        CaseIdentity::of(&target, &tenant.parse().unwrap(), Some(key), Some(id)).unwrap()
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let own = ["https://acme.testmo.net", "1", "acme", "SHOP-1", "TC-1"];
        let first = identity(own);
        assert_eq!(identity(own), first);
        let (account, id) = ("https://acme.testmo.net", "TC-1");
        for other in [
            ["https://oak.testmo.net", "1", "acme", "SHOP-1", id],
            [account, "2", "acme", "SHOP-1", id],
            [account, "1", "oak", "SHOP-1", id],
            [account, "1", "acme", "SHOP-2", id],
            [account, "1", "acme", "SHOP-1", "TC-2"],
            [account, "1", "acmeS", "HOP-1", id],
            [account, "1", "acme", "SHOP-1T", "C-1"],
        ] {
            assert_ne!(identity(other), first, "{other:?}");
        }
    }

    #[test]
    fn the_identity_of_a_case_stays_for_ever() {
        let identity = identity(["https://acme.testmo.net", "1", "acme", "SHOP-1", "TC-1"]);
        assert_eq!(crate::batch::hex(identity.bytes()), "e53a75606c3d30951933adcefea02ee6");
        assert_eq!(CaseIdentity::from_bytes(identity.bytes()), Some(identity));
        assert_eq!(CaseIdentity::from_bytes(&[1; 15]), None);
    }

    #[test]
    fn cases_of_one_source_lie_side_by_side() {
        let of = |key, id| identity(["https://acme.testmo.net", "1", "acme", key, id]);
        let half = |identity: CaseIdentity| identity.source();
        assert_eq!(half(of("SHOP-1", "TC-1")), half(of("SHOP-1", "TC-2")));
        assert_ne!(half(of("SHOP-1", "TC-1")), half(of("SHOP-2", "TC-1")));
    }

    #[test]
    fn a_source_ends_before_the_next_one_begins() {
        let end = |bytes: [u8; SOURCE_BYTES]| SourceId(bytes).end();
        assert_eq!(end([0, 0, 0, 0, 0, 0, 1, 255]), [0, 0, 0, 0, 0, 0, 2, 0]);
        assert!(end([255; SOURCE_BYTES]) > vec![255; 16]);
    }

    #[test]
    fn a_case_without_a_source_key_or_an_external_id_has_no_identity() {
        let target = Target { account: "a".into(), project: 1, folder: 2 };
        for (key, id) in [(None, Some("x")), (Some("x"), None), (Some(""), Some("x")), (Some("x"), Some(""))] {
            assert_eq!(CaseIdentity::of(&target, &"acme".parse().unwrap(), key, id), None);
        }
    }

    #[test]
    fn a_mark_has_the_time_and_recognizes_its_batch() {
        let key: BatchKey = "acme/b-1".parse().unwrap();
        for at in [0, 1_000_000, 1_800_000_000_000] {
            let mark = BatchMark::of(&key, at);
            assert_eq!((mark.first_seen_at(), BatchMark::from_value(mark.value())), (at, mark));
            assert!(mark.fits(&key) && !mark.fits(&"acme/b-2".parse().unwrap()));
        }
    }
}
