//! Routes: checks and previews messages without publishing them.

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Kind, Parameter, Route, Scope, Verb};
use super::selection::TENANT;
use crate::app::connections::connection;
use crate::app::messages::preview::{PreviewInput, batch_of, preview};
use crate::app::messages::{Message, check_for};
use crate::app::view::{MessageView, PreviewView};

const CASE: Parameter = Parameter {
    name: "case",
    about: "The position of the only case to be shown, from 1.",
    kind: Kind::Number(1, 1_000_000),
};

const ONLINE: Parameter = Parameter {
    name: "online",
    about: "Also reads from Testmo: the project's folders, and the cases that earlier batches wrote, to show as `plan` what would \
            become of each.",
    kind: Kind::Flag,
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "lintMessage",
        verb: Verb::Post,
        path: "/api/v1/lint",
        about: "Checks a message without publishing it, for a tenant also against what its project was seen to have.",
        query: &[TENANT],
        body: Body::Message,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<MessageView>()))],
        handler: |call| Box::pin(lint(call)),
        ..Route::READ
    },
    Route {
        id: "previewMessage",
        verb: Verb::Post,
        path: "/api/v1/tenants/{tenant}/preview",
        about: "Shows what a message would become in a tenant's Testmo, and sends nothing.",
        scope: Scope::Path,
        query: &[CASE, ONLINE],
        body: Body::Message,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<PreviewView>()))],
        refusals: &[409, 422],
        handler: |call| Box::pin(show(call)),
        ..Route::READ
    },
];

async fn lint(call: Call) -> Result<Reply, Problem> {
    let tenant = match call.query("tenant_id")? {
        None => None,
        named => call.reach().only(named)?,
    };
    let message = Message::of(call.body.to_vec());
    let view = MessageView::of("body", &message);
    let Some(tenant) = tenant else { return Reply::json(200, &view) };
    let row = connection(call.store(), &tenant).await?;
    Reply::json(200, &view.checked_for(&tenant, &check_for(call.store(), &row, &message).await?))
}

async fn show(call: Call) -> Result<Reply, Problem> {
    let row = connection(call.store(), &call.tenant()?).await?;
    let batch = batch_of(&call.body).map_err(|faults| {
        let first = faults.first().cloned().unwrap_or_default();
        let detail = format!("Nothing of the message would be delivered: {first}");
        Problem::new(Code::Refused, detail).remedy("POST /api/v1/lint lists all faults.")
    })?;
    let requests = &call.context().config.requests;
    let input =
        PreviewInput { row, batch, case: call.query("case")?, limits: (requests.max_cases, requests.max_bytes) };
    let online = call.flag("online").then(|| call.context());
    Reply::json(200, &PreviewView::of(&preview(input, online).await?))
}
