//! How do messages come from and go to RabbitMQ?
//!
//! The only module that names `lapin`. Reading order:
//!
//! | file | question |
//! | --- | --- |
//! | [`topology`] | which exchanges and queues does the project live on? |
//! | `declare` | does the broker have them, and how are they made? |
//! | `publisher`, `pool` | how is a message stored by the broker, and how sure is that? |
//! | `intake`, `session` | how do messages come in, and when are they ours no longer? |
//! | `tail` | how does a person watch the events go by? |
//! | `guard` | keeps headers that lapin cannot read from ending a connection |
//! | `link`, `address`, `reconnect`, `backoff`, `status` | how is a connection opened, limited, watched and opened again? |
//!
//! Invariants:
//! - One publish is in flight on a channel. With two, lapin pairs confirms and returned messages
//!   wrongly, and messages that the broker refused are reported as stored.
//! - Publishing and consuming have separate connections: a broker that is short of memory stops
//!   reading from publishers, and acknowledgements must not hang behind them.
//! - lapin's automatic recovery stays off. It lets old delivery tags settle new deliveries.
//! - No wait on the broker is without a time limit.

mod ack;
mod address;
mod backoff;
mod call;
mod careful;
mod declare;
mod guard;
mod intake;
mod link;
mod message;
mod outgoing;
mod pool;
mod publish_error;
mod publisher;
mod reconnect;
mod session;
mod status;
mod tail;
pub mod topology;

pub use ack::{AckHandle, AckLost, Acknowledge, DeliveryEnd};
pub use call::CallError;
pub use declare::{Mismatch, Problem, check, declare};
pub use intake::{Delivery, Event, Generation, Intake, IntakeControl, Mode, Subscription};
pub use link::{ConnectError, Link, connect_once};
pub use message::{Message, UnreadableHeaders};
pub use outgoing::{HeaderValue, Outgoing};
pub use publish_error::{PublishError, PublishFault};
pub use publisher::{Publish, Publisher};
pub use status::Status;
pub use tail::{Tail, TailError};

/// A log directive that belongs into every filter: lapin writes each returned message with its
/// body, and each lost connection a second time.
pub const LOG_DIRECTIVE: &str = "lapin=off";
