//! Plans a replay: freezes what is selected, and says what is to be expected of each batch.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::actor::{Actor, Role, require};
use super::super::shelf::Selection;
use super::super::time::rfc3339;
use super::control::{ReplayAction, act};
use super::error::ReplayError;
use super::estimate::{PartSize, Speed, estimate};
use super::expected::{Expected, impossible, named};
use super::facts::Known;
use super::store::PlanStore;
use super::summary::{Counts, PlanSummary};
use crate::app::request_time::median;
use crate::batch::cause::CauseId;
use crate::batch::replay::{Forecast, ItemOutcome, NotYet};
use crate::batch::{BatchId, BatchKey, TenantId};
use crate::config::Config;
use crate::replay::{NotReplayable, Subject, circumstances, restart, subject};
use crate::store::StoreError;
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::ledger::StoredBatch;
use crate::store::replays::{NewItem, NewPart, NewReplay, ReplayChange, ReplayId, ReplayState};
use crate::store::shelf::{ShelfFilter, ShelfId, ShelfIdentity, Shelved};
use crate::store::unfinished::Unfinished;

/// The longest name of a replay, in characters.
pub const LONGEST_NAME: usize = 200;
/// The longest reason for what is done with a replay, in characters.
pub const LONGEST_REASON: usize = 500;
/// The most batches that a replay may start in a minute.
pub const MOST_PER_MINUTE: u32 = 100_000;

/// How many entries are read and stored at once.
const AT_ONCE: usize = 500;

/// What a person wants to be replayed, and how.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// Which entries.
    pub selection: Selection,
    /// What the person calls the replay.
    pub name: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How many batches may be started in a minute.
    pub per_minute: Option<u32>,
    /// How many batches are tried at most.
    pub most: Option<u32>,
    /// Whether what would be refused again is tried, too; entries that are named one by one always are.
    pub unchanged_too: bool,
}

/// A plan that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The replay.
    pub id: ReplayId,
    /// The epoch in which it can be started.
    pub epoch: i64,
    /// What it comes to.
    pub summary: PlanSummary,
}

/// Plans a replay; nothing is sent, and nothing on the shelf is changed.
///
/// # Errors
/// When the person may not, nothing is selected, or the store does not answer.
pub async fn plan(
    store: &dyn PlanStore,
    config: &Config,
    actor: &Actor,
    request: ReplayRequest,
) -> Result<Planned, ReplayError> {
    require(actor, Role::Operator)?;
    let unchanged_too = request.unchanged_too || request.selection.is_by_name();
    let request = ReplayRequest { unchanged_too, ..request };
    let mut planner = Planner::new(store, config, actor, request).await?;
    match planner.request.selection.clone() {
        Selection::Named(names) => {
            for ids in store.named(&names).await?.chunks(AT_ONCE) {
                let mut rows = Vec::with_capacity(ids.len());
                for id in ids {
                    rows.extend(store.entry(*id).await?);
                }
                planner.add(rows).await?;
            }
        }
        Selection::Matching(filter) => planner.add_matching(&filter).await?,
    }
    planner.complete().await
}

/// Plans a replay and starts it. One that would try nothing is cancelled; its plan says why.
///
/// # Errors
/// As [`plan`], and when somebody changed the replay in between.
pub async fn plan_and_start(
    store: &dyn PlanStore,
    config: &Config,
    actor: &Actor,
    request: ReplayRequest,
) -> Result<Planned, ReplayError> {
    let reason = request.reason.clone();
    let planned = plan(store, config, actor, request).await?;
    let action = if planned.summary.tried == 0 { ReplayAction::Cancel } else { ReplayAction::Start };
    act(store, actor, planned.id, action, reason.as_deref()).await?;
    Ok(planned)
}

/// A plan in the making.
struct Planner<'a> {
    store: &'a dyn PlanStore,
    config: &'a Config,
    actor: &'a Actor,
    request: ReplayRequest,
    known: Known<'a>,
    id: Option<ReplayId>,
    place: u64,
    counts: Counts,
    numbers: HashMap<PartKey, u32>,
    sizes: Vec<PartSize>,
}

type PartKey = (CauseId, Option<String>, Option<TenantId>);

impl<'a> Planner<'a> {
    async fn new(
        store: &'a dyn PlanStore,
        config: &'a Config,
        actor: &'a Actor,
        request: ReplayRequest,
    ) -> Result<Self, StoreError> {
        let known = Known::new(store).await?;
        let (id, place, counts) = (None, 0, Counts::default());
        let (numbers, sizes) = (HashMap::new(), Vec::new());
        Ok(Self { store, config, actor, request, known, id, place, counts, numbers, sizes })
    }

