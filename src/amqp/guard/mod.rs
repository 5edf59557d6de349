//! Keeps content headers that lapin cannot read from ending a connection.
//!
//! A publisher chooses the properties and headers of a message, and RabbitMQ passes on nearly everything. lapin ends
//! the connection because of a header frame that is larger than the negotiated frame, or a name that is not UTF-8;
//! deeply nested tables overflow its stack. The messages around it are then delivered again, and so is the message
//! itself. The guard sits between the socket (above TLS) and lapin, and replaces such a header before lapin sees it.
//!
//! | file | responsibility |
//! | --- | --- |
//! | `stream` | wraps the socket and opens a connection with it |
//! | `frames` | follows the frames in the bytes of the broker |
//! | `header` | decides whether lapin can read a content header |
//! | `names` | replaces bytes that are not UTF-8 in the names of methods |
//! | `marker` | writes the header that replaces an unreadable one, and finds it again |
//!
//! Invariants:
//! - What lapin can read passes unchanged, byte for byte, except for names in methods that are not UTF-8.
//! - A replaced header keeps its class. Its own bytes come before the body, and the body size says so: they travel with
//!   the message through lapin, so that nothing has to be kept, bounded or found again beside it.
//! - The marker's name is random for each connection, so that no publisher can forge it.
//! - No check recurses, and the depth of tables is bounded.

mod frames;
mod header;
mod marker;
mod names;
mod stream;

pub(super) use self::marker::Marker;
pub(super) use self::stream::connect;
