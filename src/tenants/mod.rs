//! Resolves and verifies tenants' connections to Testmo, and keeps their API keys encrypted.
//!
//! Invariant: a key is decrypted only for the tenant and origin that it was entered for.

mod available;
mod connection;
mod entered;
mod folder_tree;
mod keyring;
mod master_key;
mod rate_limit;
mod successor;
mod verify;

pub use connection::{Connection, Resolution, ResolveError, Tenants};
pub use entered::Entered;
pub use folder_tree::{child, descend, lies_under, path_of};
pub use keyring::{Keyring, MASTER_KEY_FACT, open_keyring, require_key_of};
pub use master_key::{KeyError, MasterKey};
pub use rate_limit::{AccountPermits, Candidate, NoPermit};
pub use verify::{Examined, other_folders, verify};
