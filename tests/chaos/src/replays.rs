//! Reads who carries replays out and what became of them, from the store and from the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::{AnyConnection, Connection, Row};
use testmo_courier::store::replays::{ItemFilter, ReplayItem, ReplayRow};
use tokio::time::timeout;

use crate::stage::Stage;

/// How long the store may take to name the holder of a replay.
const LONGEST_QUESTION: Duration = Duration::from_millis(500);
/// More replays, or entries of one, than any plan has.
const ALL: u32 = 10_000;

/// Every replay, in the order in which they were planned.
pub(crate) struct Replays(pub(crate) Vec<Replay>);

/// A replay with everything that is known of it.
pub(crate) struct Replay {
    pub(crate) row: ReplayRow,
    pub(crate) items: Vec<ReplayItem>,
    /// The part of each entry, by its place.
    pub(crate) parts: BTreeMap<u64, i64>,
    /// What `replays show` prints.
    pub(crate) shown: Value,
    /// What `replays show --batches` prints.
    pub(crate) listed: Vec<Value>,
}

impl Replays {
    pub(crate) async fn of(stage: &Stage) -> anyhow::Result<Self> {
        let [person, ..] = &stage.persons;
        let mut replays = Vec::new();
        for row in stage.store.replays(None, None, ALL).await? {
            let items = stage.store.replay_items(row.id, &ItemFilter::default(), ALL).await?;
            let parts = parts(&stage.store_url, row.id.0).await?;
            let id = row.id.to_string();
            let shown = person.read(&["replays", "show", &id]).await?;
            let listed = person.list(&["replays", "show", &id, "--batches", "--limit", "10000"]).await?;
            replays.push(Replay { row, items, parts, shown, listed });
        }
        replays.reverse();
        Ok(Self(replays))
    }

    /// Returns the entries of a batch that replays have started, each with the number of its replay.
    pub(crate) fn starts(&self, subject: &str) -> Vec<(i64, &ReplayItem)> {
        let items = self.0.iter().flat_map(|replay| replay.items.iter().map(|item| (replay.row.id.0, item)));
        items.filter(|(_, item)| item.started_at.is_some() && subject_of(item) == subject).collect()
    }
}

async fn parts(store_url: &str, replay: i64) -> anyhow::Result<BTreeMap<u64, i64>> {
    let mut conn = AnyConnection::connect(store_url).await?;
    let sql = "SELECT place, part FROM replay_items WHERE replay = $1";
    let rows = sqlx::query(sql).bind(replay).fetch_all(&mut conn).await?;
    conn.close().await?;
    let part = |row: &sqlx::any::AnyRow| Ok((u64::try_from(row.try_get::<i64, _>("place")?)?, row.try_get("part")?));
    rows.iter().map(part).collect()
}

/// Returns the process that has batches of a replay under way; `None` if there is none, or the store does not answer: faults
/// go on meanwhile, so it is not waited for.
pub(crate) async fn holder(store_url: &str) -> Option<u32> {
    timeout(LONGEST_QUESTION, ask_holder(store_url)).await.ok()?
}

async fn ask_holder(store_url: &str) -> Option<u32> {
    let mut conn = AnyConnection::connect(store_url).await.ok()?;
    let sql = "SELECT p.holder AS holder FROM replays p WHERE p.state = 'running' AND p.holder IS NOT NULL \
               AND EXISTS (SELECT 1 FROM replay_items i WHERE i.replay = p.id AND i.state = 'started') ORDER BY p.id LIMIT 1";
    let found = sqlx::query(sql).fetch_optional(&mut conn).await;
    drop(conn.close().await);
    let holder: String = found.ok()??.try_get("holder").ok()?;
    // A worker is named by its process and a random number.
    holder.split('-').next()?.parse().ok()
}

/// Names the batch of an entry.
pub(crate) fn subject_of(item: &ReplayItem) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".into());
    format!("{}/{}", part(&item.tenant), part(&item.batch))
}
