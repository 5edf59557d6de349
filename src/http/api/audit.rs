//! Routes: reads the audit.

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::page::{AFTER, LIMIT, Page, limit, shelf_place};
use super::reply::Reply;
use super::route::{Answer, Kind, Parameter, Route};
use super::selection::TENANT;
use crate::app::audit::{self, AuditAction, AuditError, AuditFilter, AuditId};
use crate::app::shelf::TimeBound;
use crate::app::view::AuditEntryView;
use crate::app::{BatchKey, store_now};

/// The parameters of the list.
const QUERY: &[Parameter] = &[
    TENANT,
    Parameter { name: "batch_id", about: "Only changes of this batch of the tenant.", kind: Kind::Text("shop-142-1") },
    Parameter { name: "actor", about: "Only changes by the person or token of this name.", kind: Kind::Text("anna") },
    Parameter { name: "action", about: "Only this action.", kind: Kind::Word(actions) },
    Parameter { name: "subject", about: "Only changes of what is named so.", kind: Kind::Text("shelf 0000001a") },
    Parameter {
        name: "since",
        about: "Only changes since this time: an age such as 2h, a day or a time.",
        kind: Kind::Text("2h"),
    },
    Parameter {
        name: "until",
        about: "Only changes before this time, in the same forms.",
        kind: Kind::Text("2026-11-20"),
    },
    LIMIT,
    AFTER,
];

pub(super) const ROUTES: &[Route] = &[Route {
    id: "listAudit",
    path: "/api/v1/audit",
    about: "Lists what people have changed, newest first: who, through which face, when, why, and how it was before and after.",
    query: QUERY,
    answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<AuditEntryView>>()))],
    handler: |call| Box::pin(list(call)),
    ..Route::READ
}];

fn actions() -> Vec<&'static str> {
    AuditAction::ALL.iter().map(|action| action.name()).collect()
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let at = |bound: TimeBound| bound.at(store_now(call.store()));
    let tenant = call.reach().only(call.query("tenant_id")?)?;
    let batch = match (&tenant, call.query.get("batch_id")) {
        (Some(tenant), Some(batch)) => {
            let wrong = |why| Problem::parameter(Code::InvalidParameter, "batch_id", why);
            Some(format!("{tenant}/{batch}").parse::<BatchKey>().map_err(wrong)?.batch)
        }
        (None, Some(_)) => {
            return Err(Problem::parameter(Code::InvalidParameter, "tenant_id", "A batch is named with its tenant."));
        }
        (_, None) => None,
    };
    let filter = AuditFilter {
        tenant,
        batch,
        actor: call.query("actor")?,
        action: call.query("action")?,
        subject: call.query("subject")?,
        since: call.query("since")?.map(at),
        until: call.query("until")?.map(at),
        behind: shelf_place(&call)?.map(|(at, id)| (at, AuditId(id))),
    };
    let page = audit::list(call.store(), &filter, None, limit(&call)?).await.map_err(|error| match error {
        AuditError::Store(error) => error.into(),
        AuditError::NoTenant | AuditError::NoEntry(_) => Problem::parameter(Code::InvalidParameter, "tenant_id", error),
    })?;
    let next =
        page.entries.last().filter(|_| page.next.is_some()).map(|last| format!("{}.{}", last.row.at, last.row.id));
    Reply::json(200, &Page::of(&call, page.entries.iter().map(AuditEntryView::of).collect(), next))
}
