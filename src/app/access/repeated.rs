//! Answers a repeated request with what the first one was answered.

use sha2::{Digest, Sha256};

use super::super::actor::Actor;
use crate::batch::hex;
use crate::store::access::{Answered, BeginRequest};
use crate::store::{Store, StoreError};

/// A request that its sender may repeat: the token that it came with, the key that the sender chose, and the hash of what is
/// asked for.
#[derive(Clone, Debug)]
pub struct RepeatableRequest {
    token: String,
    key: String,
    hash: String,
}

impl RepeatableRequest {
    /// Describes a request by its parts, which are compared where it is repeated.
    pub fn new(actor: &Actor, key: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        Self { token: actor.name().to_owned(), key: key.to_owned(), hash: hex(&hash.finalize()) }
    }

    /// Begins the request, unless it was begun before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin(&self, store: &Store) -> Result<BeginRequest, StoreError> {
        store.begin_request(&self.token, &self.key, &self.hash).await
    }

    /// Keeps the answer, or forgets the request if there is none that is to be repeated.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(&self, store: &Store, answer: Option<&Answered>) -> Result<(), StoreError> {
        match answer {
            Some(answer) => store.end_request(&self.token, &self.key, answer).await,
            None => store.forget_request(&self.token, &self.key).await,
        }
    }
}
