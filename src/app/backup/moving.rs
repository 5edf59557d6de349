//! Moves the store to another place: from a file into a database on a server, or back.

use super::super::actor::{Actor, Role, require};
use super::restoring::RestoringError;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::portable;

pub use crate::store::portable::Moved;

/// Copies everything to the place that another configuration names, compares both, and marks the former store as moved, so
/// that no worker uses it any more. No worker may use either of them meanwhile. If the process ends before, nothing is lost,
/// and the same move can be repeated.
///
/// # Errors
/// When the person lacks the role of an admin, one of the stores is in use or cannot be used, or the new one is not empty.
pub async fn move_store(
    from: &Config,
    to: &Config,
    actor: &Actor,
    because: Option<&str>,
) -> Result<Moved, RestoringError> {
    require(actor, Role::Admin)?;
    let entry = AuditEntry::new(actor, AuditAction::MoveStore, AuditSubject::named("store")).because(because);
    Ok(portable::move_to(&from.store, &to.store, &Clock::system(), entry).await?)
}
