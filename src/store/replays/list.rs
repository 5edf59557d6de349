//! Lists replays, their parts and their entries.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Conditions, Dialect};
use super::super::{Store, StoreError};
use super::lease::part;
use super::{PartProgress, ReplayId, ReplayState};
use crate::store::shelf::ShelfId;

/// A replay as it is listed; times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayRow {
    /// Its number.
    pub id: ReplayId,
    /// Counts what people and the worker have changed about its state.
    pub epoch: i64,
    /// How far it has come; `None` for a state that this version does not know.
    pub state: Option<ReplayState>,
    /// What a person calls it.
    pub name: Option<String>,
    /// Why a person replays.
    pub reason: Option<String>,
    /// What was selected, in words.
    pub selection: String,
    /// Who planned it.
    pub owner: String,
    /// How many batches may be started in a minute.
    pub per_minute: Option<u32>,
    /// How many batches are covered at most.
    pub most: Option<u32>,
    /// Whether what would be refused again is tried, too.
    pub unchanged_too: bool,
    /// Why it is in its state.
    pub why: Option<String>,
    /// The summary of its plan, as JSON.
    pub summary: Option<String>,
    /// When its plan began.
    pub created_at: i64,
    /// When it was first started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// An entry of a replay; times are milliseconds on the store's clock. Words that a newer version wrote are kept as they
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayItem {
    /// Its place.
    pub place: u64,
    /// The entry of the shelf.
    pub entry: ShelfId,
    /// Whose it is, as far as known.
    pub tenant: Option<String>,
    /// The batch, as far as known.
    pub batch: Option<String>,
    /// Why it was on the shelf.
    pub reason: String,
    /// How many cases were missing.
    pub cases: u64,
    /// What was expected.
    pub forecast: String,
    /// Why.
    pub detail: Option<String>,
    /// `waiting`, `started`, `ended` or `counted`.
    pub state: String,
    /// What became of it.
    pub outcome: Option<String>,
    /// Why it is on the shelf again.
    pub outcome_reason: Option<String>,
    /// More about that.
    pub outcome_detail: Option<String>,
    /// When it was started.
    pub started_at: Option<i64>,
    /// When its outcome was stored.
    pub ended_at: Option<i64>,
}

/// Which entries of a replay are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemFilter {
    /// Those with this outcome.
    pub outcome: Option<String>,
    /// Those behind this place.
    pub after: Option<u64>,
}

/// The statement that reads the newest replays before one, in a state.
pub(in crate::store) fn page_statement(
    state: Option<ReplayState>,
    before: Option<ReplayId>,
    most: u32,
) -> (String, Vec<Bound>) {
    let mut conditions = Conditions::default()
        .maybe("state =", state.map(|state| Bound::Text(state.name().into())))
        .maybe("id <", before.map(|id| Bound::Int(id.0)));
    let limit = conditions.parameter(Bound::Int(most.into()));
    let sql = format!("SELECT * FROM replays {} ORDER BY id DESC LIMIT {limit}", conditions.clause());
    (sql, conditions.into_parameters())
}

/// The statement that reads entries of a replay in their order.
pub(in crate::store) fn items_statement(
    dialect: Dialect,
    replay: ReplayId,
    filter: &ItemFilter,
    most: u32,
) -> (String, Vec<Bound>) {
    let after = filter.after.map(|place| Bound::Int(i64::try_from(place).unwrap_or(i64::MAX)));
    let mut conditions = Conditions::default()
        .maybe("replay =", Some(Bound::Int(replay.0)))
        .maybe("outcome =", filter.outcome.clone().map(Bound::Text))
        .maybe("place >", after);
    let limit = conditions.parameter(Bound::Int(most.into()));
    let index = filter.outcome.as_ref().map(|_| dialect.by_index("replay_items_by_outcome")).unwrap_or_default();
    let sql = format!("SELECT * FROM replay_items {index} {} ORDER BY place LIMIT {limit}", conditions.clause());
    (sql, conditions.into_parameters())
}

