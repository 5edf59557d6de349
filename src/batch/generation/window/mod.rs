//! Finds edits by people that a request overwrote: Testmo has no condition on a write, so that an edit between the reading of a
//! case and the request that changes it is lost. Where Testmo shows the history of cases, such an edit is in it.

mod decide;
mod entries;
mod model;
mod reading;

pub use self::decide::{Overwritten, overwritten};
pub use self::model::{DueWindow, WindowCase, Windows, due_windows};
