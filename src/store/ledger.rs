//! Who may create which cases, and what became of them? Claims and changes, many in one transaction.
//!
//! Invariant: a record is changed only where its stored epoch is the one that the change started from.
//!
//! Replicas that share a database lock the rows of their batches first, and always in the order of their keys.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::accounts::{self, Answer, Heard, Known, Pause};
use super::shelf::{self, ByHand, Shelving};
use super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{Store, StoreError, connections, outbox};
use crate::batch::event::Event;
use crate::batch::ledger::{BatchRecord, CaseState};
use crate::batch::{BatchId, BatchKey, Reason, TenantId};

/// A record as it is to be stored, and the epoch that has to be stored before.
#[derive(Clone, Debug)]
pub struct Revised {
    /// The record as it is to be.
    pub record: BatchRecord,
    /// The epoch it started from; 0 for a batch that is not stored yet.
    pub from_epoch: u64,
}

/// The wish to send one request.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Id of the push.
    pub push: String,
    /// Whose connection it uses.
    pub tenant: TenantId,
    /// The version of that connection, which has to be the current, verified one.
    pub connection: String,
    /// The account it sends to.
    pub account: String,
    /// How many requests at once are configured for that.
    pub ceiling: u32,
    /// Who sends.
    pub holder: String,
    /// How long the claim holds.
    pub lease: Duration,
    /// The records of its batches, with the cases claimed.
    pub batches: Vec<Revised>,
}

/// The answer to a [`Claim`]; times are milliseconds on the store's clock.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// Granted, with the permit for one request, but for what is named.
    Granted {
        /// When.
        at: i64,
        /// How many requests at once the account bears.
        limit: u32,
        /// Batches that are not as the claim believes, and are not part of it.
        stale: Vec<Stored>,
        /// Batches that another claim of the same moment got, and are not part of it.
        contested: Vec<BatchKey>,
    },
    /// The account bears no more requests at once.
    Full {
        /// How many it bears.
        limit: u32,
    },
    /// The account takes nothing yet: its gate is closed, or its circuit breaker is open.
    Wait(Pause),
    /// The circuit breaker is open, and the claimant alone may find out whether the account is well again.
    Probe,
    /// A person has paused the account or the tenant.
    Paused,
    /// The connection is not the current, verified one.
    ConnectionChanged,
    /// None of the batches is as the claim believes.
    Stale {
        /// How they are.
        stored: Vec<Stored>,
        /// When this was answered.
        now: i64,
    },
}

/// A record as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The record.
    pub record: BatchRecord,
    /// When its open push was claimed.
    pub claimed_at: Option<i64>,
    /// Until when its open push belongs to its holder.
    pub lease_until: Option<i64>,
}

/// What is known of a push as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Company {
    /// Whether one of its cases is known to be created: then all of them were.
    pub committed: bool,
    /// Records of the batches whose open push it still is.
    pub waiting: Vec<BatchRecord>,
}

/// How a push ended, for its history.
#[derive(Clone, Debug)]
pub struct PushEnded {
    /// Id of the push.
    pub push: String,
    /// The class of the answer.
    pub answer: &'static str,
    /// The lowest and highest id that came of it.
    pub ids: Option<(u64, u64)>,
}

/// One atomic change: all of it is stored, or, where the record's epoch is another, none of it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The batch as it is to be.
    pub batch: Option<Revised>,
    /// A push that ended.
    pub ended: Option<PushEnded>,
    /// What goes onto the shelf.
    pub shelve: Option<Shelving>,
    /// What comes off the shelf: id and generation.
    pub unshelve: Option<(i64, i64)>,
    /// What a person wants of something on the shelf; without it, nothing of the change is stored.
    pub by_hand: Option<ByHand>,
    /// Events to be announced.
    pub events: Vec<Event>,
    /// What a request told of its account; that is so whatever becomes of the rest of the change.
    pub heard: Option<Heard>,
    /// A tenant for whom something arrived.
    pub success: Option<TenantId>,
}

/// The answer to a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// All of it is stored.
    Done,
    /// None of it: somebody else has changed the batch, or what a person had seen on the shelf.
    Fenced,
}

