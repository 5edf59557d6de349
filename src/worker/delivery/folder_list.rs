//! Lists the folders of a batch's project.

use super::failure::call_failed;
use crate::batch::verdict::after_failed_read;
use crate::store::StoreError;
use crate::testmo::{Folder, ReadError};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::permit::PagePermits;

/// Returns every folder of the project, or what follows where Testmo could not be called.
pub(super) async fn list_folders(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    feedback: &mut PushFeedback,
) -> Result<Result<Vec<Folder>, NextStep>, StoreError> {
    let connection = batch.connection.clone();
    let mut permits = PagePermits::new(context, &connection.access, &connection.tenant, feedback);
    match context.client.folders(&connection.access, connection.project, &mut permits).await {
        Ok(folders) => Ok(Ok(folders)),
        Err(ReadError::NotPermitted(refused)) => refused.map(Err),
        Err(ReadError::Failed(error)) => {
            let next = after_failed_read(&error);
            call_failed(context, batch, &error, next, feedback).await.map(Err)
        }
    }
}
