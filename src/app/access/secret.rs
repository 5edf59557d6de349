//! Makes secrets that cannot be guessed, and recognizes them by their hash.

use aes_gcm::aead::OsRng;
use aes_gcm::aead::rand_core::RngCore;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::batch::hex;

/// How many random bytes a secret has.
const BYTES: usize = 32;

/// Makes a secret: the prefix that says what it is, and 256 random bits.
pub(super) fn random(prefix: &str) -> String {
    let mut bytes = [0; BYTES];
    OsRng.fill_bytes(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the hash under which a secret is stored, or nothing for a text that is no secret of this kind.
pub(super) fn hash_of(prefix: &str, secret: &str) -> Option<String> {
    let random = secret.strip_prefix(prefix)?;
    let bytes = URL_SAFE_NO_PAD.decode(random).ok()?;
    (bytes.len() == BYTES).then(|| hex(&Sha256::digest(secret.as_bytes())))
}

/// Compares two hashes in a time that does not depend on where they differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_known_by_their_hash_alone() {
        let (one, other) = (random("tc_"), random("tc_"));
        assert_ne!(one, other);
        assert_eq!(one.len(), "tc_".len() + 43);
        let hash = hash_of("tc_", &one).unwrap();
        assert!(is_same(&hash, &hash_of("tc_", &one).unwrap()) && !is_same(&hash, &hash_of("tc_", &other).unwrap()));
        assert!(!hash.contains(&one[3..]));
    }

    #[test]
    fn other_texts_are_no_secrets() {
        let secret = random("tc_");
        for text in ["", "tc_", &secret[3..], &secret[..40], &format!("{secret}A"), &format!("tl_{}", &secret[3..])] {
            assert_eq!(hash_of("tc_", text), None, "{text}");
        }
        assert!(!is_same("ab", "abc") && !is_same("ab", "ac"));
    }
}
