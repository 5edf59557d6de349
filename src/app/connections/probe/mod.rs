//! Probes a tenant's Testmo: checks what is assumed of it, by reading and, if a person agrees, with one case of its own.

mod ask;
mod findings;
mod identity;
mod reads;
mod sent;
#[cfg(test)]
mod tests;
mod words;
mod write_findings;
mod writes;

use std::time::Duration;

use self::ask::{Asker, Miss};
use self::reads::{Leftovers, ReadSeen, leftovers};
use self::sent::ProbeCase;
use self::write_findings::{is_disordered, joined, of_writes};
use self::writes::{List, WriteSeen, write};
use super::super::actor::{ActionError, Actor, NotAllowed, Role, require};
use super::super::case_pages::denies_access;
use super::super::context::AppContext;
use super::entries;
use super::lookup::{ConnectionError, connection, missing};
use super::verify::{Verified, verify};
use crate::account::Signal;
use crate::batch::verdict::answer::ApiError;
use crate::batch::{Reason, TenantId};
use crate::store::accounts::AccountObservation;
use crate::store::connections::{ConnectionRow, Probe, Verification};
use crate::store::ledger::Commit;
use crate::store::{ConnectionStore, LedgerStore, StoreError, StoreHealth};
use crate::tenants::{NoPermit, other_folders, path_of};
use crate::testmo::{Client, NoClient, ReadError};

pub use self::sent::TAG;
pub use self::words::{consequence, sentence, word};
pub use crate::store::connections::{Assumption, Finding, Found, LeftCase};

/// The longest pause that is waited for between two requests. What a probe has created is not to be left because of one.
const PATIENCE: Duration = Duration::from_secs(90);

/// The result of a probe.
#[derive(Debug)]
pub enum Probed {
    /// The connection does not work, so nothing else was tried.
    NotVerified(Box<Verified>),
    /// The assumptions were checked.
    Done(Box<Done>),
}

/// What a probe found.
#[derive(Debug)]
pub struct Done {
    /// The connection as it is stored now.
    pub row: ConnectionRow,
    /// What this probe found.
    pub probe: Probe,
    /// The cases of probes that are in Testmo, as far as they were found, or may be.
    pub left: Vec<LeftCase>,
    /// Whether a case was to be created.
    pub has_written: bool,
    /// Whether the result was stored; it is not where the connection was removed meanwhile.
    pub is_saved: bool,
}

/// Why a connection cannot be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There is none.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// There is no such folder to create a case in.
    #[error("project {project} has no folder {folder}; {others}. Nothing was created")]
    NoFolder {
        /// The project.
        project: u64,
        /// The folder.
        folder: u64,
        /// The folders that it has.
        others: String,
    },
    /// The connection cannot be used, so nothing was created.
    #[error("the connection of tenant {tenant} cannot be used ({why}); nothing was created")]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// The cause.
        why: String,
    },
    /// The folders could not be read, so nothing was created.
    #[error("the folders of the project could not be read ({0}); nothing was created")]
    Folders(String),
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ActionError> for ProbeError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

impl Done {
    /// Returns what verifying found before the probe.
    pub fn verification(&self) -> Verification {
        self.row.finding.clone().unwrap_or_else(|| Verification::Works {
            user: String::new(),
            project: String::new(),
            folder: String::new(),
            not_there: Vec::new(),
        })
    }

    /// Returns whether nothing was found that a person has to act on: each request that the probe needs was answered, the
    /// key's user has the rights that were tried, and no case is left. An assumption that does not hold is no fault.
    pub fn is_well(&self) -> bool {
        let has = |assumption, result| {
            self.probe.findings.iter().any(|found| found.assumption == assumption && found.result == result)
        };
        let created = !self.has_written || has(Assumption::RightToCreate, Found::Holds);
        let was_read = !has(Assumption::SortAccepted, Found::NotSeen);
        self.left.is_empty() && self.is_saved && created && was_read
    }
}

