//! Checks, previews and publishes messages.

mod message;
mod outcomes;
pub mod preview;
mod publish;

pub use self::message::{Fault, Message, only_tenant};
pub use self::outcomes::{Awaited, WaitEnd};
pub use self::publish::{check_broker, publish};