/// Counts the entries of the replay `$1` by outcome.
pub(in crate::store) const OUTCOMES: &str = "SELECT outcome, COUNT(*) AS n FROM replay_items \
    WHERE replay = $1 AND outcome IS NOT NULL GROUP BY outcome ORDER BY outcome";

impl Store {
    /// Returns up to `most` replays with lower numbers than `before`, the newest first, in a state if one is given.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replays(
        &self,
        state: Option<ReplayState>,
        before: Option<ReplayId>,
        most: u32,
    ) -> Result<Vec<ReplayRow>, StoreError> {
        let (sql, bounds) = page_statement(state, before, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(read).collect()
    }

    /// Returns a replay.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replay(&self, id: ReplayId) -> Result<Option<ReplayRow>, StoreError> {
        let sql = "SELECT * FROM replays WHERE id = $1";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Int(id.0)]).await?;
        rows.first().map(read).transpose()
    }

    /// Returns up to `most` parts of a replay behind one, in their order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replay_parts(
        &self,
        replay: ReplayId,
        after: Option<u32>,
        most: u32,
    ) -> Result<Vec<PartProgress>, StoreError> {
        let sql = "SELECT * FROM replay_parts WHERE replay = $1 AND part > $2 ORDER BY part LIMIT $3";
        let after = after.map_or(-1, i64::from);
        let bounds = vec![Bound::Int(replay.0), Bound::Int(after), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(part).collect()
    }

    /// Returns up to `most` entries of a replay, in their order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replay_items(
        &self,
        replay: ReplayId,
        filter: &ItemFilter,
        most: u32,
    ) -> Result<Vec<ReplayItem>, StoreError> {
        let mut conn = self.reading().await?;
        let (sql, bounds) = items_statement(Dialect::of(&conn), replay, filter, most);
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        rows.iter().map(item).collect()
    }

    /// Counts the entries of a replay by outcome, as stored words.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replay_outcomes(&self, replay: ReplayId) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, OUTCOMES, vec![Bound::Int(replay.0)]).await?;
        rows.iter().map(|row| Ok((row.text("outcome")?, row.whole("n")?))).collect()
    }
}

fn read(row: &AnyRow) -> Result<ReplayRow, StoreError> {
    Ok(ReplayRow {
        id: ReplayId(row.int("id")?),
        epoch: row.int("epoch")?,
        state: row.text("state")?.parse().ok(),
        name: row.maybe_text("name")?,
        reason: row.maybe_text("reason")?,
        selection: row.text("selection")?,
        owner: row.text("owner")?,
        per_minute: row.maybe_whole("per_minute")?,
        most: row.maybe_whole("most")?,
        unchanged_too: row.int("unchanged_too")? != 0,
        why: row.maybe_text("why")?,
        summary: row.maybe_text("summary")?,
        created_at: row.int("created_at")?,
        started_at: row.maybe_int("started_at")?,
        ended_at: row.maybe_int("ended_at")?,
    })
}

fn item(row: &AnyRow) -> Result<ReplayItem, StoreError> {
    Ok(ReplayItem {
        place: row.whole("place")?,
        entry: ShelfId(row.int("entry")?),
        tenant: row.maybe_text("tenant_id")?,
        batch: row.maybe_text("batch_id")?,
        reason: row.text("reason")?,
        cases: row.whole("cases")?,
        forecast: row.text("forecast")?,
        detail: row.maybe_text("detail")?,
        state: row.text("state")?,
        outcome: row.maybe_text("outcome")?,
        outcome_reason: row.maybe_text("outcome_reason")?,
        outcome_detail: row.maybe_text("outcome_detail")?,
        started_at: row.maybe_int("started_at")?,
        ended_at: row.maybe_int("ended_at")?,
    })
}
