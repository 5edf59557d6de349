//! Carries out what follows from one reading of the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use super::super::super::actor::{Actor, Face, Role};
use super::super::super::context::AppContext;
use super::super::set::{ConnectionInput, Expiry, Saved, SetError, prepare};
use super::super::withdraw::{Withdrawn, withdraw};
use super::absent::{Absent, decide};
use super::entry::Entry;
use super::file::FileFault;
use super::snapshot::{Found, Snapshot, snapshot};
use super::stamps::{Known, KnownFiles, Stamps};
use crate::batch::TenantId;
use crate::store::connections::{FileSource, Verification};
use crate::store::{ConnectionStore, StoreError};

/// What to do about a directory that cannot be read.
pub(in crate::app) const UNREADABLE: &str = "Check tenants.directory, the mount, and whether this user may read it.";
/// How many connections are verified at once.
const AT_ONCE: usize = 8;

/// How many files of a directory are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    /// What they say is stored.
    pub in_use: usize,
    /// They cannot be used; a directory that cannot be read is one of them.
    pub broken: usize,
    /// They are missing, and the connections stay because most files are.
    pub removals_held: usize,
}

/// What is known of a directory from its former readings.
pub(super) struct Follower<'a> {
    context: &'a AppContext,
    directory: PathBuf,
    /// The files whose content is stored.
    stored: KnownFiles,
    /// What was logged of each file that cannot be used.
    reported: BTreeMap<String, String>,
    /// Since when the files of tenants are missing.
    missing: BTreeMap<TenantId, Instant>,
    /// Tenants that are paused until their connections can be removed.
    paused: BTreeSet<TenantId>,
    counts: FileCounts,
}

/// What became of one file.
enum Taken {
    /// What it says is stored; with the hash of it.
    Stored(String, Stamps),
    /// It cannot be used.
    Faulty(FileFault),
    /// Nothing can be said yet; the next reading tries again.
    Later(SetError),
}

impl<'a> Follower<'a> {
    pub(super) fn new(context: &'a AppContext, directory: PathBuf) -> Self {
        Self {
            context,
            directory,
            stored: KnownFiles::new(),
            reported: BTreeMap::new(),
            missing: BTreeMap::new(),
            paused: BTreeSet::new(),
            counts: FileCounts::default(),
        }
    }

    /// Reads the directory, and takes over what has changed.
    pub(super) async fn round(&mut self) -> FileCounts {
        let (directory, known) = (self.directory.clone(), mem::take(&mut self.stored));
        let reading = move || (snapshot(&directory, &known), known);
        let read = tokio::task::spawn_blocking(reading).await;
        let (read, known) = read.unwrap_or_else(|error| (Err(std::io::Error::other(error)), KnownFiles::new()));
        self.stored = known;
        match read {
            Ok(found) => self.take_over(found).await,
            Err(error) => {
                self.report_directory(&error);
                self.counts = FileCounts { broken: 1, ..self.counts };
            }
        }
        self.counts
    }

    async fn take_over(&mut self, found: Snapshot) {
        let mut faults: BTreeMap<String, FileFault> = found.strays.into_iter().collect();
        let there: Vec<TenantId> = found.tenants.keys().cloned().collect();
        let mut in_use = 0;
        let mut read = Vec::new();
        for (tenant, (file, said)) in found.tenants {
            match said {
                Ok(Found::Unchanged) => in_use += 1,
                Ok(Found::Read(entry, stamps)) => read.push((tenant, file, *entry, stamps)),
                Err(fault) => drop(faults.insert(file, fault)),
            }
        }
        let this = &*self;
        let taking = read.into_iter().map(|(tenant, file, entry, stamps)| async move {
            let taken = this.take(&tenant, &file, entry, stamps).await;
            (tenant, file, taken)
        });
        let taken: Vec<_> = stream::iter(taking).buffer_unordered(AT_ONCE).collect().await;
        let mut later = Vec::new();
        for (tenant, file, taken) in taken {
            match taken {
                Taken::Stored(digest, stamps) => {
                    in_use += 1;
                    let known = Known::new(digest, stamps, self.stored.get(&tenant));
                    self.stored.insert(tenant, known);
                }
                Taken::Faulty(fault) => drop(faults.insert(file, fault)),
                Taken::Later(error) => later.push((file, error)),
            }
        }
        report_later(&later);
        self.counts = FileCounts { in_use, broken: faults.len(), ..self.counts };
        self.report(faults);
        match self.remove_absent(&there).await {
            Ok(held) => self.counts.removals_held = held,
            Err(error) => tracing::warn!(%error, "connections whose files are gone cannot be removed now"),
        }
    }

