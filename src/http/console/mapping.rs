//! Pages: shows the mapping of a tenant, previews another one with a batch of the tenant, and enters it.

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::frame::Frame;
use super::notice::Notice;
use super::route::{Access, Body, Route, Scope};
use super::steps::in_path;
use super::tenant::stored;
use super::visit::Visit;
use crate::app::actor::Role;
use crate::app::connections::set::{ConnectionInput, Expiry, Force, prepare};
use crate::app::connections::{ConnectionRow, MappingSpec, Verification, draft, state_tag};
use crate::app::messages::preview::{Preview, PreviewInput, batch_of, preview};
use crate::app::shelf::{self, ShelfFilter};

/// How many cases of a preview are shown.
const MOST_CASES: usize = 5;
/// How many entries are looked through for a batch that can be read.
const LOOKED_THROUGH: u32 = 20;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "mapping",
        path: "/tenants/{tenant}/mapping",
        scope: Scope::Path,
        query: &["draft"],
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "setMapping",
        path: "/tenants/{tenant}/mapping",
        access: Access::Person(Role::Admin),
        scope: Scope::Path,
        form: &["mapping", "message", "state", "then"],
        body: Body::Message,
        handler: |visit| Box::pin(take(visit)),
        ..Route::ACT
    },
];

/// A mapping, and what it makes of a batch.
#[derive(Template)]
#[template(path = "mapping.html")]
struct MappingPage {
    frame: Frame,
    tenant: String,
    address: String,
    state: String,
    mapping: String,
    message: String,
    /// Where the batch of the preview is from.
    from: String,
    wrong: Option<String>,
    found: Option<(bool, String)>,
    cases: Vec<CaseLine>,
    all_cases: usize,
    notes: Vec<String>,
}

/// A case as Testmo would get it.
struct CaseLine {
    position: usize,
    entry: String,
    left_out: Vec<(String, String)>,
}

fn command(visit: &Visit, row: &ConnectionRow) -> Frame {
    let line = format!("testmo-courier tenants set {} --mapping mapping.json", row.tenant);
    visit.frame("/tenants", format!("Mapping of {}", row.tenant), line)
}

fn page(visit: &Visit, row: &ConnectionRow, mapping: String) -> MappingPage {
    MappingPage {
        frame: command(visit, row),
        tenant: row.tenant.to_string(),
        address: format!("/tenants/{}", in_path(row.tenant.as_str())),
        state: state_tag(row),
        mapping,
        message: visit.form.raw("message").to_owned(),
        from: String::new(),
        wrong: None,
        found: None,
        cases: Vec::new(),
        all_cases: 0,
        notes: Vec::new(),
    }
}

/// Reads the tenant's connection, without which there is no mapping.
async fn connected(visit: &Visit) -> Result<ConnectionRow, Problem> {
    let (tenant, row) = stored(visit).await?;
    let none = || Problem::not_found(format!("{tenant} has no connection yet.")).remedy("Enter the connection first.");
    row.ok_or_else(none)
}

/// Finds a batch of the tenant: the one that was entered, or the newest one on the shelf that can be read.
async fn sample(visit: &Visit, row: &ConnectionRow) -> Result<Option<(Vec<u8>, String)>, Problem> {
    if let Some(message) = visit.form.text("message") {
        return Ok(Some((message.as_bytes().to_vec(), "the message below".into())));
    }
    let filter = ShelfFilter { tenant: Some(row.tenant.clone()), ..ShelfFilter::default() };
    for entry in shelf::list(visit.store(), &filter, LOOKED_THROUGH).await? {
        let whole = shelf::show(visit.store(), &[shelf::EntryName::Id(entry.id)]).await;
        let Some(whole) = whole.ok().and_then(|entries| entries.into_iter().next()) else { continue };
        if batch_of(&whole.content.body).is_ok() {
            let from = crate::app::plan::batch_label(&whole);
            return Ok(Some((whole.content.body.to_vec(), format!("{from}, which is on the shelf"))));
        }
    }
    Ok(None)
}

