//! Shows which cases in Testmo may be those of a batch that were not found, and carries out what a person decides about
//! them.

mod matching;

use std::time::Duration;

use serde_json::json;

pub use self::matching::{Candidate, Decisions, MissingCase, WrongDecision};
use self::matching::{Meaning, candidates, meaning};
use super::actor::{Actor, NotAllowed, Role, require};
use super::case_pages::denies_access;
use super::context::AppContext;
use super::discard::under_way;
use super::plan::PlannedEntry;
use crate::batch::event::{self, CaseInput, EventInput};
use crate::batch::ledger::reconcile::Row;
use crate::batch::ledger::{BatchState, CaseState, Standing, Target};
use crate::batch::message::Places;
use crate::batch::message::decode::decode;
use crate::batch::render::render;
use crate::batch::verdict::answer::ApiError;
use crate::batch::written::{BatchMark, WrittenCase, WrittenFields, identities_of, source_name};
use crate::batch::{Batch, TenantId, batch_tag, fingerprint};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::connections::ConnectionRow;
use crate::store::ledger::{Commit, PushEnded, RecordUpdate, StoredBatch};
use crate::store::shelf::{Action, OperatorAction, ShelfId, Shelved};
use crate::store::unfinished::Unfinished;
use crate::store::{ConnectionStore, LedgerStore, StoreError, StoreHealth};
use crate::tenants::NoPermit;
use crate::testmo::{NoClient, Past, ReadError, ReadPermits};
use crate::trace::{Scope, within};

/// The longest pause that is waited for between two requests.
const PATIENCE: Duration = Duration::from_secs(5);

/// The missing cases of a batch, and the cases in Testmo that they may be.
#[derive(Debug)]
pub struct Found {
    /// The entry.
    pub entry: PlannedEntry,
    /// The missing cases, in order.
    pub missing: Vec<MissingCase>,
    /// The cases in Testmo that may be one of them, by id.
    pub candidates: Vec<Candidate>,
    row: Shelved,
    batch: Batch,
    stored: StoredBatch,
    connection: ConnectionRow,
    target: Target,
}

/// What became of decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// How many cases were adopted.
    pub adopted: usize,
    /// How many cases a replay creates now.
    pub missing: usize,
    /// Whether the batch is complete, so that its entry has left the shelf.
    pub is_delivered: bool,
}

/// Why candidates cannot be shown or decided about.
#[derive(Debug, thiserror::Error)]
pub enum CandidatesError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The entry is no longer on the shelf.
    #[error("the entry is no longer on the shelf")]
    Gone,
    /// A worker is at work on the batch.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// No case of the batch is missing.
    #[error("no case of this entry is missing in Testmo after an unknown outcome, so there is nothing to decide")]
    NothingMissing,
    /// The cases went to another account than the tenant's present one.
    #[error(
        "the cases were sent to {0}, which is not the tenant's present account: replay the batch to create them in the present one"
    )]
    Elsewhere(String),
    /// The tenant has no connection that works.
    #[error("the tenant has no verified connection: correct it with `testmo-courier tenants verify {0}`")]
    NotConnected(TenantId),
    /// The connection cannot be used.
    #[error(
        "the connection of tenant {tenant} cannot be used ({why}): correct it with `testmo-courier tenants verify {tenant}`"
    )]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// The cause.
        why: String,
    },
    /// Testmo could not be read.
    #[error("Testmo could not be read ({0}): try again later")]
    NotRead(String),
    /// A decision cannot be carried out.
    #[error(transparent)]
    Wrong(#[from] WrongDecision),
    /// Nothing was decided.
    #[error("nothing was decided")]
    Nothing,
    /// A worker or another person has changed the batch since.
    #[error("the batch was changed meanwhile, and nothing was stored")]
    Changed,
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the missing cases of an entry, and reads from Testmo which cases they may be.
///
/// # Errors
/// When nothing is missing, Testmo cannot be read, or the store does not answer.
pub async fn find(context: &AppContext, id: ShelfId) -> Result<Found, CandidatesError> {
    let store = &context.store;
    let row = store.shelved(id).await?.ok_or(CandidatesError::Gone)?;
    if row.leased {
        return Err(Unfinished::InHand.into());
    }
    let batch = decode(&row.content.body).map_err(|_| CandidatesError::NothingMissing)?;
    let stored = store.batch(&batch.key).await?.filter(|stored| {
        stored.record.standing(&fingerprint(&batch)) == Standing::Present
            && matches!(stored.record.state, BatchState::Partial | BatchState::Failed)
    });
    let stored = stored.ok_or(CandidatesError::NothingMissing)?;
    if let Some(wait) = under_way(&stored, store.now()) {
        return Err(Unfinished::Pushing { wait }.into());
    }
    let missing = missing_of(&stored, &batch);
    if missing.is_empty() {
        return Err(CandidatesError::NothingMissing);
    }
    let tenant = &batch.key.tenant;
    let connection = store.connection(tenant).await?.filter(ConnectionRow::is_verified);
    let connection = connection.ok_or_else(|| CandidatesError::NotConnected(tenant.clone()))?;
    let targets = targets_of(&stored, &missing);
    let Some(target) = targets.first().cloned() else { return Err(CandidatesError::NothingMissing) };
    if let Some(other) = targets.iter().find(|target| target.account != connection.origin) {
        return Err(CandidatesError::Elsewhere(other.account.clone()));
    }
    let (scope, tag) = (Scope::of([stored.record.trace.as_ref()]), batch_tag(&batch.key));
    let rows = within(scope, read_rows(context, &connection, &stored, &targets, &tag)).await?;
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    let held = store.held_ids(&connection.origin, &ids).await?;
    let candidates = candidates(&stored.record, &missing, (&target.account, &batch_tag(&batch.key)), &held, &rows);
    Ok(Found { entry: PlannedEntry::of(&row), missing, candidates, row, batch, stored, connection, target })
}

/// Returns the cases that were not found in Testmo.
fn missing_of(stored: &StoredBatch, batch: &Batch) -> Vec<MissingCase> {
    let cases = stored.record.cases.iter().zip(&batch.cases).enumerate();
    let lost = cases.filter(|(_, (record, _))| record.state == CaseState::Lost);
    lost.map(|(position, (record, case))| MissingCase { position, key: record.key.clone(), name: case.name.clone() })
        .collect()
}

/// Returns the folders to which missing cases were sent, each once.
fn targets_of(stored: &StoredBatch, missing: &[MissingCase]) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for case in missing {
        let target = stored.record.targets.get(stored.record.cases[case.position].target);
        targets.extend(target.filter(|target| !targets.contains(target)).cloned());
    }
    targets
}

