//! Decides what taking back a batch changes in Testmo, and what it leaves to people.

mod again;
mod cleared;
mod created;
mod former;
mod intent;
mod item;
mod model;
mod reverse;
mod run;
mod updated;

pub use self::again::{Creating, find_again};
pub use self::cleared::Times;
pub use self::created::{CreatedRow, Memory, created};
pub use self::former::{Former, FormerCase};
pub use self::intent::{Intent, Progress, Setting, progress};
pub use self::item::{ItemKind, ItemMemory, ItemState, UndoItem};
pub use self::model::{Decision, How, Left, Retired, UndoKind};
pub use self::reverse::{ReversedRow, reverse};
pub use self::run::{Undo, duplicates_of, rows_left, rows_of};
pub use self::updated::{UpdatedRow, updated};
