//! Shows what a batch would become in a tenant's Testmo.

use std::time::Duration;

use serde::Serialize;

use super::super::case_pages::denies_access;
use super::super::connections::{ConnectionRow, names};
use super::super::context::AppContext;
use super::message::Finding;
use super::plan::{GenerationPlan, Planned, Planning, plan};
pub use super::preview_error::PreviewError;
use crate::batch::message::decode::decode;
use crate::batch::message::lint::folder_slashes;
use crate::batch::message::{Places, RequestedFolder};
use crate::batch::render::check::check;
pub use crate::batch::render::preview::{CasePreview, RequestSize};
use crate::batch::render::preview::{preview as preview_cases, requests};
use crate::batch::{Batch, Fault, RenderedCase};
use crate::store::AccountStore;
use crate::store::accounts::{Pause, Permit};
use crate::tenants::{descend, lies_under, other_folders, path_of};
use crate::testmo::{Access, AnyNumber, Folder};

/// What a batch would become.
#[derive(Debug)]
pub struct Preview {
    /// The connection that it would go over.
    pub row: ConnectionRow,
    /// The batch.
    pub batch: Batch,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// What this Testmo will probably refuse, by what the project was seen to have.
    pub findings: Vec<Finding>,
    /// Where the cases go; more than one place if cases name folders of their own.
    pub folders: Vec<FolderPreview>,
    /// The create requests.
    pub requests: Vec<RequestSize>,
    /// What it would do with cases that earlier batches wrote, if that was read.
    pub plan: Option<GenerationPlan>,
    /// The cases that would be sent, each with its position from 1.
    pub cases: Vec<(usize, CasePreview)>,
    /// The cases that would be refused for their faults.
    pub faulty: Vec<FaultyCase>,
}

/// A case that would be refused for its faults.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct FaultyCase {
    /// Its position from 1.
    pub position: usize,
    /// Its key within the batch.
    pub key: String,
    /// Its first faults.
    pub faults: Vec<Fault>,
    /// The number of its further faults.
    pub more: usize,
}

/// A folder that cases go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPreview {
    /// The folder in words.
    pub folder: String,
    /// The positions of its cases, from 1.
    pub cases: Vec<usize>,
}

/// What is to be shown.
#[derive(Debug)]
pub struct PreviewInput {
    /// The connection that the batch would go over.
    pub row: ConnectionRow,
    /// The batch.
    pub batch: Batch,
    /// The position of the only case to be shown, from 1.
    pub case: Option<usize>,
    /// The most cases and bytes of one create request.
    pub limits: (usize, usize),
}

/// Reads a batch from a message; its faulty cases are marked.
///
/// # Errors
/// Every fault, when nothing of the message would be delivered.
pub fn batch_of(message: &[u8]) -> Result<Batch, Vec<String>> {
    let sentences = |faults: &[Fault]| faults.iter().map(ToString::to_string).collect();
    decode(message).map_err(|broken| sentences(broken.faults()))
}

/// Shows what a batch would become; with `online` the project's folders are read.
///
/// # Errors
/// When the connection's mapping is not known, or the folders cannot be read.
pub async fn preview(input: PreviewInput, online: Option<&AppContext>) -> Result<Preview, PreviewError> {
    let PreviewInput { row, batch, case, limits: (max_cases, max_bytes) } = input;
    let Some(mapping) = row.resolved.clone() else { return Err(PreviewError::NamesUnknown(row.tenant)) };
    let all = preview_cases(&batch, &mapping, &row.fields);
    let rendered: Vec<RenderedCase> = all.iter().map(|preview| preview.sent.clone()).collect();
    let (there, plan) = match online {
        Some(context) => {
            context.tenants.learn_key_of(&row).await?;
            let access = access(&row, context)?;
            let there = folders(&row, context, &access).await?;
            let of_cases = case_folders(&row, &batch, &there);
            let (batch, mapping, rendered, folders) = (&batch, &mapping, &rendered[..], &of_cases[..]);
            let plan =
                plan(Planning { context, row: &row, access: &access, mapping, batch, rendered, folders }).await?;
            (Some(there), plan)
        }
        None => (None, None),
    };
    // Only new cases are created.
    let is_new = |at: usize| {
        let planned = plan.as_ref().and_then(|plan| plan.cases.iter().find(|case| case.position == at + 1));
        planned.is_none_or(|case| case.what == Planned::New)
    };
    let cases = batch.cases.iter().zip(rendered).enumerate();
    let sent = cases.filter(|(at, (case, _))| case.faulty.is_none() && is_new(*at));
    let sent: Vec<RenderedCase> = sent.map(|(_, (_, rendered))| rendered).collect();
    let slashes = folder_slashes(&batch).into_iter().map(|finding| finding.to_string());
    Ok(Preview {
        notes: notes(&row, &batch).into_iter().chain(slashes).collect(),
        findings: check(&batch, &mapping, &row.fields),
        folders: folders_of(&row, &batch, there.as_deref()),
        requests: requests(row.folder, &sent, max_cases, max_bytes),
        plan,
        cases: sent_cases(&batch, all, case)?,
        faulty: faulty_cases(&batch, case),
        row,
        batch,
    })
}

fn access(row: &ConnectionRow, context: &AppContext) -> Result<Access, PreviewError> {
    context.tenants.access(row).map_err(|(_, why)| PreviewError::NoAccess { tenant: row.tenant.clone(), why })
}