/// Probes a tenant's connection. With `folder`, a case is created there, edited, and deleted again.
///
/// # Errors
/// When the person may not, there is no connection, the folder does not exist, or the store does not answer. A case that may
/// be left is then noted in the store.
pub async fn probe(
    context: &AppContext,
    actor: &Actor,
    tenant: &TenantId,
    folder: Option<u64>,
) -> Result<Probed, ProbeError> {
    require(actor, Role::Operator)?;
    let client = context.client()?;
    connection(&context.store, tenant).await?;
    let Some(verified) = verify(context, actor, &client, tenant).await? else {
        return Err(missing(&context.store, tenant).await.into());
    };
    let works = matches!(verified.finding, Verification::Works { .. }) && verified.is_saved;
    let access = context.tenants.access(&verified.row);
    let (Ok(access), true, Some(mapping)) = (access, works, verified.row.resolved.clone()) else {
        return Ok(Probed::NotVerified(Box::new(verified)));
    };
    let row = verified.row;
    let permits = context.tenants.permits(&row.origin, PATIENCE);
    let mut asker = Asker::new(&client, &access, row.project, permits);
    if let Some(folder) = folder {
        exists(&client, &mut asker, tenant, folder).await?;
    }
    let seen = reads::read(&mut asker, row.folder).await?;
    let filters = findings::filters(&seen);
    let noted = row.probe.as_ref().and_then(|before| before.left.as_ref());
    let folders: Vec<u64> = [Some(row.folder), folder, noted.map(|left| left.folder)].into_iter().flatten().collect();
    let earlier = leftovers(&mut asker, &seen, &folders, filters).await?;
    let written = match folder {
        Some(folder) => {
            // What an earlier probe left stays noted until it is gone.
            let is_noted = !left(&row, &earlier, None).is_empty();
            note_begin(context, actor, &row, folder, is_noted).await?;
            let list = List { folder, is_sorted: seen.unsorted.is_none(), filters };
            Some(write(&mut asker, ProbeCase::new(&row.tenant, &mapping, &serial()), list).await?)
        }
        None => None,
    };
    let read = Read { seen, earlier };
    let pauses = asker.pauses;
    conclude(context, actor, row, read, written, pauses).await.map(|done| Probed::Done(Box::new(done)))
}

/// What was read before anything was written.
struct Read {
    seen: ReadSeen,
    earlier: Leftovers,
}

/// Checks that there is a folder to create a case in.
async fn exists(client: &Client, asker: &mut Asker<'_>, tenant: &TenantId, folder: u64) -> Result<(), ProbeError> {
    let project = asker.project;
    match client.folders(asker.access, project, &mut asker.permits).await {
        Ok(folders) if path_of(&folders, folder).is_some() => Ok(()),
        Ok(folders) => Err(ProbeError::NoFolder { project, folder, others: other_folders(&folders, folder) }),
        Err(ReadError::NotPermitted(NoPermit::Store(error))) => Err(error.into()),
        Err(ReadError::NotPermitted(NoPermit::Pause(_, why))) => Err(ProbeError::Folders(why)),
        Err(ReadError::Failed(error)) => {
            asker.permits.note(Some(&error)).await?;
            let denies = denies_access(&error);
            let why = Miss::Failed(error).words();
            Err(match denies {
                true => ProbeError::NoAccess { tenant: tenant.clone(), why },
                false => ProbeError::Folders(why),
            })
        }
    }
}

/// Returns letters and digits that no other probe has.
fn serial() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}

/// Notes who creates a case and, unless another one `is_noted`, that it may be left, before it is created, so that a probe that
/// is interrupted is explained, too.
async fn note_begin(
    context: &AppContext,
    actor: &Actor,
    row: &ConnectionRow,
    folder: u64,
    is_noted: bool,
) -> Result<(), StoreError> {
    let audit = vec![entries::begin_probe(actor, &row.tenant, folder)];
    if is_noted {
        return context.store.commit(Commit { audit, ..Commit::default() }.into()).await.map(drop);
    }
    let left = Some(LeftCase {
        project: row.project,
        folder,
        case: None,
        name: sent::NAME.into(),
        why: "the probe that creates it has not ended".into(),
    });
    let begun = match row.probe.as_deref().cloned() {
        Some(before) => Probe { left, ..before },
        None => Probe { version: row.version.clone(), at: context.store.now(), left, ..Probe::default() },
    };
    context.store.record_probe(&row.tenant, &begun, &audit).await.map(drop)
}

