//! Checks, previews and publishes messages.

mod message;
mod other_user;
mod outcomes;
pub mod plan;
pub mod preview;
mod preview_error;
mod publish;
mod tenant_check;
mod written_before;

pub use self::message::{Finding, Message, only_tenant};
pub use self::other_user::OtherUser;
pub use self::outcomes::{Awaited, WaitEnd};
pub use self::publish::{check_broker, publish};
pub use self::tenant_check::{TenantCheck, check_for};