    /// Adds what matches a filter, in the order of arrival: what is on the shelf now, and nothing that comes meanwhile.
    async fn add_matching(&mut self, filter: &ShelfFilter) -> Result<(), ReplayError> {
        let Some(highest) = self.store.highest_on_shelf().await? else { return Ok(()) };
        let (store, most) = (self.store, u32::try_from(AT_ONCE).unwrap_or(u32::MAX));
        let (mut rows, mut end) = store.shelf_heads(filter, None, most).await?;
        while let Some(after) = end.filter(|_| !self.is_full()) {
            rows.retain(|row| row.id <= highest);
            // The next ones are read while these are planned.
            let (next, ()) = tokio::try_join!(
                async { store.shelf_heads(filter, Some(after), most).await.map_err(ReplayError::from) },
                self.add(rows)
            )?;
            (rows, end) = next;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let (tried, _) = self.counts.tried(self.request.unchanged_too);
        self.request.most.is_some_and(|most| tried >= u64::from(most))
    }

    async fn add(&mut self, rows: Vec<Shelved>) -> Result<(), ReplayError> {
        if rows.is_empty() || self.is_full() {
            return Ok(());
        }
        let id = match self.id {
            Some(id) => id,
            None => self.begin().await?,
        };
        let subjects = self.subjects(&rows).await?;
        let keys: HashSet<BatchKey> = subjects.values().flatten().map(|subject| subject.key.clone()).collect();
        // In their order, so that the same plan reads the same every time.
        for tenant in keys.iter().map(|key| &key.tenant).collect::<BTreeSet<_>>() {
            self.known.read(tenant).await?;
        }
        let ids: Vec<ShelfId> = rows.iter().map(|row| row.id).collect();
        let (records, others) = tokio::try_join!(self.store.batches_of(&keys), self.store.replays_of(&ids))?;
        let (mut items, mut parts) = (Vec::with_capacity(rows.len()), HashMap::new());
        for row in &rows {
            if self.is_full() {
                break;
            }
            // Cancelling a replay does not stop what it has under way.
            let expected = match (row.replay, others.get(&row.id)) {
                (Some(other), _) => impossible(format!("replay {other} has it under way: wait for its outcome")),
                (None, Some(other)) => {
                    impossible(format!("replay {other} has it; cancel that one, or wait for its end"))
                }
                (None, None) => self.expect(row, &subjects[&row.id], &records),
            };
            items.push(self.item(row, named(row, &subjects[&row.id]), expected, &mut parts));
        }
        let parts: Vec<NewPart> = parts.into_values().collect();
        self.store.add_items(id, &parts, &items).await?;
        Ok(())
    }

    async fn begin(&mut self) -> Result<ReplayId, StoreError> {
        let ReplayRequest { selection, name, reason, per_minute, most, unchanged_too } = self.request.clone();
        let selection = selection.to_string();
        let action = AuditEntry::new(self.actor, AuditAction::PlanReplay, AuditSubject::default())
            .because(reason.as_deref())
            .change(None, Some(serde_json::json!({"selection": selection, "name": name})));
        let owner = self.actor.name().to_owned();
        let new = NewReplay { name, reason, selection, owner, per_minute, most, unchanged_too };
        let id = self.store.create_replay(new, action).await?;
        self.id = Some(id);
        Ok(id)
    }

    /// Returns the batch of each entry. Only messages whose batch was not known when they were shelved are read.
    async fn subjects(&self, rows: &[Shelved]) -> Result<HashMap<ShelfId, Result<Subject, NotReplayable>>, StoreError> {
        let most_bytes = self.config.amqp.max_message_bytes;
        let mut subjects = HashMap::with_capacity(rows.len());
        for row in rows {
            let found = match (&row.content.identity, row.content.body.is_empty()) {
                (ShelfIdentity::Batch(..), _) | (_, false) => subject(row, most_bytes),
                (ShelfIdentity::Raw(..), true) => match self.store.entry(row.id).await? {
                    Some(whole) => subject(&whole, most_bytes),
                    None => Err(NotReplayable::Changed),
                },
            };
            subjects.insert(row.id, found);
        }
        Ok(subjects)
    }

    /// Returns what is to be expected of an entry.
    fn expect(
        &self,
        row: &Shelved,
        subject: &Result<Subject, NotReplayable>,
        records: &HashMap<BatchKey, Option<StoredBatch>>,
    ) -> Expected {
        let subject = match subject {
            Ok(subject) => subject,
            Err(why) => return impossible(why.to_string()),
        };
        let tenant = &subject.key.tenant;
        let connection = self.known.connection(tenant);
        let stored = match records.get(&subject.key) {
            Some(None) => return impossible("this version cannot read the record of its batch".into()),
            Some(Some(stored)) => Some(stored),
            None => None,
        };
        let account = connection.map(|row| row.origin.clone()).or_else(|| row.content.account.clone());
        let cases = match stored {
            Some(stored) => stored.record.cases.iter().filter(|case| !case.state.is_settled()).count() as u64,
            None => row.cases.unwrap_or(0),
        };
        let expected = Expected { forecast: Forecast::Ready, detail: None, cases, account: account.clone() };
        match restart(row, subject, stored.cloned(), account.as_deref()) {
            Ok(_) | Err(NotReplayable::Unfinished(Unfinished::InHand)) => {}
            Err(NotReplayable::Delivered) => {
                return Expected { forecast: Forecast::AlreadyInTestmo, cases: 0, ..expected };
            }
            Err(why) => {
                let (forecast, detail) = (Forecast::Impossible, Some(why.to_string()));
                return Expected { forecast, detail, ..expected };
            }
        }
        let throttle = account.as_deref().map(|account| self.known.throttle(account)).unwrap_or_default();
        let now = self.store.now();
        let record = stored.map(|stored| &stored.record);
        let (forecast, why) = circumstances(row, record, connection, &throttle, &self.known.overrides, now).forecast();
        let detail = why.map(|why| words_of(why, tenant)).or_else(|| forecast.remark().map(str::to_owned));
        Expected { forecast, detail, ..expected }
    }

    /// Counts an entry, and returns it as it is stored.
    fn item(
        &mut self,
        row: &Shelved,
        (tenant, batch): (Option<TenantId>, Option<BatchId>),
        expected: Expected,
        parts: &mut HashMap<u32, NewPart>,
    ) -> NewItem {
        let Expected { forecast, detail, cases, account } = expected;
        self.counts.add(forecast, cases);
        let is_tried = forecast.is_tried(self.request.unchanged_too);
        let part = self.part_of(row, account, tenant.as_ref(), is_tried.then_some(cases), parts);
        let place = self.place;
        self.place += 1;
        NewItem {
            place,
            part,
            entry: row.id,
            identity: row.content.identity.to_string(),
            person_epoch: row.person_epoch,
            tenant,
            batch,
            reason: row.content.reason,
            cases,
            forecast,
            detail,
            outcome: (!is_tried).then_some(match forecast {
                Forecast::AlreadyInTestmo => ItemOutcome::AlreadyInTestmo,
                Forecast::Ready
                | Forecast::OutcomeUnknown
                | Forecast::RefusedAgain
                | Forecast::NotYet
                | Forecast::Impossible => ItemOutcome::Skipped,
            }),
        }
    }

    /// Returns the part of an entry, and counts it there if it is tried.
    fn part_of(
        &mut self,
        row: &Shelved,
        account: Option<String>,
        tenant: Option<&TenantId>,
        tried_cases: Option<u64>,
        parts: &mut HashMap<u32, NewPart>,
    ) -> u32 {
        let cause = CauseId::of(row.content.reason.code(), row.content.detail.as_deref());
        let tenant = if account.is_none() { tenant.cloned() } else { None };
        let key = (cause, account.clone(), tenant.clone());
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let part = *self.numbers.entry(key).or_insert(next);
        let at = usize::try_from(part).unwrap_or(usize::MAX);
        if self.sizes.len() <= at {
            self.sizes.resize_with(at + 1, PartSize::default);
            self.sizes[at].account.clone_from(&account);
        }
        let new = NewPart { part, cause: Some(cause), account, tenant, batches: 0 };
        let entry = parts.entry(part).or_insert(new);
        if let Some(cases) = tried_cases {
            entry.batches += 1;
            self.sizes[at].batches += 1;
            self.sizes[at].cases += cases;
        }
        part
    }

    async fn complete(self) -> Result<Planned, ReplayError> {
        let Some(id) = self.id else { return Err(ReplayError::Nothing(self.request.selection.to_string())) };
        let mut speeds = HashMap::new();
        for account in self.sizes.iter().filter_map(|size| size.account.clone()) {
            let ceiling = self.config.requests.account_concurrency;
            let at_once = self.known.throttle(&account).limit(ceiling);
            if let Entry::Vacant(place) = speeds.entry(account) {
                let request_ms = median(self.store.request_times(place.key()).await?);
                place.insert(Speed { at_once, request_ms });
            }
        }
        let guess = Speed { at_once: 1, request_ms: None };
        let speed_of =
            |account: Option<&str>| account.and_then(|account| speeds.get(account)).copied().unwrap_or(guess);
        let (requests, seconds) = estimate(&self.sizes, speed_of, self.request.per_minute);
        let (tried, cases) = self.counts.tried(self.request.unchanged_too);
        let parts = self.sizes.iter().filter(|size| size.batches > 0).count() as u64;
        let batches = self.counts.batches();
        let forecasts = self.counts.into_counts();
        let summary = PlanSummary { batches, tried, cases, requests, seconds, parts, forecasts };
        let change = ReplayChange {
            replay: id,
            epoch: 1,
            state: ReplayState::Planned,
            why: None,
            summary: Some(crate::batch::json_of(&summary)),
            begins_again: false,
            audit: None,
        };
        match self.store.change_replay(change).await? {
            true => Ok(Planned { id, epoch: 2, summary }),
            false => Err(ReplayError::Changed(id)),
        }
    }
}

/// Says why a batch cannot be sent yet.
fn words_of(why: NotYet, tenant: &TenantId) -> String {
    let time = |ms: i64| rfc3339(ms).unwrap_or_else(|| ms.to_string());
    match why {
        NotYet::NoConnection => format!("{tenant} has no connection"),
        NotYet::NotVerified => format!("the connection of {tenant} does not work yet"),
        NotYet::Paused => "a person has paused the lane".into(),
        NotYet::RateLimited(until) => format!("Testmo asked for a pause until {}", time(until)),
        NotYet::Failing(until) => format!("Testmo fails; it is tried again at {}", time(until)),
    }
}
