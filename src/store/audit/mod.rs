//! Keeps what people have changed: who, through which face, when, why, and how it was before and after.

mod entry;
mod rows;

pub use self::entry::{AuditAction, AuditEntry, AuditSubject};
pub(super) use self::rows::put;
pub use self::rows::{AuditFilter, AuditId, AuditRow};
#[cfg(test)]
pub(super) use self::rows::{forgetting_statement, page_statement};