/// Adds to a page what a connection makes of a batch of the tenant.
async fn with_preview(visit: &Visit, page: MappingPage, row: ConnectionRow) -> Result<MappingPage, Problem> {
    let Some((message, from)) = sample(visit, &row).await? else { return Ok(page) };
    let batch = match batch_of(&message) {
        Ok(batch) => batch,
        Err(faults) => {
            let first = faults.first().cloned().unwrap_or_default();
            let wrong = Some(format!("Nothing of the message would be delivered: {first}"));
            return Ok(MappingPage { from, wrong, ..page });
        }
    };
    let requests = &visit.context().config.requests;
    let limits = (requests.max_cases, requests.max_bytes);
    let Preview { cases, notes, findings, .. } = preview(PreviewInput { row, batch, case: None, limits }, None).await?;
    let line = |(position, case): &(usize, _)| {
        let case: &crate::app::messages::preview::CasePreview = case;
        CaseLine {
            position: *position,
            entry: serde_json::to_string_pretty(&case.entry).unwrap_or_else(|error| error.to_string()),
            left_out: case.left_out.iter().map(|left| (left.what.to_string(), left.why.to_string())).collect(),
        }
    };
    let all_cases = cases.len();
    let notes = notes.into_iter().chain(findings.iter().map(|finding| finding.fault.to_string())).collect();
    Ok(MappingPage { from, cases: cases.iter().take(MOST_CASES).map(line).collect(), all_cases, notes, ..page })
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    let row = connected(&visit).await?;
    let text = match visit.query.has("draft") {
        true => draft(&row)?,
        false => serde_json::to_string_pretty(&row.mapping).map_err(|_| Problem::defect())?,
    };
    let page = page(&visit, &row, text);
    let page = match row.resolved {
        Some(_) => with_preview(&visit, page, row).await?,
        None => page,
    };
    Answer::page(200, &page)
}

async fn take(visit: Visit) -> Result<Answer, Problem> {
    let row = connected(&visit).await?;
    let text = visit.form.raw("mapping").to_owned();
    let shown = page(&visit, &row, text.clone());
    let mapping = match MappingSpec::from_json(&text) {
        Ok(mapping) => mapping,
        Err(why) => return Answer::page(422, &MappingPage { wrong: Some(why), ..shown }),
    };
    if state_tag(&row) != visit.form.raw("state") {
        let problem =
            Problem::new(Code::ChangedMeanwhile, "Somebody has changed the connection since you opened the page.");
        return Err(problem.remedy("Open it again, then repeat your change. Nothing was saved."));
    }
    let input = ConnectionInput {
        tenant: row.tenant.clone(),
        base_url: None,
        project: None,
        folder: None,
        expires: Expiry::Kept,
        mapping: Some(mapping),
        new_api_key: false,
        discard_change: false,
        source: None,
    };
    let context = visit.context();
    let prepared = prepare(context, input).await?;
    let is_tried = visit.form.raw("then") != "save";
    let saved = match is_tried {
        true => prepared.try_out(context, visit.actor()?, None).await?,
        false => prepared.save(context, visit.actor()?, None).await?,
    };
    let works = matches!(saved.finding, Verification::Works { .. });
    if !is_tried && works && saved.force == Force::InForce {
        let notice = match saved.unfilled.as_slice() {
            [] => Notice::good("The mapping is saved and in force. Waiting batches are sent automatically."),
            fields => Notice::mixed(format!(
                "The mapping is saved. It does not fill these required fields: {}.",
                fields.join(", ")
            )),
        };
        return Ok(visit.go(&format!("/tenants/{}", in_path(row.tenant.as_str())), &notice));
    }
    let found = match &saved.finding {
        Verification::Works { not_there, .. } if not_there.is_empty() => {
            (true, "Testmo knows everything that this mapping names. It is not saved yet.".to_owned())
        }
        Verification::Works { not_there, .. } => {
            (false, format!("Testmo will probably refuse what this mapping sends: {}.", not_there.join("; ")))
        }
        Verification::Fails { reason, detail } => (false, format!("{} {detail}", reason.cause())),
    };
    let shown = MappingPage { found: Some(found), state: state_tag(if is_tried { &row } else { &saved.row }), ..shown };
    let shown = match saved.row.resolved {
        Some(_) => with_preview(&visit, shown, saved.row).await?,
        None => shown,
    };
    Answer::page(if works { 200 } else { 422 }, &shown)
}
