//! Reads what became of the batches that were received.

pub mod compare;
mod customer;
mod details;
mod list;
mod settlement;
pub(in crate::app) mod source_key;
mod tally;
mod timeline;

pub use self::details::{BatchDetails, BatchError, show};
pub use self::list::{extent, list, page};
pub use self::settlement::{Settlement, settlements};
pub use self::tally::{Tally, links, testmo_id};
pub use self::timeline::{AuditRow, Happening, Moment, Reconciliation, Request, Timeline, UnderWay, WaitsFor, What};
pub use crate::batch::event::{dropped_link, link};
pub use crate::batch::ledger::{BatchRecord, BatchState, CaseRecord, CaseState, DroppedCase};
pub use crate::store::history::{EventRow, PushRow};
pub use crate::store::ledger::{BatchFilter, BatchPlace};