    /// Takes over what a file says, unless that is what is stored already.
    async fn take(&self, tenant: &TenantId, file: &str, entry: Entry, stamps: Stamps) -> Taken {
        let digest = self.context.tenants.keyring().keyed_digest(entry.content().as_bytes());
        if self.stored.get(tenant).is_some_and(|known| known.digest == digest) {
            return Taken::Stored(digest, stamps);
        }
        let source = FileSource { file: file.to_owned(), digest: digest.clone() };
        match enter(self.context, tenant, source, entry).await {
            Ok(saved) => {
                saved.iter().for_each(|saved| report_saved(tenant, file, saved));
                Taken::Stored(digest, stamps)
            }
            Err(error) => not_taken(error),
        }
    }

    /// Removes the connections whose files are gone, and returns how many stay because most files are.
    async fn remove_absent(&mut self, there: &[TenantId]) -> Result<usize, StoreError> {
        let store = &self.context.store;
        for tenant in there {
            self.missing.remove(tenant);
            if self.paused.remove(tenant) {
                store.end_removal(tenant).await?;
            }
        }
        let is_there = |tenant: &TenantId| there.binary_search(tenant).is_ok();
        let gone: BTreeSet<TenantId> =
            store.tenants_of_files().await?.into_iter().filter(|tenant| !is_there(tenant)).collect();
        self.missing.retain(|tenant, _| gone.contains(tenant));
        self.stored.retain(|tenant, _| is_there(tenant));
        let since = |tenant: TenantId| {
            let at = *self.missing.entry(tenant.clone()).or_insert_with(Instant::now);
            (tenant, at.elapsed())
        };
        let missing: Vec<(TenantId, Duration)> = gone.into_iter().map(since).collect();
        let held_before = self.counts.removals_held;
        match decide(there.len(), &missing, self.context.config.tenants.removal_delay) {
            Absent::Removed(tenants) => {
                for tenant in tenants {
                    self.remove(&tenant).await?;
                }
                Ok(0)
            }
            Absent::Kept(held) => {
                if held != held_before {
                    tracing::warn!(
                        held,
                        files = there.len(),
                        "more than half of the tenants' files are missing, so their connections stay: complete the \
                         directory, or remove each with `testmo-courier tenants remove TENANT`"
                    );
                }
                Ok(held)
            }
        }
    }

    async fn remove(&mut self, tenant: &TenantId) -> Result<(), StoreError> {
        match withdraw(&self.context.store, &actor(&format!("of {tenant}")), tenant).await? {
            Withdrawn::Done => {
                self.paused.remove(tenant);
                tracing::info!(%tenant, "the file of a tenant is gone: its connection was removed, and its batches wait");
            }
            Withdrawn::HasWork => {
                if self.paused.insert(tenant.clone()) {
                    tracing::info!(%tenant, "the file of a tenant is gone: its connection is removed once its batches are \
                                             finished or on the shelf");
                }
            }
        }
        Ok(())
    }

    /// Writes into the log, once, that the directory cannot be read. What is known of its files stays as it is.
    fn report_directory(&mut self, error: &std::io::Error) {
        let problem = format!("cannot be read ({error})");
        if self.reported.insert(String::new(), problem.clone()).as_ref() != Some(&problem) {
            tracing::warn!(
                directory = %self.directory.display(),
                problem,
                remedy = UNREADABLE,
                "the directory of tenants cannot be used; every connection stays as it is"
            );
        }
    }

