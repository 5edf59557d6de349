//! Routes: checks what is assumed of a tenant's Testmo, and drops a change that is not in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::etag::Expected;
use super::reply::Reply;
use super::route::{Access, Answer, Body, Precondition, Route, Scope, Verb};
use super::tenant_changes::LARGEST_ID;
use crate::app::actor::Role;
use crate::app::connections::probe::{Probed, probe};
use crate::app::connections::set::discard_change;
use crate::app::connections::{connection, status};
use crate::app::store_now;
use crate::app::view::{ProbedView, VerifiedView};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "probeTenant",
        path: "/api/v1/tenants/{tenant}/probe",
        about: "Verifies a tenant's connection, and then checks what is assumed of its Testmo. With a folder, one case is \
                created there, edited, and deleted again.",
        scope: Scope::Path,
        body: Body::Json(|g| g.subschema_for::<ProbeBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<ProbeEndView>()))],
        refusals: &[404],
        reads_testmo: true,
        handler: |call| Box::pin(probe_one(call)),
        ..Route::CHANGE
    },
    Route {
        id: "deleteTenantChange",
        verb: Verb::Delete,
        path: "/api/v1/tenants/{tenant}/change",
        about: "Drops the last change of a tenant's connection if it is not in force. The connection in force stays as it is.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        precondition: Precondition::Tenant,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<DroppedView>()))],
        refusals: &[409],
        handler: |call| Box::pin(drop_change(call)),
        ..Route::CHANGE
    },
];

/// How a connection is probed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProbeBody {
    /// The folder in which one case is created, edited and deleted; if it is left out, nothing is written.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    folder_id: Option<u64>,
}

/// The end of a probe.
#[derive(Debug, Serialize, JsonSchema)]
struct ProbeEndView {
    /// What was found; null if the connection does not work, so that nothing else was tried.
    probed: Option<ProbedView>,
    /// Why nothing else was tried; null if the connection works.
    not_verified: Option<VerifiedView>,
}

/// Whether a change was dropped.
#[derive(Debug, Serialize, JsonSchema)]
struct DroppedView {
    tenant_id: String,
    /// Whether there was a change that was not in force.
    dropped: bool,
}

async fn probe_one(call: Call) -> Result<Reply, Problem> {
    let ProbeBody { folder_id } = call.json()?;
    if folder_id.is_some_and(|id| !(1..=LARGEST_ID).contains(&id)) {
        let why = "Write the id of the folder, a number that Testmo shows.";
        return Err(Problem::new(Code::InvalidBody, why).at("/folder_id"));
    }
    let (store, now) = (call.store(), store_now(call.store()));
    let end = match probe(call.context(), call.actor(), &call.tenant()?, folder_id).await? {
        Probed::NotVerified(verified) => {
            let status = status(store, &verified.row).await?;
            ProbeEndView { probed: None, not_verified: Some(VerifiedView::of(&verified, &status, now)) }
        }
        Probed::Done(done) => {
            let status = status(store, &done.row).await?;
            let probed = ProbedView::of(&done, done.verification(), &status, now);
            ProbeEndView { probed: Some(probed), not_verified: None }
        }
    };
    Reply::json(200, &end)
}

async fn drop_change(call: Call) -> Result<Reply, Problem> {
    let expected = Expected::of(&call.headers)?;
    let row = connection(call.store(), &call.tenant()?).await?;
    expected.check(Some(&row))?;
    let dropped = discard_change(call.context(), call.actor(), &row).await?;
    Reply::json(200, &DroppedView { tenant_id: row.tenant.to_string(), dropped })
}