async fn folders(row: &ConnectionRow, context: &AppContext, access: &Access) -> Result<Vec<Folder>, PreviewError> {
    if let Permit::Wait(Pause { wait, .. }) = context.store.permit(&row.origin, None, Duration::ZERO).await? {
        return Err(PreviewError::Paused { seconds: wait.as_secs() + 1 });
    }
    let listed = context.client()?.folders(access, row.project, &mut AnyNumber).await;
    listed.map_err(|error| {
        let failure = error.failure();
        let why = failure.to_string();
        if denies_access(&failure) {
            return PreviewError::NoAccess { tenant: row.tenant.clone(), why };
        }
        PreviewError::Folders { tenant: row.tenant.clone(), error: why }
    })
}

/// Returns the folder of each case; `None` for one that does not exist yet.
fn case_folders(row: &ConnectionRow, batch: &Batch, there: &[Folder]) -> Vec<Option<u64>> {
    let places = Places::of(batch);
    let folder = |requested: &RequestedFolder| match requested {
        RequestedFolder::Tenant => Some(row.folder),
        RequestedFolder::Id(id) => Some(*id),
        RequestedFolder::Path(names) => match descend(there, row.folder, names) {
            (reached, []) => Some(reached),
            (_, [..]) => None,
        },
    };
    let of_places: Vec<Option<u64>> = places.requested().iter().map(folder).collect();
    (0..batch.cases.len()).map(|at| of_places[places.of_case(at)]).collect()
}

/// Returns the cases that would be sent, or the one at a position if that one would be.
fn sent_cases(
    batch: &Batch,
    all: Vec<CasePreview>,
    position: Option<usize>,
) -> Result<Vec<(usize, CasePreview)>, PreviewError> {
    let cases = all.len();
    if position.is_some_and(|position| !(1..=cases).contains(&position)) {
        return Err(PreviewError::NoSuchCase { cases });
    }
    let numbered = batch.cases.iter().zip(all).enumerate().map(|(index, (case, preview))| (index + 1, case, preview));
    let chosen = numbered.filter(|(at, case, _)| case.faulty.is_none() && position.is_none_or(|wanted| wanted == *at));
    Ok(chosen.map(|(at, _, preview)| (at, preview)).collect())
}

/// Returns the cases that would be refused for their faults, or the one at a position if that one would be.
fn faulty_cases(batch: &Batch, position: Option<usize>) -> Vec<FaultyCase> {
    let cases = batch.cases.iter().enumerate().filter(|(index, _)| position.is_none_or(|wanted| wanted == index + 1));
    let faulty = cases.filter_map(|(index, case)| {
        let faulty = case.faulty.as_deref()?;
        let (faults, more) = (faulty.faults.clone(), faulty.more);
        Some(FaultyCase { position: index + 1, key: case.key(index), faults, more })
    });
    faulty.collect()
}

/// Returns what a person should know of a connection over which a batch would go.
pub(super) fn notes(row: &ConnectionRow, batch: &Batch) -> Vec<String> {
    let mut notes = Vec::new();
    if batch.key.tenant != row.tenant {
        notes.push(format!("the batch is for {}; this uses the connection of {}", batch.key.tenant, row.tenant));
    }
    if !row.is_verified() {
        notes.push("the connection is not verified, so batches are held".into());
    }
    if !row.fields.is_detailed() {
        let verify = format!("testmo-courier tenants verify {}", row.tenant);
        notes.push(format!("the project's fields are not known, so values are not checked; read them: {verify}"));
    }
    notes
}

/// Returns where the cases go.
fn folders_of(row: &ConnectionRow, batch: &Batch, there: Option<&[Folder]>) -> Vec<FolderPreview> {
    let places = Places::of(batch);
    let one = |(place, requested): (usize, &RequestedFolder)| FolderPreview {
        folder: folder(row, requested, there),
        cases: places.cases_in(place).filter(|at| batch.cases[*at].faulty.is_none()).map(|at| at + 1).collect(),
    };
    places.requested().iter().enumerate().map(one).collect()
}

/// Writes where cases go; if the project's folders are known, also whether the folder exists.
fn folder(row: &ConnectionRow, requested: &RequestedFolder, there: Option<&[Folder]>) -> String {
    let (_, own) = names(row);
    match (requested, there) {
        (RequestedFolder::Tenant, None) => own,
        (RequestedFolder::Tenant, Some(there)) => match path_of(there, row.folder) {
            Some(path) => format!("{} {path} (exists)", row.folder),
            None => {
                format!("{} (does not exist: batches are held; {})", row.folder, other_folders(there, row.folder))
            }
        },
        (RequestedFolder::Path(names), None) => format!("{own}, below it {}", names.join("/")),
        (RequestedFolder::Path(names), Some(there)) => match descend(there, row.folder, names) {
            (reached, []) => format!("{own}, below it {} (exists, {reached})", names.join("/")),
            (_, missing) => format!("{own}, below it {} (will be created: {})", names.join("/"), missing.join("/")),
        },
        (RequestedFolder::Id(id), None) => format!("{id}, if it is {own} or below it"),
        (RequestedFolder::Id(id), Some(there)) if lies_under(there, *id, row.folder) => {
            format!("{id} {} (exists)", path_of(there, *id).unwrap_or_default())
        }
        (RequestedFolder::Id(id), Some(_)) => format!("{id} (not below {own}: the batch is held)"),
    }
}
