//! Claims the cases of several batches for one create request.

use std::collections::HashSet;

use tokio::time::Instant;
use uuid::Uuid;

use super::job::Job;
use super::refresh::refresh_from_ledger;
use super::send::send;
use super::share::{Request, Share, share_of, take_over};
use super::state::Delivery;
use super::unsent::release_unanswered;
use crate::batch::{BatchKey, Reason};
use crate::guard::may_panic;
use crate::store::StoreError;
use crate::store::accounts::Pause;
use crate::store::ledger::{Claim, ClaimOutcome, StoredBatch};
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::model::{LaneUpdate, NextStep, PushFeedback};
use crate::worker::permit::check_rate_limit;
use crate::worker::store_retry::STORE_PAUSE;

/// Claims the cases, sends them in one request, and records the outcome.
pub(super) async fn push(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    // Ids of pushes ascend with time, so that a database finds the latest ones side by side.
    let push = Uuid::now_v7().simple().to_string();
    let mut feedback = std::mem::take(&mut job.feedback);
    let last_try = job.last_try;
    let mut keys = HashSet::new();
    job.open().for_each(|part| may_panic("claim", &part.batch.key));
    let shares: Vec<Share<'_>> = job.open().filter_map(|part| share_of(part, &push, &mut keys)).collect();
    let Some(first) = shares.first() else {
        job.feedback = feedback;
        return Ok(());
    };
    let connection = first.part.batch.connection.clone();
    let asked = Instant::now();
    let claim = claim_of(&delivery.context, &push, &connection, &shares);
    let worked = match delivery.context.store.claim(claim).await {
        Ok(ClaimOutcome::Granted { at, limit, ids, stale, contested, unreadable }) => {
            feedback.updates.push(LaneUpdate::Limit(limit));
            let (mut granted, mut failed) = (Vec::new(), Ok(()));
            for share in shares {
                let key = &share.part.batch.key.batch;
                if let Some(stored) = stored_of(key, &stale) {
                    let refreshing = refresh_from_ledger(delivery, &mut share.part.batch, stored.clone(), at);
                    match refreshing.await {
                        Ok(next) => share.part.next = Some(next),
                        // It concerns this batch alone: the others are claimed, and go on.
                        Err(error) => failed = Err(error),
                    }
                } else if let Some((_, row)) = unreadable.iter().find(|(unreadable, _)| unreadable == key) {
                    share.part.next = Some(NextStep::AwaitStore(row.clone()));
                } else if contested.contains(key) {
                    share.part.next = Some(NextStep::Pause(STORE_PAUSE));
                } else {
                    granted.push(take_over(share, at, ids));
                }
            }
            let request = Request { push, connection: &connection, asked, last_try, ids };
            send(delivery, granted, request, &mut feedback).await.and(failed)
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
        ClaimOutcome::Stale { stored, now } => return refresh_all(delivery, shares, &stored, now).await,
        ClaimOutcome::Full { limit } => {
            feedback.updates.push(LaneUpdate::Full(limit));
            NextStep::NextTurn
        }
        ClaimOutcome::Wait(Pause { wait, broken }) => {
            feedback.close(wait, if broken { Reason::ServerError } else { Reason::Throttled });
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

async fn refresh_all(
    delivery: &Delivery,
    shares: Vec<Share<'_>>,
    stored: &[StoredBatch],
    now: i64,
) -> Result<(), StoreError> {
    let mut failed = Ok(());
    for share in shares {
        let refreshed = match stored_of(&share.part.batch.key.batch, stored) {
            Some(stored) => refresh_from_ledger(delivery, &mut share.part.batch, stored.clone(), now).await,
            None => Ok(NextStep::Pause(STORE_PAUSE)),
        };
        match refreshed {
            Ok(next) => share.part.next = Some(next),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

fn stored_of<'a>(key: &BatchKey, stored: &'a [StoredBatch]) -> Option<&'a StoredBatch> {
    stored.iter().find(|stored| stored.record.key == *key)
}

fn claim_of(context: &WorkerContext, push: &str, connection: &Connection, shares: &[Share<'_>]) -> Claim {
    Claim {
        push: push.to_owned(),
        tenant: connection.tenant.clone(),
        connection: connection.version.clone(),
        account: connection.access.origin.as_str().to_owned(),
        ceiling: context.config.requests.account_concurrency,
        holder: context.holder.clone(),
        lease: context.config.testmo.lease(),
        batches: shares.iter().map(Share::claimed).collect(),
    }
}
