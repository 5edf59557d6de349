//! Keeps what people have taken off the shelf, until its time is over, so that it can be put back.

mod rows;

use super::shelf::{ShelfId, Shelved};
use crate::batch::TenantId;

pub(super) use self::rows::{hold, keep, purge, put_back, remove_old};
#[cfg(test)]
pub(super) use self::rows::{page_statement, removal_statement};

/// An entry that a person has taken off the shelf.
#[derive(Clone, Debug)]
pub struct Discarded {
    /// The entry as it was.
    pub entry: Shelved,
    /// When it was discarded, in milliseconds on the store's clock.
    pub at: i64,
    /// Who discarded it.
    pub by: String,
    /// Why.
    pub because: Option<String>,
}

/// Which discarded entries are meant; a part left empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscardedFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those behind this one, with which the page before ended, and the time when it was discarded.
    pub behind: Option<(i64, ShelfId)>,
}
