//! Holds what all workers know of a Testmo account, as values without a clock or a network.

mod throttle;

pub use throttle::*;
