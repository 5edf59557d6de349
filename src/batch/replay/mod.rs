//! Decides how a replay goes on: what is to be expected of each batch, how many may be tried at once, and when to stop.
//!
//! Everything here is a value or a function on values. The worker carries replays out (`worker/maintenance`).

mod budget;
mod forecast;
mod outcome;
mod round;
mod window;

pub use self::budget::Budget;
pub use self::forecast::{AccountState, Circumstances, ConnectionState, Forecast, LedgerState, NotYet};
pub use self::outcome::ItemOutcome;
pub use self::round::{Course, PartState, course};
pub use self::window::{Stop, Window};
