//! Verifies a connection: reads the key's user, the project and the folder, and resolves the names in the mapping.

use std::time::Duration;

use super::folder_tree::path_of;
use crate::batch::Reason;
use crate::batch::render::catalogue::{Catalogue, unfilled};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::render::resolve::Needs;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_THROTTLE_PAUSE, verification_failure};
use crate::store::connections::Verification;
use crate::testmo::{Access, Client};

/// Verifies a connection with three reads.
pub async fn verify(client: &Client, access: &Access, project: u64, folder: u64) -> Verification {
    read_target(client, access, project, folder).await.unwrap_or_else(|ended| ended.finding)
}

/// A verification that ended before everything was read.
struct Ended {
    finding: Verification,
    /// How long Testmo asked for no requests to the account.
    pause: Option<Duration>,
}

async fn read_target(client: &Client, access: &Access, project: u64, folder: u64) -> Result<Verification, Ended> {
    let user = client.user(access).await.map_err(|error| fails(&error, "reading the user of the API key"))?;
    let name =
        client.project(access, project).await.map_err(|error| fails(&error, &format!("reading project {project}")))?;
    let folders = client
        .folders(access, project)
        .await
        .map_err(|error| fails(&error, &format!("listing the folders of project {project}")))?;
    match path_of(&folders, folder) {
        Some(path) => Ok(Verification::Works { user, project: name, folder: path }),
        None => Err(Ended::because(Reason::TargetMissing, format!("project \"{name}\" has no folder {folder}"))),
    }
}

impl Ended {
    fn because(reason: Reason, detail: String) -> Self {
        Self { finding: Verification::Fails { reason, detail }, pause: None }
    }
}

fn fails(error: &ApiError, doing: &str) -> Ended {
    let pause = if let ApiError::Throttled { retry_after } = error {
        Some(retry_after.unwrap_or(DEFAULT_THROTTLE_PAUSE))
    } else {
        None
    };
    Ended { pause, ..Ended::because(verification_failure(error), format!("{doing}: {error}")) }
}

/// The result of verifying a connection and its mapping.
#[derive(Debug)]
pub struct Examined {
    /// Whether the connection works, names in its mapping included.
    pub finding: Verification,
    /// The mapping by ids and columns, if its names are known.
    pub mapping: Option<Mapping>,
    /// Labels of required custom fields that the mapping does not fill, as far as Testmo lists them.
    pub unfilled: Vec<String>,
    /// How long Testmo asks for no requests to the account, if it does.
    pub pause: Option<Duration>,
}

impl Examined {
    /// Returns the result of a verification for which Testmo could not be called.
    pub fn failed(reason: Reason, detail: String) -> Self {
        Self { finding: Verification::Fails { reason, detail }, mapping: None, unfilled: Vec::new(), pause: None }
    }

    /// Returns the result of a verification that ended early; a mapping without names is known nevertheless.
    fn ended(ended: Ended, spec: &MappingSpec) -> Self {
        let mapping = spec.resolve(&Catalogue::default()).ok();
        Self { finding: ended.finding, mapping, unfilled: Vec::new(), pause: ended.pause }
    }
}

/// Verifies a connection, and resolves the names in its mapping.
pub(super) async fn examine(
    client: &Client,
    access: &Access,
    project: u64,
    folder: u64,
    spec: &MappingSpec,
) -> Examined {
    let finding = match read_target(client, access, project, folder).await {
        Ok(finding) => finding,
        Err(ended) => return Examined::ended(ended, spec),
    };
    match read_mapping(client, access, project, spec).await {
        Ok((mapping, unfilled)) => Examined { finding, mapping: Some(mapping), unfilled, pause: None },
        Err(Ended { finding, pause }) => Examined { finding, mapping: None, unfilled: Vec::new(), pause },
    }
}

async fn read_mapping(
    client: &Client,
    access: &Access,
    project: u64,
    spec: &MappingSpec,
) -> Result<(Mapping, Vec<String>), Ended> {
    let needs = spec.needs();
    // The fields also show which are required; without names, a failure to list them does not break a connection.
    let there = match client.catalogue(access, project, Needs { fields: true, ..needs }).await {
        Ok(there) => there,
        Err(_) if needs == (Needs { templates: false, states: false, fields: false }) => Catalogue::default(),
        Err(error) => {
            return Err(fails(&error, &format!("listing the templates, fields and states of project {project}")));
        }
    };
    match spec.resolve(&there) {
        Ok(mapping) => {
            let unfilled = unfilled(&mapping, &there).into_iter().map(str::to_owned).collect();
            Ok((mapping, unfilled))
        }
        Err(faults) => {
            Err(Ended::because(Reason::ConnectionRejected, format!("in the mapping: {}", faults.join("; "))))
        }
    }
}
