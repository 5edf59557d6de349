//! Routes: edits the message of an entry of the shelf, or one field in many.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::reply::Reply;
use super::route::{Answer, Body, Kind, Parameter, Route, Scope, Verb};
use super::selection::{SelectionBody, chosen, reason};
use super::tenant_changes::REASON;
use crate::app::edit::{self, EditError, MOST_FIELDS, Setting};
use crate::app::view::{DraftView, EditOutcomeView, EditPlanView, StoredEditView};

const VERSION: Parameter = Parameter {
    name: "version",
    about: "The version of the draft that was edited: if the entry was changed since, nothing is stored.",
    kind: Kind::Needed(&Kind::Number(0, 9_007_199_254_740_991)),
};

const DRY_RUN: Parameter = Parameter {
    name: "dry_run",
    about: "Checks the message and returns the difference, but stores nothing.",
    kind: Kind::Flag,
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "getShelfDraft",
        path: "/api/v1/shelf/{id}/draft",
        about: "Returns the message of an entry as it can be edited, with the cases that are locked.",
        scope: Scope::Entry,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<DraftView>()))],
        refusals: &[409, 422],
        handler: |call| Box::pin(draft(call)),
        ..Route::READ
    },
    Route {
        id: "putShelfMessage",
        verb: Verb::Put,
        path: "/api/v1/shelf/{id}/message",
        about: "Checks an edited message, and stores it in place of the present one. It stays the same batch. Nothing is sent \
                until the entry is replayed.",
        scope: Scope::Entry,
        query: &[VERSION, DRY_RUN, REASON],
        body: Body::Message,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<StoredEditView>()))],
        refusals: &[409, 422],
        handler: |call| Box::pin(put(call)),
        ..Route::CHANGE
    },
    Route {
        id: "setShelfFields",
        path: "/api/v1/shelf/edit",
        about: "Sets fields in the messages of entries. Cases that are, or may be, in Testmo stay as they are.",
        body: Body::Json(|g| g.subschema_for::<SetBody>()),
        answers: &[(200, Answer::Json(|g| g.subschema_for::<EditPlanView>()))],
        handler: |call| Box::pin(set(call)),
        ..Route::CHANGE
    },
];

/// Which fields are set, and in which entries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetBody {
    /// Each as FIELD=VALUE, such as `priority=high` or `folder_path=["Checkout"]`: a JSON pointer or names with dots, and JSON
    /// or else a text. A name such as `tags` means that field of every case.
    #[schemars(length(min = 1, max = MOST_FIELDS))]
    set: Vec<String>,
    /// Ids as the list shows them, batches as TENANT/BATCH, or the first 12 digits of a message's hash.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// What the entries have in common, in place of ids.
    #[serde(default)]
    selection: Option<SelectionBody>,
    /// How many entries were seen: nothing is changed if the selection now has another number.
    #[serde(default)]
    expected_entries: Option<u64>,
    /// Why, for the audit.
    #[serde(default)]
    reason: Option<String>,
    /// Returns what would be changed, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

async fn draft(call: Call) -> Result<Reply, Problem> {
    Reply::json(200, &DraftView::of(&opened(&call).await?))
}

/// Opens the message of the entry that the path names.
async fn opened(call: &Call) -> Result<edit::Draft, Problem> {
    let id = call.named.entry()?.id;
    Ok(edit::open(call.store(), id, call.context().config.amqp.max_message_bytes).await?)
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let draft = opened(&call).await?;
    if call.query::<i64>("version")? != Some(draft.version()) {
        return Err(EditError::Changed.into());
    }
    let edited = draft.check(call.body.to_vec())?;
    let stored = !edited.changes.is_empty() && !call.flag("dry_run");
    if stored {
        let because = reason(call.query.get("reason").map(String::as_str));
        draft.store(&edited, call.store(), call.actor(), because).await?;
    }
    Reply::json(200, &StoredEditView::of(&draft.entry, &edited.changes, stored))
}

async fn set(call: Call) -> Result<Reply, Problem> {
    let body: SetBody = call.json()?;
    if !(1..=MOST_FIELDS).contains(&body.set.len()) {
        let why = format!("Write 1 to {MOST_FIELDS} fields, each as FIELD=VALUE.");
        return Err(Problem::new(Code::InvalidBody, why).at("/set"));
    }
    let mut settings = Vec::new();
    for (index, text) in body.set.iter().enumerate() {
        let wrong = |why: String| Problem::new(Code::InvalidBody, why).at(format!("/set/{index}"));
        settings.push(text.parse::<Setting>().map_err(wrong)?);
    }
    let ids = chosen(&call, (body.ids.as_deref(), body.selection.as_ref()), body.expected_entries).await?;
    let (store, most) = (call.store(), call.context().config.amqp.max_message_bytes);
    let plan = edit::plan(store, &ids, settings, most).await?;
    let view = EditPlanView::of(&plan);
    if body.dry_run {
        return Reply::json(200, &view);
    }
    let done = EditOutcomeView::of_plan(&plan);
    let outcome = plan.carry_out(store, call.actor(), reason(body.reason.as_deref()), most).await?;
    Reply::json(200, &view.with(done.with_outcome(&outcome)))
}