impl Store {
    /// Claims cases and takes the permit to send them, in one transaction.
    ///
    /// # Errors
    /// When the store does not answer; nothing is claimed then.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        self.group.claim(claim).await
    }

    /// Stores a change whole or not at all.
    ///
    /// # Errors
    /// When the store does not answer; nothing is changed then.
    pub async fn change(&self, change: Change) -> Result<Changed, StoreError> {
        self.group.change(change).await
    }

    /// What is stored of a batch.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batch(&self, key: &BatchKey) -> Result<Option<Stored>, StoreError> {
        let mut conn = self.reading().await?;
        Ok(load(&mut conn, HashSet::from([key])).await?.remove(key))
    }

    /// What is stored of a batch, and the time on the store's clock when it was read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batch_at(&self, key: &BatchKey) -> Result<(Option<Stored>, i64), StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        Ok((load(&mut conn, HashSet::from([key])).await?.remove(key), now))
    }

    /// The latest batches by arrival, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn latest_batches(&self, tenant: Option<&TenantId>, most: u32) -> Result<Vec<Stored>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT * FROM batches WHERE epoch > 0 AND ($1 IS NULL OR tenant_id = $1) \
                   ORDER BY first_seen_at DESC, tenant_id, batch_id LIMIT $2";
        let tenant = Bound::MaybeText(tenant.map(|t| t.as_str().to_owned()));
        let rows = sql::fetch(&mut conn, sql, vec![tenant, Bound::Int(i64::from(most))]).await?;
        rows.iter().map(stored).collect()
    }

    /// Whether a push is known to have created cases, and of which batches it is still the open one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn company(&self, push: &str) -> Result<Company, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT b.*, p.first_id FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   JOIN batches b ON b.tenant_id = pp.tenant_id AND b.batch_id = pp.batch_id WHERE pp.push_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(push.into())]).await?;
        let mut company = Company::default();
        for row in &rows {
            company.committed |= row.maybe_int("first_id")?.is_some();
            let record = stored(row)?.record;
            if record.open_push.as_ref().is_some_and(|open| open.id == push) {
                company.waiting.push(record);
            }
        }
        Ok(company)
    }

    /// The last push of a batch to an account that is not `but`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn last_push(
        &self,
        batch: &BatchKey,
        account: &str,
        but: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT p.push_id FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   WHERE pp.tenant_id = $1 AND pp.batch_id = $2 AND p.account = $3 AND p.push_id <> $4 \
                   ORDER BY p.claimed_at DESC, p.push_id LIMIT 1";
        let texts = [batch.tenant.as_str(), batch.batch.as_str(), account, but.unwrap_or_default()];
        let rows = sql::fetch(&mut conn, sql, texts.map(|text| Bound::Text(text.into())).into()).await?;
        rows.first().map(|row| row.text("push_id")).transpose()
    }

    /// Which of `ids` the ledger holds for cases of an account.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let (Some(low), Some(high)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
        let mut conn = self.reading().await?;
        let sql = "SELECT DISTINCT b.* FROM pushes p \
                   JOIN push_parts pp ON pp.push_id = p.push_id \
                   JOIN batches b ON b.tenant_id = pp.tenant_id AND b.batch_id = pp.batch_id \
                   WHERE p.account = $1 AND p.last_id >= $2 AND p.first_id <= $3";
        let bounds = vec![Bound::Text(account.into()), Bound::Int(signed(*low)), Bound::Int(signed(*high))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let mut held = HashSet::new();
        for row in &rows {
            held.extend(stored(row)?.record.arrived_at(account).map(|(_, id)| id));
        }
        Ok(ids.iter().copied().filter(|id| held.contains(id)).collect())
    }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// Where replicas share the store: locks the row of every batch of a group, and makes an empty one, of epoch 0, for a
