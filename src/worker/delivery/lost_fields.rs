//! Finds out whether a refused field is one that the tenant's project had and has lost.
//!
//! Testmo's answer does not tell a field that it does not know from a value that it does not accept. The project's list of
//! fields does: a field that is still listed was refused for its value.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::accepted::Standing;
use super::project_fields::Columns;
use super::share::Share;
use super::state::Delivery;
use super::suspects::name_of;
use crate::account::Signal;
use crate::batch::render::resolve::Needs;
use crate::batch::verdict::answer::{ApiError, CreateResult};
use crate::batch::verdict::blame::Known;
use crate::batch::verdict::{Verdict, after_failed_read, signal_of};
use crate::batch::{Reason, RenderedCase};
use crate::tenants::Connection;
use crate::testmo::ReadError;
use crate::worker::model::PushFeedback;
use crate::worker::permit::{PagePermits, note_end, report};

/// The longest that a reading may take.
const LONGEST: Duration = Duration::from_secs(20);

/// A request that has ended, and what is known of its connection.
pub(super) struct Ended<'a> {
    pub(super) connection: &'a Connection,
    pub(super) result: &'a CreateResult,
    pub(super) cases: &'a [&'a RenderedCase],
    pub(super) standing: Standing,
}

/// Returns what is known of the connection of a request, for deciding who is to blame.
///
/// # Errors
/// What follows if the project's fields cannot be read now: nothing was created, and the request is tried again.
pub(super) async fn known(
    delivery: &Delivery,
    shares: &[Share<'_>],
    ended: Ended<'_>,
    feedback: &mut PushFeedback,
) -> Result<Known, Verdict> {
    let Ended { connection, result, cases, standing } = ended;
    let is_known = |case: &RenderedCase, column: &str| {
        let name = case.provenance.name_of(column);
        let is_given_up = connection.fields.is_given_up(column);
        connection.fields.knows(column)
            || standing.fields.contains(&name)
            || (standing.own.contains(&name) && !is_given_up)
    };
    let doubtful = match result {
        Err(ApiError::Invalid(refusals)) => refusals.refused_columns(cases, is_known),
        Ok(_) | Err(_) => BTreeSet::new(),
    };
    let accepted = standing.fields.clone();
    if doubtful.is_empty() {
        return Ok(Known { accepted, lost: doubtful });
    }
    // A list that cannot be read for long keeps no batch waiting: then it says nothing.
    let may_wait = shares.iter().all(|share| share.part.batch.message.parks == 0);
    let listed = match columns(delivery, connection, feedback).await {
        Err(again) if may_wait => return Err(again),
        Err(_) | Ok(None) => return Ok(Known { accepted, lost: BTreeSet::new() }),
        Ok(Some(listed)) => listed,
    };
    Ok(Known { accepted, lost: doubtful.difference(&listed).cloned().collect() })
}

/// Returns the columns of a connection's project, if Testmo lists them.
async fn columns(
    delivery: &Delivery,
    connection: &Connection,
    feedback: &mut PushFeedback,
) -> Result<Columns, Verdict> {
    let name = name_of(connection);
    if let Some(columns) = delivery.project_fields.recall(&name) {
        return Ok(columns);
    }
    let context = &*delivery.context;
    let mut permits = PagePermits::new(context, &connection.access, &connection.tenant, feedback);
    let needs = Needs { templates: false, states: false, fields: true };
    let reading = context.client.catalogue(&connection.access, connection.project, needs, &mut permits);
    let read = timeout(LONGEST, reading).await.unwrap_or(Err(ReadError::Failed(ApiError::TimedOut)));
    let error = match read {
        Ok(there) => {
            let listed = there.fields.filter(|fields| !fields.is_empty());
            let columns = listed.map(|fields| Arc::new(fields.into_iter().map(|field| field.column).collect()));
            delivery.project_fields.keep(name, columns.clone());
            return Ok(columns);
        }
        Err(ReadError::Failed(error)) => error,
        Err(ReadError::NotPermitted(_)) => {
            let detail = "the project's fields could not be listed, because requests are paused".into();
            return Err(Verdict::Undecided(Reason::Throttled, detail));
        }
    };
    if let Some(signal @ (Signal::Throttled(_) | Signal::Failed)) = signal_of(Some(&error)) {
        note_end(context, connection.access.origin.as_str(), signal, Some(&error));
        if let Err(error) = report(context, &connection.access, signal).await {
            tracing::warn!(%error, "how an account answered could not be stored");
        }
    }
    let verdict = after_failed_read(&error);
    if matches!(verdict, Verdict::Throttle(_) | Verdict::AwaitSocket) {
        return Err(verdict);
    }
    if let Verdict::Retry(reason) = verdict
        && reason != Reason::ReadFailed
    {
        return Err(Verdict::Undecided(reason, format!("listing the project's fields: {error}")));
    }
    // That does not pass.
    tracing::info!(tenant = %connection.tenant, %error, "the project's fields cannot be listed");
    Ok(None)
}
