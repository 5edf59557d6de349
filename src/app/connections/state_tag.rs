//! Recognizes what people have entered for a connection.

use sha2::{Digest, Sha256};

use crate::batch::{hex, json_of};
use crate::store::connections::ConnectionRow;

/// How many bytes of the hash are shown.
const BYTES: usize = 16;

/// Returns a word that is the same for as long as nobody enters anything else for a connection, whatever workers find out
/// about it. It reveals nothing of the API key.
pub fn state_tag(row: &ConnectionRow) -> String {
    let next = row.successor.as_ref().map(|next| (&next.version, &next.expires_on));
    let mut hash = Sha256::new_with_prefix(b"testmo-courier connection\0");
    hash.update(json_of(&(&row.version, &row.origin, &row.expires_on, row.project, row.folder, &row.mapping, next)));
    hash.update(&row.key.nonce);
    hex(&hash.finalize()[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::connection;
    use super::*;

    #[test]
    fn only_what_is_entered_changes_the_tag() {
        let row = connection();
        let tag = state_tag(&row);
        assert_eq!(tag.len(), 32);
        let found = ConnectionRow { epoch: 9, checked_at: Some(9), last_success_at: Some(9), ..row.clone() };
        assert_eq!(state_tag(&found), tag);
        let mut key = row.clone();
        key.key.nonce = vec![9];
        for changed in [
            key,
            ConnectionRow { folder: 9, ..row.clone() },
            ConnectionRow { expires_on: Some("2030-01-01".into()), ..row.clone() },
            ConnectionRow { version: "v2".into(), ..row },
        ] {
            assert_ne!(state_tag(&changed), tag);
        }
    }
}
