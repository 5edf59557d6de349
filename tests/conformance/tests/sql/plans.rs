//! Checks how SQLite carries out each statement that a case makes it execute: with the rows that a busy worker has, none
//! may read a table, or everything in one state, to find a few rows.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use sqlx::{AssertSqlSafe, Row};
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber, span};

use super::stores::connect;

/// The statements that are executed on this thread until it is dropped, which checks them.
pub(crate) struct Plans {
    url: String,
    statements: Arc<Mutex<BTreeSet<String>>>,
    _guard: DefaultGuard,
}

impl Plans {
    /// Notes the statements that this thread executes from now on, to check them on the store at `url`.
    pub(crate) fn of(url: String) -> Self {
        let statements = Arc::new(Mutex::new(BTreeSet::new()));
        let guard = tracing::subscriber::set_default(Notes(Arc::clone(&statements)));
        Self { url, statements, _guard: guard }
    }

    /// Returns the statements that were executed so far.
    pub(crate) fn statements(&self) -> BTreeSet<String> {
        self.statements.lock().unwrap().clone()
    }
}

impl Drop for Plans {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (url, statements) = (self.url.clone(), std::mem::take(&mut *self.statements.lock().unwrap()));
        let check = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(wasteful(&url, statements))
        };
        let found = std::thread::spawn(check).join().unwrap();
        assert!(found.is_empty(), "{found}");
    }
}

/// Describes the statements that read more than they need.
async fn wasteful(url: &str, statements: BTreeSet<String>) -> String {
    let mut conn = connect(url).await;
    let mut found = String::new();
    for sql in statements {
        let is_planned = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| sql.starts_with(verb));
        if !is_planned {
            continue;
        }
        let explained = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(AssertSqlSafe(explained)).fetch_all(&mut conn).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        if steps.iter().any(|step| is_wasteful(&sql, step)) {
            write!(found, "{sql}\n  {}\n", steps.join("\n  ")).unwrap();
        }
    }
    found
}

/// Tables that grow with the work, with the names that statements give them.
const GROWING: &[&str] = &[
    "shelf",
    "s",
    "batches",
    "b",
    "outbox",
    "o",
    "pushes",
    "push_parts",
    "written_cases",
    "sources",
    "former_values",
    "write_windows",
    "f",
    "undos",
    "undo_items",
    "w",
    "audit",
    "batch_history",
    "h",
    "discarded",
    "d",
    "answered_requests",
    "tenant_links",
    "tokens",
    "sessions",
    "search",
];

/// Tables with many rows of one replay.
const OF_REPLAYS: &[&str] = &["replay_items", "i"];

/// An index of the few pushes that are under way.
const FEW: &str = "pushes_under_way";

/// Returns whether a step of a plan reads more rows the more a store has. Reading along an index up to a limit is fine.
fn is_wasteful(sql: &str, step: &str) -> bool {
    let mut words = step.split(' ');
    let is_read_whole = words.next() == Some("SCAN") && words.next().is_some_and(|table| GROWING.contains(&table));
    let is_limited = step.contains(FEW) || step.contains(" INDEX ") && sql.contains(" LIMIT ");
    let is_in_order = sql.starts_with("WITH RECURSIVE ") || sql.contains(" ORDER BY arrived_at");
    is_read_whole && !is_limited || step.ends_with("(state=?)") && !is_in_order || reads_whole_replay(sql, step)
}

/// Returns whether a step reads all rows of a replay to find those with a state, an outcome or an entry.
fn reads_whole_replay(sql: &str, step: &str) -> bool {
    let of_replay = OF_REPLAYS.iter().any(|table| step == format!("SEARCH {table} USING PRIMARY KEY (replay=?)"));
    let is_narrower = ["state =", "outcome =", "entry ="]
        .iter()
        .any(|narrower| sql.split_once(" WHERE ").is_some_and(|(_, conditions)| conditions.contains(narrower)));
    of_replay && is_narrower
}

struct Notes(Arc<Mutex<BTreeSet<String>>>);

impl Visit for &Notes {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            self.0.lock().unwrap().insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.fields().field("sql").is_some()
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut &*self);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}