    /// Writes into the log which files cannot be used, and which can again, each once.
    fn report(&mut self, faults: BTreeMap<String, FileFault>) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        for (name, fault) in &faults {
            let problem = fault.to_string();
            if self.reported.get(name) != Some(&problem) {
                let (file, remedy) = (path(name), &fault.remedy);
                tracing::warn!(
                    file,
                    problem,
                    remedy,
                    "a tenant's file cannot be used; what it said before stays in force"
                );
            }
        }
        for name in self.reported.keys().filter(|name| !faults.contains_key(*name)) {
            tracing::info!(file = path(name), "a tenant's file can be used again, or is gone");
        }
        self.reported = faults.into_iter().map(|(name, fault)| (name, fault.to_string())).collect();
    }
}

/// Decides whether an error is a fault of the file.
fn not_taken(error: SetError) -> Taken {
    match error {
        SetError::Address { base_url, refused } => {
            Taken::Faulty(FileFault::of("base_url", format!("{base_url} is not allowed"), refused.to_string()))
        }
        SetError::Expired(_) => {
            let remedy = "Write the last day of a key that still works, or leave the day out.";
            Taken::Faulty(FileFault::of("api_key_expires_on", format!("cannot be used: {error}"), remedy))
        }
        SetError::Incomplete { .. }
        | SetError::KeptKey(_)
        | SetError::KeyNeeded(_)
        | SetError::Changed(_)
        | SetError::KeptInFile(_)
        | SetError::NotAllowed(_)
        | SetError::Key(_)
        | SetError::Client(_)
        | SetError::Store(_) => Taken::Later(error),
    }
}

/// Writes one line into the log for all files that could not be taken over: what fails, such as the store, mostly fails for each. A
/// change by another worker, which reads the same files, is no failure.
fn report_later(later: &[(String, SetError)]) {
    let mut failed = later.iter().filter(|(_, error)| !matches!(error, SetError::Changed(_)));
    if let Some((file, error)) = failed.next() {
        let others = failed.count();
        tracing::warn!(file, %error, others, "tenants' files cannot be taken over now; the next reading tries again");
    }
}

/// Verifies and stores what a file says; `None` if that was done before. With another master key the hash of a content is another
/// one, so what is stored counts, too.
async fn enter(
    context: &AppContext,
    tenant: &TenantId,
    source: FileSource,
    entry: Entry,
) -> Result<Option<Saved>, SetError> {
    let before = context.store.connection(tenant).await?.and_then(|row| row.source);
    if before.as_ref().is_some_and(|before| before.digest == source.digest) {
        return Ok(None);
    }
    let actor = actor(&source.file);
    let Entry { base_url, project, folder, expires, mapping, key } = entry;
    let input = ConnectionInput {
        tenant: tenant.clone(),
        base_url: Some(base_url),
        project: Some(project),
        folder: Some(folder),
        expires: expires.map_or(Expiry::None, Expiry::On),
        mapping: Some(mapping),
        new_api_key: true,
        // A file says all of a connection, so nothing of a change that is not in force is part of it.
        discard_change: true,
        source: Some(source),
    };
    let prepared = prepare(context, input).await?;
    if before.is_some() && prepared.is_stored_with(context, &key) {
        return Ok(None);
    }
    prepared.save(context, &actor, Some(key)).await.map(Some)
}

/// Names a file as the one who changes a connection.
fn actor(file: &str) -> Actor {
    Actor::new(&format!("file {file}"), Role::Admin, Face::Worker)
}

fn report_saved(tenant: &TenantId, file: &str, saved: &Saved) {
    match &saved.finding {
        Verification::Works { .. } => {
            tracing::info!(%tenant, file, "a tenant's connection was taken over from its file, and works");
        }
        Verification::Fails { reason, detail } => {
            tracing::warn!(%tenant, file, %reason, detail, "a tenant's connection was taken over from its file, and does not work");
        }
    }
}
