//! Messages that no well-behaved publisher sends, and a publisher that sends them.

mod messages;
mod raw;

pub use self::messages::messages;
pub use self::raw::{FRAME_MAX, RawPublisher, entry, nested, short, text};
