//! Holds the use cases: what people may ask for and change, without a command line, HTTP or a terminal.
//!
//! What shows them, such as the command line, names this module alone; it passes on the values and errors that its
//! functions take and return.

pub mod access;
pub mod actor;
pub mod attention;
pub mod audit;
pub mod backup;
pub mod batches;
pub mod candidates;
mod case_pages;
pub mod connections;
mod context;
mod day;
pub mod discard;
pub mod doctor;
pub mod edit;
pub mod events;
pub mod extent;
pub mod find;
#[cfg(test)]
pub(crate) mod fixture;
pub mod init;
pub mod lanes;
mod master_key;
pub mod messages;
pub mod observed;
pub mod plan;
pub mod plural;
pub mod replays;
mod request_time;
pub mod restore;
pub mod restore_entry;
pub mod rotation;
pub mod shelf;
mod store_file;
pub mod time;
pub mod topology;
pub mod trend;
pub mod undo;
pub mod view;
pub mod visible;
pub mod waits;

pub use self::context::{AppContext, OpenError, open_store, store_now};
pub use self::day::read_day;
pub use self::master_key::{MasterKeyFile, master_key_file};
pub use self::store_file::{StoreFile, store_file};
pub use crate::amqp::{CallError, ConnectError, PublishError, PublishFault, TailError};
pub use crate::batch::{BatchKey, Reason, TenantId};
pub use crate::store::{Store, StoreError};
pub use crate::tenants::KeyError;
pub use crate::testmo::NoClient;
