//! Finds the cause of create requests whose status leaves the outcome unknown: the connection, or one case of a batch.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::failure::blame_connection;
use super::job::{Job, Part};
use super::reads::{Reads, reads};
use super::state::Delivery;
use super::suspects::name_of;
use crate::batch::BatchKey;
use crate::batch::ledger::Halved;
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::tenants::Connection;
use crate::trace::logged;
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::outcome::commit::commit_record;
use crate::worker::outcome::finish::finish_known;

/// A create request that was answered with a status that leaves its outcome unknown.
pub(super) struct Asked<'a> {
    pub(super) connection: &'a Connection,
    pub(super) status: u16,
}

/// Decides what follows a create request whose status leaves the outcome unknown, once its end is stored: where the
/// connection is the cause, its batches are parked; where reads succeed, a batch is halved; otherwise they are retried
/// as they are.
pub(super) async fn find_cause(
    delivery: &Delivery,
    mut parts: Vec<&mut Part>,
    asked: Asked<'_>,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    let Asked { connection, status } = asked;
    let batches: BTreeSet<BatchKey> = parts.iter().map(|part| part.batch.key.batch.clone()).collect();
    let is_alone = batches.len() == 1;
    // A batch that another worker or a person has changed meanwhile is left to them.
    parts.retain(|part| matches!(part.next, Some(NextStep::Retry(..))));
    let now = Instant::now();
    let since = parts.iter_mut().map(|part| *part.batch.suspected_since.get_or_insert(now)).min();
    let Some(since) = since else { return Ok(()) };
    if delivery.suspects.note(name_of(connection), status, batches, since, now) {
        return blame_for_all(delivery, parts, connection, feedback).await;
    }
    let Some(part) = parts.first_mut().filter(|part| is_alone && part.batch.record.is_cause_due()) else {
        return Ok(());
    };
    match reads(&delivery.context, &part.batch, status, feedback).await? {
        Reads::Unknown => Ok(()),
        Reads::Alike => blame_for_all(delivery, parts, connection, feedback).await,
        Reads::Succeed if !delivery.suspects.may_halve(&name_of(connection), &part.batch.key.batch, Instant::now()) => {
            Ok(())
        }
        Reads::Succeed => match part.batch.record.halve() {
            Halved::Never => blame_for_all(delivery, parts, connection, feedback).await,
            Halved::Done => {
                tracing::info!(
                    batch = %part.batch.key.batch, trace_id = logged(part.batch.trace()), status,
                    "read requests succeed, so the batch is sent in halves"
                );
                if !commit_record(&delivery.context, &mut part.batch, Commit::default()).await?.is_done() {
                    part.next = Some(NextStep::Refresh);
                }
                Ok(())
            }
        },
    }
}

async fn blame_for_all(
    delivery: &Delivery,
    mut parts: Vec<&mut Part>,
    connection: &Connection,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    delivery.suspects.forget(&name_of(connection));
    for part in &mut parts {
        part.batch.record.absolve();
        part.batch.suspected_since = None;
        if !commit_record(&delivery.context, &mut part.batch, Commit::default()).await?.is_done() {
            part.next = Some(NextStep::Refresh);
        } else if let Some(NextStep::Retry(reason, detail, _)) = part.next.take() {
            part.next = Some(NextStep::AwaitConnection(reason, detail));
        }
    }
    blame_connection(&delivery.context, parts, feedback).await
}

/// Goes on with cases that were held back until Testmo was reconciled, and finishes batches for which that leaves
/// nothing to do; `created` is how many cases of the job were known to be in Testmo before.
pub(super) async fn release_held(delivery: &Delivery, job: &mut Job, created: usize) -> Result<(), StoreError> {
    if job.created_cases() > created {
        for part in &job.parts {
            note_created(delivery, &part.batch.connection);
            free_if_done(delivery, &part.batch);
        }
    }
    for part in job.open() {
        if !part.batch.record.release_held() {
            continue;
        }
        tracing::warn!(
            batch = %part.batch.key.batch, trace_id = logged(part.batch.trace()),
            "the outcome of cases stays unknown; a person has to decide about them"
        );
        free_if_done(delivery, &part.batch);
        part.next = Some(finish_known(&delivery.context, &mut part.batch).await?);
    }
    Ok(())
}

/// Notes that cases were created over a connection.
pub(super) fn note_created(delivery: &Delivery, connection: &Connection) {
    delivery.suspects.created(&name_of(connection), Instant::now());
}

/// Lets another batch be halved where this one no longer needs it.
pub(super) fn free_if_done(delivery: &Delivery, batch: &ActiveBatch) {
    if batch.record.apart().is_none() {
        delivery.suspects.free(&name_of(&batch.connection), &batch.key.batch);
    }
}
