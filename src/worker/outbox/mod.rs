//! Publishes stored events until the broker has confirmed each.

mod ends;
mod fresh;
mod publish;
mod publishing;
mod relay;
mod stored;
mod unbound;

pub(super) use self::relay::{FAREWELL, RELAY_CAPACITY, relay};
