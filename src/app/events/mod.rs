//! Follows the events that workers publish.

mod received;

pub use self::received::{ReceivedCase, ReceivedEvent, ReceivedFault};
pub use crate::amqp::Tail;
use crate::amqp::TailError;
use crate::batch::TenantId;
use crate::config::Amqp;

/// Follows the events that are published from now on, those of one tenant or of all; other readers still get them.
///
/// # Errors
/// When there is no connection, or the events exchange or the permission for it is missing.
pub async fn follow(config: &Amqp, tenant: Option<&TenantId>) -> Result<Tail, TailError> {
    let pattern = tenant.map_or_else(|| "#".into(), |tenant| format!("{}.#", tenant.routing_word()));
    Tail::open(config, &pattern).await
}
