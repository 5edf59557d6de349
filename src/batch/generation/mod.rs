//! Decides what a later generation of a case changes in Testmo, and what it leaves to people.

mod as_sent;
mod carried;
mod compare;
mod decide;
mod edits;
mod ours;
mod tags;

pub(in crate::batch) use self::as_sent::as_sent;
pub(in crate::batch) use self::carried::carried;
pub use self::compare::Change;
pub use self::decide::{Decision, Later, Row, decide, writing};
pub use self::edits::Edits;
pub(in crate::batch) use self::ours::{is_ours, is_ours_apart};
