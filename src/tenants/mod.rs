//! Knows how each tenant's Testmo is reached, and keeps the API keys.
//!
//! Invariant: a key is decrypted only for the tenant and origin that it was entered for.

mod connection;
mod keyring;
mod paced;
mod verify;

pub use connection::{Connection, Entered, Resolution, ResolveError, Tenants};
pub use keyring::{KeyError, Keyring, MASTER_KEY_FACT};
pub use verify::{Examined, child, descend, lies_under, path_of, verify};
