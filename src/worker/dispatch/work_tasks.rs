//! Runs the tasks that work on batches, and remembers what each of them works on.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinError, JoinSet};

use crate::batch::TenantId;
use crate::guard::Task;
use crate::lane::Pack;
use crate::worker::delivery::{Delivery, deliver};
use crate::worker::model::{ActiveBatch, Dispositions, PushFeedback, WorkKey};

/// The tasks that work on batches.
pub(super) struct WorkTasks {
    delivery: Arc<Delivery>,
    tasks: JoinSet<(Dispositions, PushFeedback)>,
    /// What each task works on: a task that panics cannot return it.
    working_on: HashMap<Id, WorkingOn>,
}

struct WorkingOn {
    account: Arc<str>,
    tenant: TenantId,
    batches: Vec<WorkKey>,
}

/// The end of a task.
pub(super) struct Ended {
    pub(super) account: Arc<str>,
    pub(super) tenant: TenantId,
    pub(super) batches: Vec<WorkKey>,
    /// What follows for its batches; none if a defect stopped it.
    pub(super) end: Option<(Dispositions, PushFeedback)>,
}

impl WorkTasks {
    pub(super) fn new(delivery: Arc<Delivery>) -> Self {
        Self { delivery, tasks: JoinSet::new(), working_on: HashMap::new() }
    }

    /// Returns how many tasks work.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Starts a task that works on batches.
    pub(super) fn start(&mut self, pack: Pack<Box<ActiveBatch>>) {
        let batches = pack.parts.iter().map(|(batch, _)| batch.key.clone()).collect();
        let working_on = WorkingOn { account: pack.account.clone(), tenant: pack.tenant.clone(), batches };
        let delivery = self.delivery.clone();
        let task = self.tasks.spawn(async move { deliver(&delivery, pack).await });
        self.working_on.insert(task.id(), working_on);
    }

    /// Waits for the end of the next task; `None` if none works. Cancelling the wait loses nothing.
    pub(super) async fn next_end(&mut self) -> Option<Ended> {
        loop {
            let (task, end) = match self.tasks.join_next_with_id().await? {
                Ok((task, end)) => (task, Some(end)),
                Err(error) => (self.note_defect(&error), None),
            };
            if let Some(WorkingOn { account, tenant, batches }) = self.working_on.remove(&task) {
                return Some(Ended { account, tenant, batches, end });
            }
        }
    }

    /// Stops all tasks, and waits until they have stopped.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }

    fn note_defect(&self, error: &JoinError) -> Id {
        let batches = self.working_on.get(&error.id()).map(|on| on.batches.as_slice()).unwrap_or_default();
        let metrics = &self.delivery.context.metrics;
        metrics.panics.with_label_values(&[Task::Dispatcher.name()]).inc();
        metrics.own_errors.with_label_values(&["panic"]).inc_by(batches.len() as u64);
        tracing::error!(
            %error, batches = names(batches),
            "a defect stopped the work on some batches; they are returned to the queue or the shelf"
        );
        error.id()
    }
}

fn names(batches: &[WorkKey]) -> String {
    batches.iter().map(|key| key.batch.to_string()).collect::<Vec<_>>().join(", ")
}
