//! Claims the cases of several batches for one create request.

use std::collections::HashSet;

use tokio::time::Instant;
use uuid::Uuid;

use super::job::Job;
use super::send::send;
use super::share::{Request, Share, share_of, take_over};
use super::state::Delivery;
use super::unsent::release_unanswered;
use super::written::note_previous;
use crate::batch::BatchKey;
use crate::guard::may_panic;
use crate::store::StoreError;
use crate::store::ledger::{Claim, ClaimOutcome, StoredBatch};
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::model::{LaneUpdate, NextStep, PushFeedback};
use crate::worker::permit::{check_rate_limit, note_wait};
use crate::worker::store_retry::STORE_PAUSE;

/// Claims the cases, sends them in one request, and records the outcome.
pub(super) async fn push(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    // Ids of pushes ascend with time, so that a database finds the latest ones side by side.
    let push = Uuid::now_v7().simple().to_string();
    let mut feedback = std::mem::take(&mut job.feedback);
    let last_try = job.last_try;
    let mut keys = HashSet::new();
    job.open().for_each(|part| may_panic("claim", &part.batch.key));
    let mut shares: Vec<Share<'_>> = job.open().filter_map(|part| share_of(part, &push, &mut keys)).collect();
    let Some(first) = shares.first() else {
        job.feedback = feedback;
        return Ok(());
    };
    let connection = first.part.batch.connection.clone();
    if let Err(error) = note_previous(&delivery.context, &connection, &mut shares).await {
        job.feedback = feedback;
        return Err(error);
    }
    let asked = Instant::now();
    let claim = claim_of(&delivery.context, &push, &connection, &shares);
    let worked = match delivery.context.store.claim(claim).await {
        Ok(ClaimOutcome::Granted { at, limit, ids, stale, contested, unreadable }) => {
            feedback.updates.push(LaneUpdate::Limit(limit));
            let mut granted = Vec::new();
            for share in shares {
                let key = &share.part.batch.key.batch;
                if is_among(key, &stale) {
                    // It is brought up to date after the request: that may take long, and concerns this batch alone.
                    share.part.next = Some(NextStep::Refresh);
                } else if let Some((_, row)) = unreadable.iter().find(|(unreadable, _)| unreadable == key) {
                    share.part.next = Some(NextStep::AwaitStore(row.clone()));
                } else if contested.contains(key) {
                    share.part.next = Some(NextStep::Pause(STORE_PAUSE));
                } else {
                    granted.push(take_over(share, at, ids));
                }
            }
            let request = Request { push, connection: &connection, asked, last_try, ids };
            send(delivery, granted, request, &mut feedback).await
        }
        Ok(refused) => not_granted(delivery, shares, refused, &connection, &mut feedback).await,
        Err(error) => release_unanswered(&delivery.context, shares, &push, error).await,
    };
    job.feedback = feedback;
    worked
}

/// Decides what follows for each batch where the claim was not granted.
async fn not_granted(
    delivery: &Delivery,
    shares: Vec<Share<'_>>,
    refused: ClaimOutcome,
    connection: &Connection,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    let next = match refused {
        ClaimOutcome::Granted { .. } => NextStep::NextTurn,
        ClaimOutcome::Stale { stored, .. } => {
            refresh_stale(shares, &stored);
            return Ok(());
        }
        ClaimOutcome::Full { limit } => {
            feedback.updates.push(LaneUpdate::Full(limit));
            NextStep::NextTurn
        }
        ClaimOutcome::Wait(pause) => {
            note_wait(&delivery.context, connection.access.origin.as_str(), pause, feedback);
            NextStep::NextTurn
        }
        ClaimOutcome::Probe => {
            let Connection { access, tenant, .. } = connection;
            let next = check_rate_limit(&delivery.context, access, tenant, feedback).await?;
            next.unwrap_or(NextStep::NextTurn)
        }
        ClaimOutcome::Unreadable(row) => NextStep::AwaitStore(row),
        ClaimOutcome::Paused => NextStep::Paused,
        ClaimOutcome::ConnectionChanged => {
            // The cached connection would lead here again.
            delivery.context.tenants.forget(&connection.tenant);
            NextStep::ResolveAgain
        }
    };
    shares.into_iter().for_each(|share| share.part.next = Some(next.clone()));
    Ok(())
}

/// Has each batch brought up to date whose record has changed; the others try again.
fn refresh_stale(shares: Vec<Share<'_>>, stored: &[StoredBatch]) {
    for share in shares {
        let is_stale = is_among(&share.part.batch.key.batch, stored);
        share.part.next = Some(if is_stale { NextStep::Refresh } else { NextStep::Pause(STORE_PAUSE) });
    }
}

fn is_among(key: &BatchKey, stored: &[StoredBatch]) -> bool {
    stored.iter().any(|stored| stored.record.key == *key)
}

fn claim_of(context: &WorkerContext, push: &str, connection: &Connection, shares: &[Share<'_>]) -> Claim {
    Claim {
        push: push.to_owned(),
        tenant: connection.tenant.clone(),
        connection: connection.version.clone(),
        account: connection.access.origin.as_str().to_owned(),
        ceiling: context.live.account_concurrency(),
        holder: context.holder.clone(),
        lease: context.config.testmo.lease(),
        batches: shares.iter().map(Share::claimed).collect(),
    }
}
