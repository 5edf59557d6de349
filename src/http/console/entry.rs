//! Pages: one entry of the shelf, with its cause, what helps, its message and a text for the customer.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::cause::Note;
use super::entry_lines::EntryLine;
use super::frame::Frame;
use super::message::{Kind, Search, Shown};
use super::moment::Moment;
use super::route::{Route, Scope};
use super::steps::{Entries, Step, Way, in_path, steps};
use super::visit::Visit;
use crate::app::shelf::{Pauses, ShelfIdentity, commands, for_customer, group_of, notes_of};

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "entry",
        path: "/entries/{id}",
        scope: Scope::Entry,
        query: &["find", "lines"],
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "entryBody",
        path: "/entries/{id}/body",
        scope: Scope::Entry,
        handler: |visit| Box::pin(body(visit)),
        ..Route::SHOW
    },
];

/// One entry.
#[derive(Template)]
#[template(path = "entry.html")]
struct EntryPage {
    frame: Frame,
    line: EntryLine,
    reason: &'static str,
    cause: &'static str,
    remedy: &'static str,
    group: String,
    note: Option<Note>,
    steps: Vec<Step>,
    tenant: Option<(String, String)>,
    hash: Option<String>,
    account: Option<String>,
    published: Option<Moment>,
    shelved: Moment,
    failing_since: Option<Moment>,
    parks: u32,
    headers: Vec<(String, String)>,
    replay: Option<i64>,
    message: Shown,
    search: Search,
    customer: String,
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let (store, row) = (visit.store(), visit.named.entry()?);
    let pauses = Pauses::read(store).await?;
    let notes = if visit.reach()?.is_all() { notes_of(store, std::slice::from_ref(row)).await? } else { Vec::new() };
    let note = notes.into_iter().next().flatten();
    let content = &row.content;
    let title = content.reason.title();
    let frame = Frame { live: 10, ..visit.frame("/failures", title, format!("testmo-courier shelf show {}", row.id)) };
    let search = Search::of(visit.query.raw("find"), visit.query.text("lines"));
    let search = search.map_err(|why| Problem::parameter(Code::InvalidParameter, "find", why))?;
    let entries = Entries { selection: vec![("id", row.id.to_string())], count: 1 };
    let page = EntryPage {
        line: EntryLine::of(row, &pauses, visit.now),
        reason: content.reason.code(),
        cause: content.reason.cause(),
        remedy: content.reason.remedy(),
        group: group_of(row).to_string(),
        note: note.map(|note| Note { at: visit.at(note.at), text: note.text, actor: note.actor }),
        steps: steps(&commands(row, &pauses), &entries, &frame),
        tenant: row.tenant().map(|tenant| (tenant.to_string(), format!("/tenants/{}", in_path(tenant.as_str())))),
        hash: match &content.identity {
            ShelfIdentity::Raw(hash, ..) => Some(hash.clone()),
            ShelfIdentity::Batch(..) => None,
        },
        account: content.account.clone(),
        published: content.published_at.map(|at| visit.at(at)),
        shelved: visit.at(row.shelved_at),
        failing_since: content.failing_since.map(|at| visit.at(at)),
        parks: content.parks,
        headers: content.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        replay: row.replay.map(|replay| replay.0),
        message: Shown::of(&content.body, &search),
        search,
        customer: for_customer(store, row).await?.to_string(),
        frame,
    };
    Answer::page(200, &page)
}

async fn body(visit: Visit) -> Result<Answer, Problem> {
    Ok(Answer::download(visit.named.entry()?.content.body.to_vec()))
}