/// batch that is not stored yet, so that of two replicas one waits for the other.
pub(super) async fn lock(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Claim],
    changes: &[Change],
) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if !dialect.is_shared() {
        return Ok(());
    }
    let revised = claims.iter().flat_map(|c| &c.batches).chain(changes.iter().filter_map(|c| c.batch.as_ref()));
    let (mut all, mut fresh) = (BTreeSet::new(), BTreeMap::new());
    for revised in revised {
        all.insert(&revised.record.key);
        if revised.from_epoch == 0 {
            fresh.entry(&revised.record.key).or_insert(revised.record.fingerprint.as_str());
        }
    }
    let row = |key: &BatchKey, fingerprint: &str| json!({"tenant": key.tenant.as_str(), "batch": key.batch.as_str(), "fingerprint": fingerprint});
    let columns = [("tenant", Kind::Text), ("batch", Kind::Text), ("fingerprint", Kind::Text)];
    if !fresh.is_empty() {
        let sql = format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
             first_seen_at) SELECT tenant, batch, fingerprint, 'open', 1, 0, '[]', '[]', $2 FROM {} \
             ORDER BY tenant COLLATE \"C\", batch COLLATE \"C\" ON CONFLICT (tenant_id, batch_id) DO NOTHING",
            dialect.rows(&columns)
        );
        let rows: Vec<Value> = fresh.into_iter().map(|(key, fingerprint)| row(key, fingerprint)).collect();
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    }
    if !all.is_empty() {
        let sql = format!(
            "SELECT 1 FROM batches b JOIN {} ON b.tenant_id = r.tenant AND b.batch_id = r.batch \
             ORDER BY b.tenant_id, b.batch_id FOR UPDATE OF b",
            dialect.rows(&columns)
        );
        let rows: Vec<Value> = all.into_iter().map(|key| row(key, "")).collect();
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    }
    let heard = changes.iter().filter_map(|change| change.heard.as_ref()).map(|heard| heard.account.as_str());
    accounts::lock(conn, claims.iter().map(|claim| claim.account.as_str()).chain(heard).collect()).await?;
    let mut shelved = changes.iter().filter_map(|change| change.shelve.as_ref());
    // Before any row of the shelf, as whoever gives an order does it.
    if shelved.any(|shelving| shelving.reason == Reason::Paused) { accounts::keep_orders(conn).await } else { Ok(()) }
}

/// Decides every claim and stores those that are granted.
pub(super) async fn claim(conn: &mut AnyConnection, now: i64, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = Known::load(conn, now, claims.iter().map(|claim| claim.account.as_str()).collect()).await?;
    let current = current_connections(conn, claims).await?;
    let stored = load(conn, claims.iter().flat_map(|c| c.batches.iter().map(|b| &b.record.key)).collect()).await?;
    let mut taken = HashSet::new();
    let answers: Vec<Claimed> =
        claims.iter().map(|claim| decide(claim, now, &mut known, &current, &stored, &mut taken)).collect();
    let granted: Vec<Granted<'_>> =
        claims.iter().zip(&answers).filter_map(|(claim, answer)| Granted::of(claim, answer)).collect();
    store_claims(conn, now, &granted).await?;
    known.store(conn).await?;
    Ok(answers)
}

/// A claim, and those of its batches that are part of it.
struct Granted<'a> {
    claim: &'a Claim,
    batches: Vec<&'a Revised>,
}

impl<'a> Granted<'a> {
    fn of(claim: &'a Claim, answer: &Claimed) -> Option<Self> {
        let Claimed::Granted { stale, contested, .. } = answer else { return None };
        let out = |key: &BatchKey| contested.contains(key) || stale.iter().any(|stored| stored.record.key == *key);
        let batches = claim.batches.iter().filter(|revised| !out(&revised.record.key)).collect();
        Some(Self { claim, batches })
    }

    fn cases(&self) -> usize {
        let claimed =
            |revised: &&Revised| revised.record.cases.iter().filter(|case| case.state == CaseState::Claimed).count();
        self.batches.iter().map(claimed).sum()
    }

