//! Routes: reads the shelf.

use super::super::admin::problem::Problem;
use super::call::Call;
use super::notes;
use super::page::{AFTER, LIMIT, Page, limit, shelf_place, shelf_place_text};
use super::reply::Reply;
use super::route::{Answer, Parameter, Route, Scope};
use super::selection::{FILTERS, SelectionBody, TENANT};
use crate::app::shelf::{self, CustomerText, GroupFilter, Pauses, for_customer, notes_of};
use crate::app::store_now;
use crate::app::view::{GroupView, ShelfEntryView, ShelvedMessageView};

/// The parameters of the list.
const QUERY: &[Parameter] =
    &[FILTERS[0], FILTERS[1], FILTERS[2], FILTERS[3], FILTERS[4], FILTERS[5], FILTERS[6], LIMIT, AFTER];

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "listShelf",
        path: "/api/v1/shelf",
        about: "Lists the entries of the shelf without their messages, newest first.",
        query: QUERY,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<ShelfEntryView>>()))],
        handler: |call| Box::pin(list(call)),
        ..Route::READ
    },
    Route {
        id: "listGroups",
        path: "/api/v1/shelf/groups",
        about: "Lists what is on the shelf by its cause, with what to do: those that wait for a person first.",
        query: &[TENANT, FILTERS[1], FILTERS[2]],
        answers: &[(200, Answer::Json(|g| g.subschema_for::<Page<GroupView>>()))],
        handler: |call| Box::pin(groups(call)),
        ..Route::READ
    },
    Route {
        id: "getShelfEntry",
        path: "/api/v1/shelf/{id}",
        about: "Returns an entry of the shelf with its message, its cause and its remedy.",
        scope: Scope::Entry,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<ShelvedMessageView>()))],
        handler: |call| Box::pin(show(call)),
        ..Route::READ
    },
    Route {
        id: "getShelfBody",
        path: "/api/v1/shelf/{id}/body",
        about: "Returns the bytes of the message of an entry, as they were published.",
        scope: Scope::Entry,
        answers: &[(200, Answer::Bytes)],
        handler: |call| Box::pin(async move { Ok(Reply::bytes(call.named.entry()?.content.body.to_vec())) }),
        ..Route::READ
    },
    Route {
        id: "getCustomerText",
        path: "/api/v1/shelf/{id}/customer-text",
        about: "Returns what can be said to the customer about an entry, without words of our own.",
        scope: Scope::Entry,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<CustomerText>()))],
        handler: |call| {
            Box::pin(async move { Reply::json(200, &for_customer(call.store(), call.named.entry()?).await?) })
        },
        ..Route::READ
    },
];

async fn list(call: Call) -> Result<Reply, Problem> {
    let store = call.store();
    let filter = SelectionBody::of_query(&call).filter(&call, false)?;
    let (entries, next) = shelf::page(store, &filter, shelf_place(&call)?, limit(&call)?).await?;
    let (pauses, now) = (Pauses::read(store).await?, store_now(store));
    let views = entries.iter().map(|entry| ShelfEntryView::of(entry, &pauses, now)).collect();
    Reply::json(200, &Page::<ShelfEntryView>::of(&call, views, next.map(shelf_place_text)))
}

async fn groups(call: Call) -> Result<Reply, Problem> {
    let tenant = call.reach().only(call.query("tenant_id")?)?;
    let filter = GroupFilter { tenant, reason: call.query("reason")?, state: call.query("state")? };
    let mut groups = shelf::groups(call.store(), &filter).await?;
    notes::hide_foreign(&call, &mut groups);
    Reply::json(200, &Page::of(&call, groups.iter().map(GroupView::from).collect(), None))
}

async fn show(call: Call) -> Result<Reply, Problem> {
    let entry = call.named.entry()?;
    let pauses = Pauses::read(call.store()).await?;
    let notes =
        if call.reach().is_all() { notes_of(call.store(), std::slice::from_ref(entry)).await? } else { Vec::new() };
    let note = notes.first().and_then(Option::as_ref);
    Reply::json(200, &ShelvedMessageView::of(entry, &pauses, store_now(call.store())).noted(note))
}
