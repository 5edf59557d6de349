//! Verifies a connection: reads the key's user, the project and the folder, and resolves the names in the mapping.

use std::time::Duration;

use super::available::available;
use super::folder_tree::path_of;
use crate::batch::Reason;
use crate::batch::render::catalogue::{Catalogue, unfilled};
use crate::batch::render::compare::not_there;
use crate::batch::render::kinds::FieldKinds;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::render::resolve::Needs;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_THROTTLE_PAUSE, verification_failure};
use crate::store::connections::Verification;
use crate::testmo::{Access, AnyNumber, Client, Folder, ReadError, ReadPermits, is_folder_id};

/// Verifies a connection with three reads, without asking for permits.
pub async fn verify(client: &Client, access: &Access, project: u64, folder: u64) -> Verification {
    match read_target(client, access, project, folder, &mut AnyNumber).await {
        Ok(finding) => finding,
        Err(Halted::Ended(ended)) => ended.finding,
        Err(Halted::NotPermitted(never)) => match never {},
    }
}

/// A verification that ended before everything was read.
pub(super) struct Ended {
    finding: Verification,
    /// How long Testmo asked for no requests to the account.
    pause: Option<Duration>,
}

/// Why a verification did not go on.
enum Halted<R> {
    Ended(Ended),
    /// There was no permit for the next request.
    NotPermitted(R),
}

impl<R> From<Ended> for Halted<R> {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

async fn read_target<P: ReadPermits>(
    client: &Client,
    access: &Access,
    project: u64,
    folder: u64,
    permits: &mut P,
) -> Result<Verification, Halted<P::Refused>> {
    permits.next().await.map_err(Halted::NotPermitted)?;
    let user = client.user(access).await.map_err(|error| fails(&error, "reading the user of the API key"))?;
    permits.next().await.map_err(Halted::NotPermitted)?;
    let name = match client.project(access, project).await {
        Ok(name) => name,
        Err(error) => {
            let ended = fails(&error, &format!("reading project {project}"));
            return Err(with_projects(ended, client, access, project, permits).await.into());
        }
    };
    let folders = client.folders(access, project, permits).await;
    let folders = folders.map_err(|error| halted(error, || format!("listing the folders of project {project}")))?;
    match path_of(&folders, folder) {
        Some(path) => Ok(Verification::Works { user, project: name, folder: path, not_there: Vec::new() }),
        None => {
            let detail = format!("project \"{name}\" has no folder {folder}; {}", other_folders(&folders, folder));
            Err(Ended::because(Reason::TargetMissing, detail).into())
        }
    }
}

/// Adds to a missing project which ones the key's user sees, if they can be read.
async fn with_projects<P: ReadPermits>(
    ended: Ended,
    client: &Client,
    access: &Access,
    project: u64,
    permits: &mut P,
) -> Ended {
    let Verification::Fails { reason: Reason::TargetMissing, detail } = &ended.finding else { return ended };
    let Ok(there) = client.projects(access, permits).await else { return ended };
    let name_of = |id| there.iter().find(|item| item.id == id).map(|item| item.name.clone()).unwrap_or_default();
    let words = ("the key's user sees no project", "the key's user sees");
    let projects = available(words, project, there.iter().map(|item| item.id), name_of);
    Ended { pause: ended.pause, ..Ended::because(Reason::TargetMissing, format!("{detail}; {projects}")) }
}

/// Names the folders of a project that does not have the wanted one.
pub fn other_folders(folders: &[Folder], wanted: u64) -> String {
    let ids = folders.iter().map(|folder| folder.id).filter(|id| is_folder_id(*id));
    available(("it has none", "it has"), wanted, ids, |id| path_of(folders, id).unwrap_or_default())
}

fn halted<R>(error: ReadError<R>, doing: impl Fn() -> String) -> Halted<R> {
    match error {
        ReadError::Failed(error) => fails(&error, &doing()).into(),
        ReadError::NotPermitted(refused) => Halted::NotPermitted(refused),
    }
}

impl Ended {
    pub(super) fn because(reason: Reason, detail: String) -> Self {
        Self { finding: Verification::Fails { reason, detail }, pause: None }
    }
}

fn fails(error: &ApiError, doing: &str) -> Ended {
    Ended { pause: pause_of(error), ..Ended::because(verification_failure(error), format!("{doing}: {error}")) }
}

/// Returns how long an answer asks for no requests to the account.
pub(super) fn pause_of(error: &ApiError) -> Option<Duration> {
    if let ApiError::Throttled { retry_after } = error {
        Some(retry_after.unwrap_or(DEFAULT_THROTTLE_PAUSE))
    } else {
        None
    }
}

/// The result of verifying a connection and its mapping.
#[derive(Debug)]
pub struct Examined {
    /// Whether the connection works, names in its mapping included.
    pub finding: Verification,
    /// The mapping by ids and columns, if its names are known.
    pub mapping: Option<Mapping>,
    /// What the mapping itself, not its defaults, sends and the project does not list.
    pub wrong: Vec<String>,
    /// Labels of required custom fields that the mapping does not fill, as far as Testmo lists them.
    pub unfilled: Vec<String>,
    /// The custom fields of the project, if Testmo listed them.
    pub fields: Option<FieldKinds>,
    /// How long Testmo asks for no requests to the account, if it does.
    pub pause: Option<Duration>,
}

impl Examined {
    /// Returns the result of a verification for which Testmo could not be called.
    pub fn failed(reason: Reason, detail: String) -> Self {
        Self {
            finding: Verification::Fails { reason, detail },
            mapping: None,
            wrong: Vec::new(),
            unfilled: Vec::new(),
            fields: None,
            pause: None,
        }
    }

