//! Plans what a batch would do with cases that earlier batches wrote: reads them, and decides as the worker does.

mod known;
mod model;
mod rows;
mod size;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use self::known::{Gone, Known, Sources, gone, is_named, known, later, sources};
use self::model::requests;
pub use self::model::{GenerationPlan, Planned, PlannedCase, PlannedDrop, PlannedRequests};
use self::rows::read_rows;
use self::size::seconds;
use super::preview_error::PreviewError;
use crate::app::case_pages::{CasePages, PATIENCE};
use crate::app::connections::ConnectionRow;
use crate::app::context::AppContext;
use crate::batch::event::address;
use crate::batch::generation::{
    Decision, Later, Removal, Row, decide, decide_dropped, mode_of, removal_of, request_key, writing,
};
use crate::batch::ledger::{Change, DropChange, Repeat, Target};
use crate::batch::message::{Case, OnRepeat};
use crate::batch::render::mapping::Mapping;
use crate::batch::{Batch, RenderedCase, batch_tag};
use crate::store::AccountStore;
use crate::testmo::{Access, ShownCase, Shows};

/// What is needed to plan a batch.
#[derive(Clone, Copy)]
pub(super) struct Planning<'a> {
    pub(super) context: &'a AppContext,
    pub(super) row: &'a ConnectionRow,
    pub(super) access: &'a Access,
    pub(super) mapping: &'a Mapping,
    pub(super) batch: &'a Batch,
    /// The cases as they would be sent, in order.
    pub(super) rendered: &'a [RenderedCase],
    /// The folder of each case; `None` for one that would be created.
    pub(super) folders: &'a [Option<u64>],
}

/// Plans a batch; `None` if all of its cases are created, whatever exists. Nothing is changed, and each request needs a permit.
pub(super) async fn plan(planning: Planning<'_>) -> Result<Option<GenerationPlan>, PreviewError> {
    let Planning { context, row, batch, mapping, .. } = planning;
    let mode = mode_of(batch, mapping);
    if mode == OnRepeat::Create {
        return Ok(None);
    }
    let store = &context.store;
    let Sources { names, mut notes } = sources(store, batch).await?;
    if let Some(by) = later(store, row, batch, &names).await? {
        notes.push(format!(
            "batch {} has written a later generation, so nothing of this one is written",
            by.batch.as_str()
        ));
        return Ok(Some(superseded(batch, mode, notes)));
    }
    let known = known(store, row, batch, &names).await?;
    let removal = removal_of(batch, mapping);
    let gone = match removal {
        Some(removal) => gone(store, row, batch, &names, &known, removal).await?,
        None => BTreeMap::new(),
    };
    let client = context.client()?;
    let permits = context.tenants.permits(&row.origin, PATIENCE).of_tenant(&row.tenant);
    let pages =
        CasePages { client: &client, access: planning.access, project: row.project, tenant: &row.tenant, permits };
    let is_read = removal.is_some_and(|removal| removal != Removal::Leave);
    let gone_too = gone.values().filter(|_| is_read).map(|gone| &gone.known);
    let sought = known.values().filter(|_| mode == OnRepeat::Update).chain(gone_too);
    let shows = if removal == Some(Removal::Delete) { Shows::Uses } else { Shows::Fields };
    let (rows, reads) = read_rows(pages, sought, shows).await?;
    let (cases, keys) = planned_cases(&planning, mode, &known, &rows);
    let (dropped, removals) = planned_drops(&planning, removal, &gone, &rows);
    let creates = cases.iter().filter(|case| case.what == Planned::New).count();
    let requests = requests(reads, creates, keys, removals, context.config.requests.max_cases);
    let limit = store.throttle(&row.origin).await?.limit(context.config.requests.account_concurrency);
    let seconds = seconds(&requests, store.request_times(&row.origin).await?, limit);
    Ok(Some(GenerationPlan { mode, cases, dropped, requests, seconds, notes }))
}

/// Returns the plan of a batch of which a later generation was written: only cases without an identity are created.
fn superseded(batch: &Batch, mode: OnRepeat, notes: Vec<String>) -> GenerationPlan {
    let sent = batch.cases.iter().enumerate().filter(|(_, case)| case.faulty.is_none());
    let case = |(at, case): (usize, &Case)| {
        let what = if is_named(at, case) { Planned::Superseded } else { Planned::New };
        PlannedCase { what, ..PlannedCase::new(at, case) }
    };
    let cases: Vec<PlannedCase> = sent.map(case).collect();
    GenerationPlan { mode, cases, dropped: Vec::new(), requests: PlannedRequests::default(), seconds: 0, notes }
}

