//! Decides what a later generation of a case changes in Testmo, and what it leaves to people.

mod as_sent;
mod compare;
mod decide;
mod edits;
mod ours;
mod tags;

pub use self::compare::Change;
pub use self::decide::{Decision, Later, Row, decide, writing};
pub use self::edits::Edits;
