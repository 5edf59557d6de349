//! Publishes stored events until the broker has confirmed each.

mod ends;
mod publish;
mod relay;
mod unbound;

pub(super) use self::relay::{FAREWELL, RELAY_CAPACITY, relay};
