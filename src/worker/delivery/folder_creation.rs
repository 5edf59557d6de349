//! Creates one folder under a claim, so that it is created once.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::failure::call_failed;
use super::folder_list::list_folders;
use crate::batch::Reason;
use crate::batch::verdict::after_failed_folder;
use crate::batch::verdict::answer::ApiError;
use crate::store::StoreError;
use crate::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, NewFolder};
use crate::tenants::child;
use crate::testmo::CreatedFolder;
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::permit::check_rate_limit;
use crate::worker::store_retry::patiently;

/// A list that shows new folders at all shows each of them within this time. If it does not show the folder of a create
/// request of unknown outcome by then, the request created nothing.
const SHOWN_WITHIN: Duration = Duration::from_secs(600);

/// The first pause of a batch whose folder another one is creating.
const FIRST_BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Creates one folder under a claim. The holder of the claim lists the folders first, so that the folder is created
/// once.
pub(super) async fn create(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    new: NewFolder,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let connection = batch.connection.clone();
    let access = &connection.access;
    let (lease, asked) = (context.config.testmo.lease(), Instant::now());
    // What an outdated claim of this worker stores must not pass for the end of a later one.
    let holder = format!("{} {}", context.holder, Uuid::new_v4().simple());
    let created = match context.store.claim_folder(&new, &holder, lease).await? {
        FolderClaim::Granted { created } => created,
        FolderClaim::Busy(left) => return Ok(NextStep::Pause(busy_pause(lease, left))),
    };
    let folders = match list_folders(context, batch, feedback).await? {
        Ok(folders) => folders,
        Err(next_step) => {
            free(context, &new, &holder, &FolderEnd::NotCreated).await?;
            return Ok(next_step);
        }
    };
    if child(&folders, new.parent, &new.name).is_some() {
        free(context, &new, &holder, &FolderEnd::NotCreated).await?;
        return Ok(NextStep::NextTurn);
    }
    if let Some(next_step) = check_rate_limit(context, access, &connection.tenant, feedback).await? {
        free(context, &new, &holder, &FolderEnd::NotCreated).await?;
        return Ok(next_step);
    }
    let shows_new_ones = folders.iter().any(|folder| created.contains(&folder.id));
    let limits = folder_limits(context, shows_new_ones);
    let leave = patiently(|| context.store.begin_folder_request(&new, &holder, &limits)).await?;
    if leave != FolderPermit::Granted || asked.elapsed() > context.config.testmo.latest_start() {
        // What a request that began so late created could still be unsettled when the lease is over.
        free(context, &new, &holder, &FolderEnd::NotCreated).await?;
        return Ok(match leave {
            FolderPermit::Granted => {
                let detail = Some("listing the folders took too long, so no folder was created".to_owned());
                NextStep::Retry(Reason::NoAnswer, detail, Duration::ZERO)
            }
            FolderPermit::Known | FolderPermit::Lost => NextStep::NextTurn,
            FolderPermit::Spent(wait) => {
                let detail = format!("folder \"{}\" in folder {}", new.name, new.parent);
                NextStep::Defer(Reason::FolderUnconfirmed, Some(detail), wait)
            }
        });
    }
    feedback.requests += 1;
    let sent = context.client.create_folder(access, new.project, new.parent, &new.name).await;
    failpoint::after(Failpoint::Folder);
    match sent {
        Ok(CreatedFolder { id, name }) => {
            tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), folder = id, name = new.name, "folder created");
            let end = FolderEnd::Created { id, shown_as: name };
            free(context, &new, &holder, &end).await?;
            // The next level, or the cases.
            Ok(NextStep::NextTurn)
        }
        Err(error) => folder_failed(context, batch, &new, &holder, &error, feedback).await,
    }
}

/// Releases a claim. If the attempt or the id were not stored, the folder would be created late or again.
async fn free(context: &WorkerContext, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
    patiently(|| context.store.release_folder(folder, holder, end)).await
}

/// Decides what follows a create request for a folder that returned no id.
async fn folder_failed(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    new: &NewFolder,
    holder: &str,
    error: &ApiError,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let testmo = &context.config.testmo;
    let settle = match error.settle_time(testmo.reconcile_delay_answered, testmo.reconcile_delay_unanswered) {
        Duration::ZERO => Duration::ZERO,
        // As with any claim, the store's clock may run ahead by the margin.
        settle => settle + testmo.claim_margin,
    };
    let end = if matches!(error, ApiError::Unreadable(_)) {
        // An answer of success.
        FolderEnd::Astray(settle)
    } else if error.may_have_committed() {
        FolderEnd::Unknown(settle)
    } else {
        FolderEnd::NotCreated
    };
    free(context, new, holder, &end).await?;
    let refused = matches!(error, ApiError::Invalid(_) | ApiError::Missing);
    if refused && new.parent != batch.connection.folder && batch.relocated.is_none() {
        // The folder that it was to be in may have vanished: the paths are searched for again, once.
        batch.folders.forget();
        batch.relocated = Some(context.store.now());
        return Ok(NextStep::NextTurn);
    }
    let next_step = call_failed(context, batch, error, after_failed_folder(error), feedback).await?;
    if let NextStep::Retry(reason, detail, least) = next_step {
        return Ok(NextStep::Retry(reason, detail, least.max(settle)));
    }
    Ok(next_step)
}

/// Returns when to ask again for a folder that is claimed, from the lease of claims and what is left of it.
///
/// Creating a folder takes moments, but a worker that is gone keeps its claim for the whole lease. So the pause is as long
/// as the claim has lasted: soon at first, and a few times in all.
fn busy_pause(lease: Duration, left: Duration) -> Duration {
    lease.saturating_sub(left).max(FIRST_BUSY_PAUSE).min(left)
}

/// Returns how many create requests for one folder are allowed. If the list shows what was created in this project, it
/// would also show a folder that an unanswered request created.
fn folder_limits(context: &WorkerContext, shows_new_ones: bool) -> FolderLimits {
    let window = context.config.testmo.folder_create_window;
    FolderLimits {
        window,
        unknown: if shows_new_ones { SHOWN_WITHIN.min(window) } else { window },
        spacing: context.live.retry().shelf_backoff_min,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_folder_is_asked_for_soon_and_then_less_and_less_often_until_the_lease_is_over() {
        let (lease, mut passed, mut pauses) = (Duration::from_secs(150), Duration::ZERO, Vec::new());
        while passed < lease {
            let pause = busy_pause(lease, lease - passed);
            passed += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 22]);
        // A claim of a worker with a longer lease.
        assert_eq!(busy_pause(lease, lease * 2), Duration::from_secs(1));
    }
}