    fn lease_until(&self, now: i64) -> i64 {
        now + i64::try_from(self.claim.lease.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

fn decide<'a>(
    claim: &'a Claim,
    now: i64,
    known: &mut Known,
    current: &HashSet<(String, String)>,
    stored: &HashMap<BatchKey, Stored>,
    taken: &mut HashSet<&'a BatchKey>,
) -> Claimed {
    if !current.contains(&(claim.tenant.as_str().to_owned(), claim.connection.clone())) {
        return Claimed::ConnectionChanged;
    }
    let (mut stale, mut contested, mut fitting) = (Vec::new(), Vec::new(), Vec::new());
    for revised in &claim.batches {
        let key = &revised.record.key;
        match stored.get(key) {
            _ if taken.contains(key) => contested.push(key.clone()),
            None if revised.from_epoch == 0 => fitting.push(key),
            Some(s) if s.record.epoch == revised.from_epoch && s.record.fingerprint == revised.record.fingerprint => {
                fitting.push(key);
            }
            Some(other) => stale.push(other.clone()),
            // It was pruned away, or never stored: whoever believes otherwise reads it anew.
            None => contested.push(key.clone()),
        }
    }
    if fitting.is_empty() {
        return Claimed::Stale { stored: stale, now };
    }
    match known.ask(&claim.account, &claim.tenant, claim.ceiling, claim.lease) {
        Answer::Granted { limit } => {
            taken.extend(fitting);
            Claimed::Granted { at: now, limit, stale, contested }
        }
        Answer::Full { limit } => Claimed::Full { limit },
        Answer::Wait(pause) => Claimed::Wait(pause),
        Answer::Probe => Claimed::Probe,
        Answer::Paused => Claimed::Paused,
    }
}

async fn current_connections(
    conn: &mut AnyConnection,
    claims: &[Claim],
) -> Result<HashSet<(String, String)>, StoreError> {
    let tenants: HashSet<&str> = claims.iter().map(|c| c.tenant.as_str()).collect();
    let wanted: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t})).collect();
    let sql = format!(
        "SELECT c.tenant_id, c.version FROM connections c JOIN {} ON c.tenant_id = r.tenant \
         WHERE c.verified_version = c.version",
        Dialect::of(conn).rows(&[("tenant", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?;
    rows.iter().map(|row| Ok((row.text("tenant_id")?, row.text("version")?))).collect()
}

const BATCH_COLUMNS: [(&str, Kind); 14] = [
    ("tenant_id", Kind::Text),
    ("batch_id", Kind::Text),
    ("fingerprint", Kind::Text),
    ("state", Kind::Text),
    ("revision", Kind::Int),
    ("epoch", Kind::Int),
    ("from_epoch", Kind::Int),
    ("targets", Kind::Text),
    ("cases", Kind::Text),
    ("open_push", Kind::Text),
    ("doubt_since", Kind::Int),
    ("late_since", Kind::Int),
    ("settled_at", Kind::Int),
    ("lease_until", Kind::Int),
];

#[derive(Serialize)]
struct BatchRow<'a> {
    tenant_id: &'a str,
    batch_id: &'a str,
    fingerprint: &'a str,
    state: &'static str,
    revision: u32,
    epoch: u64,
    from_epoch: u64,
    targets: String,
    cases: String,
    open_push: Option<String>,
    doubt_since: Option<i64>,
    late_since: Option<i64>,
    settled_at: Option<i64>,
    lease_until: Option<i64>,
}

impl<'a> BatchRow<'a> {
    fn of(revised: &'a Revised, lease_until: Option<i64>) -> Self {
        let record = &revised.record;
        Self {
            tenant_id: record.key.tenant.as_str(),
            batch_id: record.key.batch.as_str(),
            fingerprint: &record.fingerprint,
            state: record.state.name(),
            revision: record.revision,
            epoch: record.epoch,
            from_epoch: revised.from_epoch,
            targets: text(&record.targets),
            cases: text(&record.cases),
            open_push: record.open_push.as_ref().map(text),
            doubt_since: record.doubt_since,
            late_since: record.late_since,
            settled_at: record.settled_at,
            lease_until,
        }
    }
}

fn text(of: &impl Serialize) -> String {
    serde_json::to_string(of).unwrap_or_default()
}

async fn store_claims(conn: &mut AnyConnection, now: i64, claims: &[Granted<'_>]) -> Result<(), StoreError> {
    if claims.is_empty() {
        return Ok(());
    }
    let mut batches = Vec::new();
    for granted in claims {
        let until = Some(granted.lease_until(now));
        batches.extend(granted.batches.iter().map(|revised| BatchRow::of(revised, until)));
    }
    let sql = format!(
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, claimed_at, lease_until, first_seen_at, settled_at) \
         SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, $2, lease_until, $2, settled_at FROM {} WHERE true \
         ON CONFLICT (tenant_id, batch_id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, \
         fingerprint = CASE WHEN batches.epoch = 0 THEN excluded.fingerprint ELSE batches.fingerprint END, \
         first_seen_at = CASE WHEN batches.epoch = 0 THEN excluded.first_seen_at ELSE batches.first_seen_at END, \
         targets = excluded.targets, cases = excluded.cases, open_push = excluded.open_push, \
         doubt_since = excluded.doubt_since, claimed_at = excluded.claimed_at, lease_until = excluded.lease_until",
        Dialect::of(conn).rows(&BATCH_COLUMNS)
    );
    sql::execute(conn, sql, vec![Bound::from(batches.as_slice()), Bound::Int(now)]).await?;
    store_pushes(conn, now, claims).await
}

async fn store_pushes(conn: &mut AnyConnection, now: i64, claims: &[Granted<'_>]) -> Result<(), StoreError> {
    let names =
        |granted: &Granted<'_>| -> Vec<String> { granted.batches.iter().map(|b| b.record.key.to_string()).collect() };
    let pushes: Vec<Value> = claims
        .iter()
        .filter_map(|granted| {
            let claim = granted.claim;
            // Its batches can go to several folders; each record has its own.
            let target = granted.batches.first()?.record.target()?;
            Some(json!({"push_id": claim.push, "account": claim.account, "project_id": target.project,
                        "folder_id": target.folder, "tenant_id": claim.tenant.as_str(),
                        "connection": claim.connection, "batches": json!(names(granted)).to_string(),
                        "cases": granted.cases(), "holder": claim.holder, "lease_until": granted.lease_until(now)}))
        })
        .collect();
    let columns = [
        ("push_id", Kind::Text),
        ("account", Kind::Text),
        ("project_id", Kind::Int),
        ("folder_id", Kind::Int),
        ("tenant_id", Kind::Text),
        ("connection", Kind::Text),
        ("batches", Kind::Text),
        ("cases", Kind::Int),
        ("holder", Kind::Text),
        ("lease_until", Kind::Int),
    ];
    let sql = format!(
        "INSERT INTO pushes (push_id, account, project_id, folder_id, tenant_id, connection, batches, cases, holder, \
         lease_until, claimed_at) SELECT push_id, account, project_id, folder_id, tenant_id, connection, batches, \
         cases, holder, lease_until, $2 FROM {}",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(pushes.as_slice()), Bound::Int(now)]).await?;
    let part = |granted: &Granted<'_>, key: &BatchKey| json!({"tenant_id": key.tenant.as_str(), "batch_id": key.batch.as_str(), "push_id": granted.claim.push});
    let parts: Vec<Value> = claims
        .iter()
        .flat_map(|granted| granted.batches.iter().map(|revised| part(granted, &revised.record.key)))
        .collect();
    let columns = [("tenant_id", Kind::Text), ("batch_id", Kind::Text), ("push_id", Kind::Text)];
    let sql = format!(
        "INSERT INTO push_parts (tenant_id, batch_id, push_id) SELECT tenant_id, batch_id, push_id FROM {}",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(parts.as_slice())]).await?;
    Ok(())
}

/// Stores every change whose record is where it started from.
pub(super) async fn change(conn: &mut AnyConnection, now: i64, changes: &[Change]) -> Result<Vec<Changed>, StoreError> {
    let mut held = Vec::with_capacity(changes.len());
    for change in changes {
        held.push(match &change.by_hand {
            Some(by_hand) => shelf::hold(conn, now, by_hand).await?,
            None => true,
        });
    }
    let possible: Vec<&Change> = changes.iter().zip(&held).filter(|(_, held)| **held).map(|(c, _)| c).collect();
    let moved = store_batches(conn, now, &possible).await?;
    let done = |change: &&Change| change.batch.as_ref().is_none_or(|b| moved.contains(&b.record.key));
    let stored: Vec<&Change> = possible.into_iter().filter(done).collect();
    store_ends(conn, now, stored.iter().filter_map(|c| c.ended.as_ref()).collect()).await?;
    // Before anything leaves the shelf, as it counts what had waited for a connection.
    note_successes(conn, now, stored.iter().filter_map(|c| c.success.as_ref()).collect()).await?;
    for (id, generation) in stored.iter().filter_map(|c| c.unshelve).collect::<BTreeSet<_>>() {
        shelf::remove(conn, id, generation).await?;
    }
    for by_hand in stored.iter().filter_map(|c| c.by_hand.as_ref()) {
        shelf::handle(conn, now, by_hand).await?;
    }
    for shelving in stored.iter().filter_map(|c| c.shelve.as_ref()) {
        shelf::put(conn, now, shelving).await?;
    }
    outbox::put(conn, now, stored.iter().flat_map(|c| &c.events).collect()).await?;
    hear(conn, now, changes).await?;
    let answer =
        |(change, held): (&Change, &bool)| if *held && done(&change) { Changed::Done } else { Changed::Fenced };
    Ok(changes.iter().zip(&held).map(answer).collect())
}

/// Takes in what requests told of their accounts, also where the rest of a change is not stored.
async fn hear(conn: &mut AnyConnection, now: i64, changes: &[Change]) -> Result<(), StoreError> {
    let heard: Vec<&Heard> = changes.iter().filter_map(|change| change.heard.as_ref()).collect();
    if heard.is_empty() {
        return Ok(());
    }
    let mut known = Known::load(conn, now, heard.iter().map(|heard| heard.account.as_str()).collect()).await?;
    heard.into_iter().for_each(|heard| known.hear(heard));
    known.store(conn).await
}

/// Gives the keys whose stored epoch was the expected one.
async fn store_batches(
    conn: &mut AnyConnection,
    now: i64,
    changes: &[&Change],
) -> Result<HashSet<BatchKey>, StoreError> {
    let mut seen = HashSet::new();
    // Two changes of one batch in one group cannot both start from the stored epoch: the first one wins.
    let first = |revised: &&Revised| seen.insert(revised.record.key.clone());
    let revised = changes.iter().filter_map(|c| c.batch.as_ref()).filter(first);
    let (new, known): (Vec<&Revised>, Vec<&Revised>) = revised.partition(|revised| revised.from_epoch == 0);
    let mut moved = HashSet::new();
    if !known.is_empty() {
        let sql = format!(
            "UPDATE batches SET state = r.state, revision = r.revision, epoch = r.epoch, targets = r.targets, \
             cases = r.cases, open_push = r.open_push, doubt_since = r.doubt_since, late_since = r.late_since, \
             settled_at = r.settled_at \
             FROM {} WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id \
             AND batches.epoch = r.from_epoch RETURNING batches.tenant_id, batches.batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let rows: Vec<BatchRow<'_>> = known.into_iter().map(|revised| BatchRow::of(revised, None)).collect();
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        moved = rows.iter().map(key_of).collect::<Result<_, _>>()?;
    }
    if !new.is_empty() {
        let sql = format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
             open_push, doubt_since, first_seen_at, settled_at) \
             SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
             doubt_since, $2, settled_at FROM {} WHERE true \
             ON CONFLICT (tenant_id, batch_id) DO UPDATE SET fingerprint = excluded.fingerprint, \
             state = excluded.state, revision = excluded.revision, epoch = excluded.epoch, \
             targets = excluded.targets, cases = excluded.cases, open_push = excluded.open_push, \
             doubt_since = excluded.doubt_since, first_seen_at = excluded.first_seen_at, \
             settled_at = excluded.settled_at WHERE batches.epoch = 0 RETURNING tenant_id, batch_id",
            Dialect::of(conn).rows(&BATCH_COLUMNS)
        );
        let rows: Vec<BatchRow<'_>> = new.into_iter().map(|revised| BatchRow::of(revised, None)).collect();
        let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
        for row in &rows {
            moved.insert(key_of(row)?);
        }
    }
    Ok(moved)
}

async fn store_ends(conn: &mut AnyConnection, now: i64, ends: Vec<&PushEnded>) -> Result<(), StoreError> {
    let row = |end: &PushEnded| {
        json!({"push_id": end.push, "answer": end.answer,
               "first_id": end.ids.map(|ids| ids.0), "last_id": end.ids.map(|ids| ids.1)})
    };
    // Each batch of a push tells of its end.
    let mut of_pushes: BTreeMap<&str, PushEnded> = BTreeMap::new();
    for end in ends {
        let ids = of_pushes.get(end.push.as_str()).and_then(|before| before.ids);
        of_pushes.insert(&end.push, PushEnded { ids: around(ids, end.ids), ..end.clone() });
    }
    let rows: Vec<Value> = of_pushes.values().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [("push_id", Kind::Text), ("answer", Kind::Text), ("first_id", Kind::Int), ("last_id", Kind::Int)];
    let sql = format!(
        "UPDATE pushes SET answer = CASE WHEN r.answer = 'adopted' THEN COALESCE(pushes.answer || ', ', '') || r.answer \
         ELSE r.answer END, ended_at = $2, \
         first_id = CASE WHEN r.first_id < COALESCE(pushes.first_id, r.first_id + 1) THEN r.first_id \
         ELSE pushes.first_id END, \
         last_id = CASE WHEN r.last_id > COALESCE(pushes.last_id, r.last_id - 1) THEN r.last_id \
         ELSE pushes.last_id END FROM {} WHERE pushes.push_id = r.push_id",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    Ok(())
}

/// The first and last of the ids of two spans: a look finds a push's rows batch by batch, in any order.
fn around(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (ids, None) | (None, ids) => ids,
    }
}

/// A success is noted at most so often, so that replicas do not wait for each other over it.
const SUCCESS_GRAIN_MS: i64 = 1_000;

async fn note_successes(conn: &mut AnyConnection, now: i64, tenants: HashSet<&TenantId>) -> Result<(), StoreError> {
    if tenants.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t.as_str()})).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "UPDATE connections SET last_success_at = $2 FROM (SELECT c.tenant_id AS due FROM connections c \
         JOIN {} ON c.tenant_id = r.tenant WHERE c.last_success_at IS NULL OR c.last_success_at <= $3 \
         OR c.rechecks > 0 {}) AS d WHERE tenant_id = due RETURNING tenant_id, rechecks",
        dialect.rows(&[("tenant", Kind::Text)]),
        dialect.skip_taken()
    );
    let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(now), Bound::Int(now - SUCCESS_GRAIN_MS)];
    let noted = sql::fetch(conn, sql, bounds).await?;
    let on_trial = noted.iter().filter(|row| row.int("rechecks").is_ok_and(|fails| fails > 0));
    let on_trial: Vec<TenantId> = on_trial.map(|row| row.parsed("tenant_id")).collect::<Result<_, _>>()?;
    connections::proven(conn, now, &on_trial).await
}

