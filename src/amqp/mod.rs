//! Brings messages in from RabbitMQ and sends messages to it.
//!
//! The only module that names `lapin`. Reading order:
//!
//! | file | responsibility |
//! | --- | --- |
//! | [`topology`] | lists the exchanges and queues of the project |
//! | `declare` | checks whether the broker has them, and declares them |
//! | `publisher`, `job`, `pool` | have a message stored by the broker, and report how certain that is |
//! | `intake`, `delivery`, `session` | bring messages in, and report when they can no longer be acknowledged |
//! | `prefetch`, `in_hand` | decide how many messages the broker sends ahead, by the bytes that are in hand |
//! | `tail` | shows the events as they are published |
//! | `greeting`, `size` | examine a broker without changing it |
//! | `guard`, `unreadable` | keep headers that lapin cannot read from ending a connection |
//! | `link`, `dial`, `address`, `login`, `certificates`, `reconnect`, `backoff`, `status` | open, limit, watch and reopen a connection |
//!
//! Invariants:
//! - One publish is in flight on a channel. With two, lapin pairs confirms and returned messages
//!   wrongly, and messages that the broker refused are reported as stored.
//! - Publishing and consuming have separate connections: a broker that is short of memory stops reading from
//!   publishers, and acknowledgements must not wait behind them.
//! - lapin's automatic recovery stays off. It lets old delivery tags acknowledge new deliveries.
//! - Every wait for the broker has a time limit.

mod ack;
mod address;
mod backoff;
mod call;
mod careful;
mod certificates;
mod declare;
mod delivery;
mod dial;
mod greeting;
mod guard;
mod in_hand;
mod intake;
mod job;
mod link;
mod login;
mod message;
mod outgoing;
mod pool;
mod prefetch;
mod publish_error;
mod publisher;
mod reconnect;
mod session;
mod size;
mod status;
mod tail;
pub mod topology;
mod unreadable;

pub use ack::{AckHandle, AckLost, Acknowledge, DeliveryEnd};
pub use address::user_of;
pub use call::CallError;
pub use declare::{Checked, Mismatch, Problem, check, declare};
pub use delivery::{Delivery, Event, Generation, Mode, Subscription};
pub use greeting::{Greeting, greeting};
pub use intake::{Intake, IntakeControl};
pub use link::{ConnectError, Link, connect_once};
pub use login::Login;
pub use message::Message;
pub use outgoing::{HeaderValue, Outgoing};
pub use publish_error::{PublishError, PublishFault};
pub use publisher::{Publish, Publisher};
pub use size::{SizeAccepted, accepts};
pub use status::Status;
pub use tail::{Tail, TailError};
pub use unreadable::UnreadableHeaders;

/// A log directive that every filter must contain: lapin logs each returned message with its body, and each lost
/// connection a second time.
pub const LOG_DIRECTIVE: &str = "lapin=off";