/// Stores and returns what was found, and has the worker's own paths use what matters to them.
async fn conclude(
    context: &AppContext,
    actor: &Actor,
    row: ConnectionRow,
    read: Read,
    written: Option<WriteSeen>,
    pauses: Vec<Option<Duration>>,
) -> Result<Done, ProbeError> {
    let Read { seen, earlier } = read;
    let highest = seen.newest.as_ref().ok().and_then(|page| page.rows.iter().map(|row| row.id).max());
    let mut found = findings::of_reads(&seen);
    found.push(findings::retry_after(&pauses));
    let found = joined(found, of_writes(written.as_ref(), highest));
    let left = left(&row, &earlier, written.as_ref());
    let created = written.as_ref().is_some_and(|written| written.create.is_ok());
    let now = context.store.now();
    let probe = Probe {
        version: row.version.clone(),
        at: now,
        created_at: created.then_some(now),
        left: left.first().cloned(),
        findings: found,
    };
    let stored = probe.clone().after(row.probe.as_deref());
    let entry = entries::end_probe(actor, &row.tenant, &probe.findings, left.len());
    let is_saved = context.store.record_probe(&row.tenant, &stored, &[entry]).await?;
    if let Some(written) = &written {
        note_disorder(context, &row, written, highest).await?;
        note_refusal(context, &row, written).await?;
    }
    let row = context.store.connection(&row.tenant).await?.unwrap_or(row);
    Ok(Done { row, probe, left, has_written: written.is_some(), is_saved })
}

/// Returns the cases of probes that are in Testmo, or may be: the one of this probe first.
fn left(row: &ConnectionRow, earlier: &Leftovers, written: Option<&WriteSeen>) -> Vec<LeftCase> {
    let own = written.and_then(|written| written.left.clone());
    let noted = row.probe.as_ref().and_then(|before| before.left.clone());
    let found = earlier.found.iter().map(|(id, folder)| LeftCase {
        project: row.project,
        folder: *folder,
        case: Some(*id),
        name: sent::NAME.into(),
        why: "an earlier probe left it".into(),
    });
    let found: Vec<LeftCase> = found.collect();
    // What an earlier probe may have left is still in doubt where not every place was read, and nothing was found.
    let doubted = noted.filter(|_| found.is_empty() && !earlier.is_complete);
    own.into_iter().chain(found).chain(doubted).collect()
}

/// Notes that ids do not show which case is older, as a worker does that sees it.
async fn note_disorder(
    context: &AppContext,
    row: &ConnectionRow,
    written: &WriteSeen,
    highest: Option<u64>,
) -> Result<(), StoreError> {
    if !is_disordered(written, highest) {
        return Ok(());
    }
    let observation =
        AccountObservation { account: row.origin.clone(), signal: Signal::IdsDisordered, ceiling: u32::MAX };
    let commit = Commit { observation: Some(observation), ..Commit::default() };
    context.store.commit(commit.into()).await.map(drop)
}

/// Notes that the key's user may not create cases, as a worker does whose request is refused.
async fn note_refusal(context: &AppContext, row: &ConnectionRow, written: &WriteSeen) -> Result<(), StoreError> {
    if written.create != Err(Miss::Failed(ApiError::Forbidden)) {
        return Ok(());
    }
    let detail = "creating the case of a probe: 403";
    let noted = context.store.record_refusal(&row.tenant, &row.version, row.epoch, Reason::Forbidden, detail).await;
    context.tenants.forget(&row.tenant);
    noted.map(drop)
}