async fn load(conn: &mut AnyConnection, keys: HashSet<&BatchKey>) -> Result<HashMap<BatchKey, Stored>, StoreError> {
    let rows: Vec<Value> =
        keys.into_iter().map(|k| json!({"tenant": k.tenant.as_str(), "batch": k.batch.as_str()})).collect();
    let sql = format!(
        "SELECT b.* FROM {} JOIN batches b ON b.tenant_id = r.tenant AND b.batch_id = r.batch WHERE b.epoch > 0",
        Dialect::of(conn).rows(&[("tenant", Kind::Text), ("batch", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    rows.iter().map(|row| stored(row).map(|s| (s.record.key.clone(), s))).collect()
}

fn key_of(row: &AnyRow) -> Result<BatchKey, StoreError> {
    let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
    let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
    Ok(BatchKey::new(tenant, batch))
}

pub(super) fn stored(row: &AnyRow) -> Result<Stored, StoreError> {
    let open_push = row.maybe_text("open_push")?;
    let open_push = open_push
        .map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("open_push")))
        .transpose()?;
    let record = BatchRecord {
        key: key_of(row)?,
        fingerprint: row.text("fingerprint")?,
        state: row.parsed("state")?,
        revision: row.whole("revision")?,
        epoch: row.whole("epoch")?,
        targets: row.json("targets")?,
        cases: row.json("cases")?,
        open_push,
        doubt_since: row.maybe_int("doubt_since")?,
        late_since: row.maybe_int("late_since")?,
        first_seen_at: row.int("first_seen_at")?,
        settled_at: row.maybe_int("settled_at")?,
    };
    Ok(Stored { record, claimed_at: row.maybe_int("claimed_at")?, lease_until: row.maybe_int("lease_until")? })
}