/// Decides each case of the batch; returns with the cases the keys of the requests that write fields of them.
fn planned_cases(
    planning: &Planning<'_>,
    mode: OnRepeat,
    known: &BTreeMap<usize, Known>,
    rows: &HashMap<u64, ShownCase>,
) -> (Vec<PlannedCase>, Vec<String>) {
    let Planning { row, batch, mapping, rendered, folders, .. } = planning;
    let tag = mapping.batch_tag.then(|| batch_tag(&batch.key));
    let (mut cases, mut keys) = (Vec::new(), Vec::new());
    let sent = batch.cases.iter().enumerate().filter(|(_, case)| case.faulty.is_none());
    for (at, case) in sent {
        let mut planned = PlannedCase::new(at, case);
        if let Some(known) = known.get(&at) {
            let decided = match mode {
                OnRepeat::Update => {
                    let mut wanted: Map<String, Value> = serde_json::from_str(&rendered[at].entry).unwrap_or_default();
                    // A folder that does not exist yet is none that the case can be in.
                    wanted.insert("folder_id".into(), folders[at].unwrap_or(0).into());
                    let later = Later { wanted: &wanted, writing: None, tag: tag.as_deref() };
                    decided(planning, known, &later, rows.get(&known.id), &mut keys)
                }
                OnRepeat::Skip => (Planned::Skipped, Repeat::only(Change::Skipped)),
                OnRepeat::Wait => (Planned::Waits, Repeat::only(Change::Skipped)),
                OnRepeat::Create => (Planned::New, Repeat::only(Change::Skipped)),
            };
            (planned.what, planned.fields_written) = (decided.0, decided.1.written);
            planned.fields_kept = decided.1.kept.into_iter().map(|kept| kept.column).collect();
            planned.testmo_id = Some(known.id);
            planned.link = Some(link(row, known.folder, known.id));
        }
        cases.push(planned);
    }
    (cases, keys)
}

/// Decides a case that exists, by the row that Testmo shows of it.
fn decided(
    planning: &Planning<'_>,
    known: &Known,
    later: &Later<'_>,
    row: Option<&ShownCase>,
    keys: &mut Vec<String>,
) -> (Planned, Repeat) {
    let Some(shown) = row.map(ShownCase::known_fields) else {
        return (Planned::NotFound, Repeat::only(Change::NotFound));
    };
    let of_row = Row { written: &known.fields, tag: known.tag.as_deref(), shown: &shown };
    match decide(&of_row, later, planning.mapping.edits, required(planning.row, &shown)) {
        Decision::Done(repeat) => (Planned::of(repeat.change), repeat),
        Decision::Write(fields) => {
            keys.push(request_key(&fields, &shown));
            (Planned::Changed, writing(&fields, Change::Updated))
        }
    }
}

/// Decides the cases that the batch does not have; returns with them the keys of the requests that retire or delete them.
fn planned_drops(
    planning: &Planning<'_>,
    removal: Option<Removal>,
    gone: &BTreeMap<u64, Gone>,
    rows: &HashMap<u64, ShownCase>,
) -> (Vec<PlannedDrop>, Vec<String>) {
    use crate::batch::generation::Gone as Decided;
    let Some(removal) = removal else { return Default::default() };
    let (mut drops, mut keys) = (Vec::new(), Vec::new());
    for (id, gone) in gone {
        let change = match rows.get(id).map(ShownCase::known_fields) {
            _ if removal == Removal::Leave => DropChange::Left,
            None => DropChange::NotFound,
            Some(shown) => {
                let known = &gone.known;
                let row = Row { written: &known.fields, tag: known.tag.as_deref(), shown: &shown };
                match decide_dropped(&row, removal, false, required(planning.row, &shown)) {
                    Decided::Done(change) => change,
                    Decided::Write(fields) => {
                        keys.push(request_key(&fields, &shown));
                        DropChange::Retired
                    }
                    Decided::Delete => {
                        keys.push("delete".into());
                        DropChange::Deleted
                    }
                }
            }
        };
        let link = link(planning.row, gone.known.folder, *id);
        drops.push(PlannedDrop { testmo_id: *id, link, batch_id: gone.known.batch.clone(), what: change });
    }
    (drops, keys)
}

/// Returns the columns that the project lists as required and that a row has.
fn required<'a>(row: &'a ConnectionRow, shown: &'a Map<String, Value>) -> impl Iterator<Item = &'a str> {
    let required = row.fields.fields().filter(|field| field.known.required).map(|field| field.column);
    required.filter(move |column| shown.contains_key(*column))
}

fn link(row: &ConnectionRow, folder: u64, id: u64) -> String {
    address(&Target { account: row.origin.clone(), project: row.project, folder }, folder, id)
}