/// Reads the cases of the folders to which missing cases were sent, and those with the tag of the batch in other folders of
/// the project, as far as Testmo lists these.
async fn read_rows(
    context: &AppContext,
    connection: &ConnectionRow,
    stored: &StoredBatch,
    targets: &[Target],
    tag: &str,
) -> Result<Vec<Row>, CandidatesError> {
    let client = context.client()?;
    let tenant = &connection.tenant;
    let no_access = |why| CandidatesError::NoAccess { tenant: tenant.clone(), why };
    context.tenants.learn_key_of(connection).await?;
    let access = context.tenants.access(connection).map_err(|(_, why)| no_access(why))?;
    let mut permits = context.tenants.permits(&connection.origin, PATIENCE);
    let past = Past { up_to: stored.record.floor, before: stored.record.first_seen_at, offset: None };
    let mut rows = Vec::new();
    for target in targets {
        match client.list_cases(&access, target, past, &[], &mut permits).await {
            Ok(list) => rows.extend(list.rows),
            Err(ReadError::NotPermitted(no)) => return Err(not_permitted(no)),
            Err(ReadError::Failed(error)) => return Err(failed(&mut permits, tenant, error).await?),
        }
    }
    let Some(project) = targets.first().map(|target| target.project) else { return Ok(rows) };
    permits.next().await.map_err(not_permitted)?;
    let tagged = client.probe_cases(&access, project, &format!("tags={tag}&expands=tags&per_page=100&page=1")).await;
    permits.note(tagged.as_ref().err()).await?;
    // A Testmo without this list leaves out only what a person moved to another folder.
    rows.extend(tagged.into_iter().flat_map(|page| page.rows).filter(|row| row.tags.iter().any(|of| of == tag)));
    Ok(rows)
}

fn not_permitted(no: NoPermit) -> CandidatesError {
    match no {
        NoPermit::Store(error) => error.into(),
        NoPermit::Pause(_, why) => CandidatesError::NotRead(why),
    }
}

/// Notes a failed request like a worker, and says how it failed.
async fn failed(
    permits: &mut crate::tenants::AccountPermits<'_>,
    tenant: &TenantId,
    error: ApiError,
) -> Result<CandidatesError, StoreError> {
    permits.note(Some(&error)).await?;
    let why = error.to_string();
    Ok(match denies_access(&error) {
        true => CandidatesError::NoAccess { tenant: tenant.clone(), why },
        false => CandidatesError::NotRead(why),
    })
}

impl Found {
    /// Returns the address of a candidate in Testmo's web pages.
    pub fn link(&self, candidate: &Candidate) -> String {
        event::address(&self.target, candidate.folder, candidate.id)
    }

    /// Returns the keys of the missing cases that a candidate may be.
    pub fn keys_of(&self, candidate: &Candidate) -> Vec<&str> {
        let of = |case: &&MissingCase| candidate.cases.contains(&case.position);
        self.missing.iter().filter(of).map(|case| case.key.as_str()).collect()
    }

