//! Enters, verifies, shows and removes the tenants' connections.

mod choices;
mod circumstances;
pub mod directory;
mod draft;
mod entries;
mod lookup;
pub mod probe;
pub mod remove;
pub mod set;
mod source;
mod state_tag;
mod status;
pub mod verify;
mod withdraw;

pub use self::choices::{Choices, ChoicesError, choices};
pub(super) use self::circumstances::statuses_with;
pub use self::circumstances::{status, statuses, waiting};
pub use self::draft::{NotRead, draft};
pub use self::lookup::{ConnectionError, KnownNames, connection, known_names, list, meant_by, names, page, similar_to};
pub use self::source::KeptInFile;
pub use self::state_tag::state_tag;
pub use self::status::{Circumstances, Status, StatusLight, batches_wait, days_until_expiry};
pub use crate::batch::render::mapping_spec::MappingSpec;
pub use crate::store::connections::{ConnectionRow, Verification};
