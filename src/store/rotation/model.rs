//! The values in which the replacement of the master key is kept.

use std::time::Duration;

use super::super::connections::{SealedKey, Successor};
use crate::batch::TenantId;

/// A new master key, encrypted with the one that it replaces. Both are named by the word that recognizes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The former master key.
    pub from: String,
    /// The new master key.
    pub to: String,
    /// The new master key, encrypted.
    pub key: SealedKey,
}

/// A replacement of the master key; times in milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The new key.
    pub wrapped: WrappedKey,
    /// Which process carries it out.
    pub holder: String,
    /// Until when no other process may.
    pub lease_until: i64,
    /// When it was begun.
    pub started_at: i64,
    /// When every API key was encrypted with the new key.
    pub done_at: Option<i64>,
}

/// Whether a replacement of the master key could begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationStart {
    /// It has begun, or goes on.
    Begun,
    /// Every API key is encrypted with the new key already.
    Done,
    /// Another process carries it out, or did so until shortly.
    Busy {
        /// After how long it counts as interrupted.
        left: Duration,
    },
    /// One to another key has begun, and the former key was not given up since.
    Other {
        /// That key.
        to: String,
    },
    /// The key that it starts from is not the store's any more.
    Replaced,
}

/// Whether the new key has become the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationEnd {
    /// It has.
    Done,
    /// Some API keys are encrypted with another key.
    NotYet,
    /// Another process carries it out now.
    Lost,
}

/// The encrypted API keys of a connection.
#[derive(Clone, Debug)]
pub struct SealedRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// The epoch of its row.
    pub epoch: u64,
    /// The key in force.
    pub key: SealedKey,
    /// What is to succeed the connection, with a key of its own.
    pub successor: Option<Box<Successor>>,
}

/// The API keys of a connection, encrypted again.
#[derive(Clone, Debug)]
pub struct Resealed {
    /// The connection with its keys encrypted again.
    pub row: SealedRow,
    /// The master key that they are encrypted with. What no known key can decrypt counts as encrypted with it, too: there is
    /// nothing that could be encrypted again.
    pub key_id: String,
}
