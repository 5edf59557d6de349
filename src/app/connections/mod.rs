//! Enters, verifies, shows and removes the tenants' connections.

mod lookup;
pub mod remove;
pub mod set;
mod status_light;
pub mod verify;

pub use self::lookup::{ConnectionError, connection, list, names, waiting};
pub use self::status_light::{StatusLight, days_until_expiry, note};
pub use crate::batch::render::mapping_spec::MappingSpec;
pub use crate::store::connections::{ConnectionRow, Verification};
