//! Declares and checks the exchanges and queues at the broker.

pub use crate::amqp::Mismatch;
use crate::amqp::topology::topology;
use crate::amqp::{self, CallError, Checked, ConnectError};
use crate::config::Amqp;

/// What was found at the broker.
#[derive(Debug)]
pub struct TopologyReport {
    /// What is not as it has to be.
    pub mismatches: Vec<Mismatch>,
    /// Objects that exist, and whose type and arguments the broker's user may not compare.
    pub uncompared: Vec<String>,
    /// How many exchanges, queues and bindings there have to be.
    pub objects: usize,
}

/// Why the broker cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker refused, or the connection was lost.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Creates the exchanges, queues and bindings that are missing, and leaves what exists as it is.
///
/// # Errors
/// When the broker cannot be asked.
pub async fn declare(config: &Amqp) -> Result<TopologyReport, TopologyError> {
    let objects = topology(config);
    let link = amqp::connect_once(config, "topology").await?;
    let found = amqp::declare(&link, &objects).await;
    link.close().await;
    Ok(TopologyReport { mismatches: found?, uncompared: Vec::new(), objects: objects.len() })
}

/// Checks that the exchanges and queues exist with their types and arguments, without creating any. Bindings cannot be
/// checked by AMQP.
///
/// # Errors
/// When the broker cannot be asked.
pub async fn check(config: &Amqp) -> Result<TopologyReport, TopologyError> {
    let objects = topology(config);
    let link = amqp::connect_once(config, "topology").await?;
    let found = amqp::check(&link, &objects).await;
    link.close().await;
    let Checked { mismatches, uncompared } = found?;
    Ok(TopologyReport { mismatches, uncompared, objects: objects.len() })
}