    /// Returns the result for a connection that is not in force yet: what a person has put into its mapping and the project does
    /// not list keeps it out, as a name that does not exist does. The defaults do not: that Testmo's lists have each field that
    /// it knows is not certain, and nobody could connect then.
    pub(super) fn kept_out(self) -> Self {
        match &self.finding {
            Verification::Works { .. } if !self.wrong.is_empty() => {
                let detail = in_the_mapping(&self.wrong);
                Self { finding: Verification::Fails { reason: Reason::ConnectionRejected, detail }, ..self }
            }
            Verification::Works { .. } | Verification::Fails { .. } => self,
        }
    }

    /// Returns the result of a verification that ended early; a mapping without names is known nevertheless.
    pub(super) fn ended(ended: Ended, spec: &MappingSpec) -> Self {
        let mapping = spec.resolve(&Catalogue::default()).ok();
        let (wrong, unfilled) = (Vec::new(), Vec::new());
        Self { finding: ended.finding, mapping, wrong, unfilled, fields: None, pause: ended.pause }
    }
}

/// Verifies a connection, and resolves the names in its mapping.
///
/// # Errors
/// When there was no permit for a request.
pub(super) async fn examine<P: ReadPermits>(
    client: &Client,
    access: &Access,
    (project, folder): (u64, u64),
    spec: &MappingSpec,
    permits: &mut P,
) -> Result<Examined, P::Refused> {
    let mut finding = match read_target(client, access, project, folder, permits).await {
        Ok(finding) => finding,
        Err(Halted::Ended(ended)) => return Ok(Examined::ended(ended, spec)),
        Err(Halted::NotPermitted(refused)) => return Err(refused),
    };
    match read_mapping(client, access, project, spec, permits).await {
        Ok(Names { mapping, unfilled, missing, wrong, fields, pause }) => {
            if let Verification::Works { not_there, .. } = &mut finding {
                *not_there = missing;
            }
            Ok(Examined { finding, mapping: Some(mapping), wrong, unfilled, fields, pause })
        }
        Err(Halted::Ended(Ended { finding, pause })) => {
            Ok(Examined { mapping: None, ..Examined::ended(Ended { finding, pause }, spec) })
        }
        Err(Halted::NotPermitted(refused)) => Err(refused),
    }
}

/// Returns the mapping by ids and columns.
async fn read_mapping<P: ReadPermits>(
    client: &Client,
    access: &Access,
    project: u64,
    spec: &MappingSpec,
    permits: &mut P,
) -> Result<Names, Halted<P::Refused>> {
    let needs = spec.needs();
    let has_names = needs != (Needs { templates: false, states: false, fields: false });
    // The fields also show which are required; without names, a failure to list them does not break a connection.
    let (mut there, mut pause) = match client.catalogue(access, project, Needs { fields: true, ..needs }, permits).await
    {
        Ok(there) => (there, None),
        Err(ReadError::Failed(error)) if !has_names => (Catalogue::default(), pause_of(&error)),
        Err(ReadError::NotPermitted(_)) if !has_names => (Catalogue::default(), None),
        Err(error) => {
            return Err(halted(error, || format!("listing the templates, fields and states of project {project}")));
        }
    };
    match spec.resolve(&there) {
        Ok(mapping) => {
            if pause.is_none() {
                pause = read_rest(client, access, project, &mut there, permits).await;
            }
            let unfilled = unfilled(&mapping, &there).into_iter().map(str::to_owned).collect();
            let missing = not_there(&mapping, &there);
            let defaults = MappingSpec::default().resolve(&there).map(|defaults| not_there(&defaults, &there));
            let defaults = defaults.unwrap_or_default();
            let wrong = missing.iter().filter(|missing| !defaults.contains(missing)).cloned().collect();
            let has_fields = there.fields.as_deref().is_some_and(|fields| !fields.is_empty());
            let fields = has_fields.then(|| FieldKinds::of(&there));
            Ok(Names { mapping, unfilled, missing, wrong, fields, pause })
        }
        Err(faults) => Err(Ended::because(Reason::ConnectionRejected, in_the_mapping(&faults)).into()),
    }
}

fn in_the_mapping(faults: &[String]) -> String {
    format!("in the mapping: {}", faults.join("; "))
}

/// Reads the lists of templates and states, with which ids in the mapping are compared and by which the template for Gherkin
/// is chosen. Not being able to does not break a connection; returns how long Testmo then asks for no requests.
async fn read_rest<P: ReadPermits>(
    client: &Client,
    access: &Access,
    project: u64,
    there: &mut Catalogue,
    permits: &mut P,
) -> Option<Duration> {
    let (templates, states) = (there.templates.is_none(), there.states.is_none());
    match client.catalogue(access, project, Needs { templates, states, fields: false }, permits).await {
        Ok(rest) => {
            there.templates = there.templates.take().or(rest.templates);
            there.template_fields.extend(rest.template_fields);
            there.states = there.states.take().or(rest.states);
            None
        }
        Err(ReadError::Failed(error)) => pause_of(&error),
        Err(ReadError::NotPermitted(_)) => None,
    }
}

/// A mapping whose names are known.
struct Names {
    mapping: Mapping,
    unfilled: Vec<String>,
    /// What the mapping sends and the project does not list.
    missing: Vec<String>,
    /// What of it is not a default.
    wrong: Vec<String>,
    fields: Option<FieldKinds>,
    pause: Option<Duration>,
}
