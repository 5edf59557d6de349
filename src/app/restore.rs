//! Notes that the store was restored from an older copy, so that what was delivered since is not created again.

use super::actor::{Actor, NotAllowed, Role, require};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::{Store, StoreError, StoreHealth};

pub use crate::batch::restored::Restore;

/// What a person says of a restored store; times in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// When the copy was made.
    pub at: i64,
    /// Until when batches that arrive may have been delivered after that; by default for as long as the store keeps batches.
    pub until: Option<i64>,
    /// The number of the restore, where the copy does not know of earlier ones.
    pub number: u32,
}

/// Why a restore cannot be noted.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A copy is not made later than now.
    #[error("{} is in the future", time(*.at))]
    Future {
        /// The time that was given.
        at: i64,
    },
    /// The copy knows of something later.
    #[error("the store is not a copy of {}: it knows of something at {}", time(*.at), time(*.latest))]
    TooEarly {
        /// The time that was given.
        at: i64,
        /// The latest time that it knows of.
        latest: i64,
    },
    /// Nothing would be looked up.
    #[error("{} is over already", time(*.until))]
    Over {
        /// The time that was given.
        until: i64,
    },
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A restored store whose time was checked, and that no worker uses.
#[derive(Debug)]
pub struct RestoredStore {
    store: Store,
    at: i64,
    until: i64,
    number: u32,
    actor: Actor,
}

/// Opens a store that was restored, and checks what was said of the copy. An SQLite store is locked until then, so that no
/// worker uses it.
///
/// # Errors
/// When the person lacks the role of an admin, the times cannot be right, or the store is in use or cannot be used.
pub async fn restored_store(config: &Config, copied: Copied, actor: &Actor) -> Result<RestoredStore, RestoreError> {
    require(actor, Role::Admin)?;
    let store = Store::open_to_note_restore(&config.store, Clock::system()).await?;
    let (now, latest) = (store.now(), store.latest_time().await?);
    let retention = i64::try_from(config.store.retention.as_millis()).unwrap_or(i64::MAX);
    match checked(copied, now, latest, retention) {
        Ok(until) => Ok(RestoredStore { store, at: copied.at, until, number: copied.number, actor: actor.clone() }),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

/// Checks the times, and returns until when batches are looked up.
fn checked(copied: Copied, now: i64, latest: i64, retention: i64) -> Result<i64, RestoreError> {
    let at = copied.at;
    if at > now {
        return Err(RestoreError::Future { at });
    }
    if at < latest {
        return Err(RestoreError::TooEarly { at, latest });
    }
    match copied.until {
        Some(until) if until <= now => Err(RestoreError::Over { until }),
        Some(until) => Ok(until),
        None => Ok(now.saturating_add(retention)),
    }
}

impl RestoredStore {
    /// Returns until when batches that arrive are looked up, in milliseconds since 1970.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// Notes the restore, for this reason, and returns it with its number.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note(self, config: &Config, because: Option<&str>) -> Result<Restore, RestoreError> {
        let entry = AuditEntry::new(&self.actor, AuditAction::RestoreStore, AuditSubject::named("store"));
        let times = (self.at, self.until);
        let noted = self.store.note_restore(&config.store, times, self.number, entry.because(because)).await;
        self.store.close().await;
        Ok(noted?)
    }

    /// Leaves the store as it is.
    pub async fn leave(self) {
        self.store.close().await;
    }
}

fn time(ms: i64) -> String {
    super::time::rfc3339(ms).unwrap_or_else(|| ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_of_no_time_before_what_it_knows_of_and_of_none_to_come() {
        let said =
            |at, until| checked(Copied { at, until, number: 1 }, 1_000, 500, 300).map_err(|error| error.to_string());
        assert_eq!(said(500, None), Ok(1_300));
        assert_eq!(said(1_000, Some(1_001)), Ok(1_001));
        assert_eq!(said(1_001, None), Err("1970-01-01T00:00:01.001Z is in the future".into()));
        let early =
            "the store is not a copy of 1970-01-01T00:00:00.499Z: it knows of something at 1970-01-01T00:00:00.5Z";
        assert_eq!(said(499, None), Err(early.into()));
        assert_eq!(said(600, Some(1_000)), Err("1970-01-01T00:00:01Z is over already".into()));
    }
}
