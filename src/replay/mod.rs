//! Decides how an entry of the shelf is replayed: what that stores, or why it cannot be.
//!
//! Commands plan replays, and the worker carries them out; both decide here.

mod at_once;
mod decision;
mod facts;
mod not_replayable;

pub use self::at_once::at_once;
pub use self::decision::{Subject, batch_of, restart, subject};
pub use self::facts::circumstances;
pub use self::not_replayable::NotReplayable;