    /// Checks decisions, and returns how many cases would be adopted, and how many a replay would create.
    ///
    /// # Errors
    /// When one of them cannot be carried out.
    pub fn check(&self, decisions: &Decisions) -> Result<(usize, usize), CandidatesError> {
        let Meaning { adopted, missing } = self.meaning(decisions)?;
        Ok((adopted.len(), missing.len()))
    }

    fn meaning(&self, decisions: &Decisions) -> Result<Meaning, CandidatesError> {
        if decisions == &Decisions::default() {
            return Err(CandidatesError::Nothing);
        }
        Ok(meaning(decisions, &self.stored.record, &self.missing, &self.candidates)?)
    }

    /// Stores decisions: an adopted row is the case from then on, and a case of which every row was refused is created by
    /// the next replay.
    ///
    /// # Errors
    /// When the person may not, a decision cannot be carried out, the batch has changed meanwhile, or the store does not
    /// answer.
    pub async fn decide(
        self,
        context: &AppContext,
        decisions: &Decisions,
        actor: &Actor,
        because: Option<&str>,
    ) -> Result<Decided, CandidatesError> {
        require(actor, Role::Operator)?;
        let store = &context.store;
        let Meaning { adopted, missing } = self.meaning(decisions)?;
        // A worker may have given one of these ids to another case meanwhile.
        let ids: Vec<u64> = adopted.iter().map(|(_, id)| *id).collect();
        if let Some(held) = store.held_ids(&self.connection.origin, &ids).await?.into_iter().next() {
            return Err(WrongDecision::NoCandidate(held).into());
        }
        let mut record = self.stored.record.clone();
        let from_epoch = record.epoch;
        let now = store.now();
        let has_outcome = record.decide(&adopted, &missing, now);
        let is_delivered = record.state == BatchState::Delivered;
        let places = Places::of(&self.batch);
        let cases = CaseInput::of(&self.batch, &places);
        let reason = (!is_delivered).then_some(self.row.content.reason);
        let input = EventInput { source: &self.batch.source, cases: &cases, now, reason, detail: None, replay: None };
        let events = if has_outcome { event::of_settlement(&record, &input).into_iter().collect() } else { Vec::new() };
        // The ledger finds the ids of an account by its requests.
        let push = store.last_push(&self.batch.key, &self.connection.origin, None).await?;
        let span = ids.iter().min().copied().zip(ids.iter().max().copied());
        let ended = push.zip(span).map(|(push, ids)| PushEnded {
            push,
            answer: "adopted".into(),
            detail: None,
            ids: Some(ids),
        });
        let action = OperatorAction {
            id: self.row.id,
            generation: self.row.generation,
            action: Action::Discard,
            batch: None,
            item: None,
        };
        let change = Commit {
            written: self.written(&adopted),
            batch: Some(RecordUpdate { record, from_epoch }),
            ended,
            events,
            operator_action: is_delivered.then_some(action),
            audit: vec![self.audit(decisions, actor).because(because)],
            ..Commit::default()
        };
        if !store.commit(change.into()).await?.is_done() {
            return Err(CandidatesError::Changed);
        }
        Ok(Decided { adopted: adopted.len(), missing: missing.len(), is_delivered })
    }

    /// Returns what is remembered of adopted cases.
    fn written(&self, adopted: &[(usize, u64)]) -> Vec<WrittenCase> {
        let Some(mapping) = &self.connection.resolved else { return Vec::new() };
        let rendered = render(&self.batch, mapping, &self.connection.fields);
        let record = &self.stored.record;
        let own = source_name(self.batch.source.key.as_deref(), &self.batch.key.batch);
        let case = |(at, id): &(usize, u64)| {
            let target = record.targets.get(record.cases[*at].target)?;
            let fields = WrittenFields::of_entry(&rendered.get(*at)?.entry, target.folder);
            let id = *id;
            let case = move |identity| WrittenCase {
                identity,
                testmo_id: id,
                folder: target.folder,
                batch: BatchMark::of(&self.batch.key, record.first_seen_at),
                fields: fields.clone(),
            };
            Some(identities_of(record, Some(&own), *at).into_iter().map(case))
        };
        adopted.iter().filter_map(case).flatten().collect()
    }

    fn audit(&self, decisions: &Decisions, actor: &Actor) -> AuditEntry {
        let missing: Vec<&str> = self.missing.iter().map(|case| case.key.as_str()).collect();
        let adopted: serde_json::Map<String, serde_json::Value> =
            decisions.adopted.iter().map(|(key, id)| (key.clone(), json!(id))).collect();
        let subject = AuditSubject::entry(self.row.id, Some(&self.batch.key), None);
        let subject = subject.traced(self.row.content.trace().as_ref());
        AuditEntry::new(actor, AuditAction::DecideCandidates, subject)
            .change(Some(json!({"missing": missing})), Some(json!({"adopted": adopted, "refused": decisions.refused})))
    }
}
