//! Who are the tenants, and how is each one's Testmo reached?
//!
//! Invariant: a key is decrypted only for the tenant and origin that it was entered for.

mod connection;
mod keyring;
mod paced;
mod verify;

pub use connection::{Connection, Entered, Resolution, ResolveError, Tenants};
pub use keyring::{KeyError, Keyring};
pub use verify::{Examined, child, descend, lies_under, path_of, verify};
