//! Decides what a later generation of a case changes in Testmo, and what it leaves to people.

mod as_sent;
mod carried;
mod compare;
mod decide;
mod dropped;
mod edits;
mod mode;
mod ours;
mod removal;
mod replaced;
mod request_key;
mod resend;
mod tags;
mod window;

pub(in crate::batch) use self::as_sent::as_sent;
pub(in crate::batch) use self::carried::carried;
pub use self::compare::Change;
pub use self::decide::{Decision, Later, Row, decide, writing};
pub use self::dropped::{Gone, decide_dropped, is_retired};
pub use self::edits::Edits;
pub use self::mode::{mode_of, removal_of};
pub(in crate::batch) use self::ours::{is_ours, is_ours_apart};
pub use self::removal::{Dropped, Removal};
pub use self::replaced::{Replaced, prefers_replaced, replaced};
pub use self::request_key::{count_requests, request_key};
pub use self::resend::Resend;
pub use self::window::{DueWindow, Overwritten, WindowCase, Windows, due_windows, overwritten};
