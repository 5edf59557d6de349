//! Checks whether edits by people were overwritten: after a batch has written cases whose histories Testmo shows, the histories
//! are read again. What was overwritten is reported; nothing is written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::side_by_side::{Items, work_on_due};
use crate::batch::event::{MOST_EDITS, edits_overwritten};
use crate::batch::generation::{DueWindow, Overwritten, Windows, due_windows, overwritten};
use crate::batch::ledger::BatchRecord;
use crate::batch::verdict::answer::ApiError;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::connections::ConnectionRow;
use crate::store::history::{Happening, HistoryEntry, redacted};
use crate::store::ledger::{Commit, WindowStep};
use crate::store::windows::DueWindows;
use crate::testmo::{Access, CHANGED_LAST_FIRST, ReadPermits, Shows};
use crate::trace::{Scope, TraceContext, logged, within};
use crate::worker::context::WorkerContext;
use crate::worker::model::PushFeedback;
use crate::worker::outcome::commit::commit;
use crate::worker::permit::{PagePermits, report_failed_read};

/// The most pages that are read for 100 cases: what was changed last comes first.
const MOST_PAGES: u64 = 4;
/// How many cases a page has.
const PAGE: usize = 100;

/// Rows by their ids.
type Rows = BTreeMap<u64, Map<String, Value>>;

/// Checks what batches have written, until `stop`.
pub(in crate::worker) async fn check_overwritten_edits(context: Arc<WorkerContext>, stop: CancellationToken) {
    let every = Every::new(context.config.shelf.poll_interval, stop);
    // A check that fails is due again after its lease.
    let lease = context.config.testmo.lease();
    let items = Items { task: Task::OverwrittenEdits, limit: lease * 9 / 10 };
    let check = EditCheck { context: context.clone() };
    let take = |most| context.store.take_windows(lease, most);
    let name = |due: &DueWindows| due.batch.to_string();
    work_on_due(&context, items, every, take, name, |due| check.check(due)).await;
}

struct EditCheck {
    context: Arc<WorkerContext>,
}

impl EditCheck {
    async fn check(&self, due: DueWindows) -> Result<(), StoreError> {
        may_panic("overwritten_edits", &due.batch);
        let (Some(stored), _) = self.context.store.batch_at(&due.batch).await? else {
            return self.end(&due, Commit::default()).await;
        };
        let Some(row) = self.context.store.connection(&due.batch.tenant).await? else {
            return self.end(&due, Commit::default()).await;
        };
        let claims = due.claims.iter().filter_map(|(_, body)| Windows::read(body));
        let windows = due_windows(claims.filter(|claim| claim.account == row.origin && claim.project == row.project));
        if windows.is_empty() {
            return self.end(&due, Commit::default()).await;
        }
        let trace = stored.record.trace.as_ref();
        let Some(rows) = within(Scope::of([trace]), self.rows(&row, &windows)).await? else {
            if self.is_too_old(&due) {
                tracing::warn!(batch = %due.batch, trace_id = logged(trace), "the check for overwritten edits failed for too long and is not tried again");
                return self.end(&due, Commit::default()).await;
            }
            return Ok(());
        };
        let edits = found(&stored.record, &row.origin, &windows, &rows);
        let change = if edits.is_empty() { Commit::default() } else { self.report(&due, &stored.record, &row, &edits) };
        self.end(&due, change).await?;
        self.count(&due, trace, &edits);
        Ok(())
    }

    /// Removes what was kept for the check, with a change.
    async fn end(&self, due: &DueWindows, change: Commit) -> Result<(), StoreError> {
        let claims = due.claims.iter().map(|(epoch, _)| (*epoch, None)).collect();
        let window = Some(WindowStep { batch: due.batch.clone(), claims });
        commit(&self.context, Commit { window, ..change }).await.map(drop)
    }

    fn report(&self, due: &DueWindows, record: &BatchRecord, row: &ConnectionRow, edits: &[Overwritten]) -> Commit {
        let now = self.context.store.now();
        let epochs: Vec<String> = due.claims.iter().map(|(epoch, _)| epoch.to_string()).collect();
        let event = edits_overwritten(record, (row.origin.as_str(), row.project), edits, &epochs.join(" "), now);
        let kept = Happening::Overwritten(edits.iter().take(MOST_EDITS).cloned().collect());
        let history = vec![HistoryEntry::once(kept, now, None)];
        Commit { events: vec![event], history, ..Commit::default() }
    }

    fn count(&self, due: &DueWindows, trace: Option<&TraceContext>, edits: &[Overwritten]) {
        for edit in edits {
            let certainty = if edit.is_certain { "certain" } else { "possible" };
            self.context.metrics.overwritten_edits.with_label_values(&[certainty]).inc();
        }
        if !edits.is_empty() {
            tracing::warn!(batch = %due.batch, trace_id = logged(trace), edits = edits.len(), "edits by people were overwritten, or may have been");
        }
    }

    /// Returns the rows of cases, as far as they are found; `None` where they cannot be read now.
    async fn rows(&self, row: &ConnectionRow, windows: &[DueWindow]) -> Result<Option<Rows>, StoreError> {
        if !row.is_verified() {
            return Ok(None);
        }
        self.context.tenants.learn_key_of(row).await?;
        let Ok(access) = self.context.tenants.access(row) else { return Ok(None) };
        let ids: HashSet<u64> = windows.iter().map(|window| window.case.id).collect();
        self.read(row, &access, &ids).await
    }

    async fn read(&self, row: &ConnectionRow, access: &Access, ids: &HashSet<u64>) -> Result<Option<Rows>, StoreError> {
        // No lane waits for what this shows of the account.
        let mut feedback = PushFeedback::default();
        let mut permits = PagePermits::new(&self.context, access, &row.tenant, &mut feedback);
        let most = MOST_PAGES * u64::try_from(ids.len().div_ceil(PAGE)).unwrap_or(1);
        let (mut order, mut page, mut rows) = (CHANGED_LAST_FIRST, 1, Rows::new());
        loop {
            if let Err(refused) = permits.next().await {
                return refused.map(|_| None);
            }
            match self.context.client.shown_cases(access, row.project, Shows::Edits, order, page).await {
                Ok(shown) => {
                    let wanted = shown.cases.into_iter().filter(|case| ids.contains(&case.id));
                    rows.extend(wanted.map(|case| (case.id, case.fields)));
                    match shown.next_page {
                        Some(next) if rows.len() < ids.len() && next <= most => page = next,
                        Some(_) | None => return Ok(Some(rows)),
                    }
                }
                Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) if !order.is_empty() => (order, page) = ("", 1),
                // Histories cannot be read here any more.
                Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) => return Ok(Some(rows)),
                Err(error) => {
                    tracing::info!(tenant = %row.tenant, %error, "histories of cases cannot be read now");
                    report_failed_read(&self.context, access, &error).await?;
                    return Ok(None);
                }
            }
        }
    }

    /// Returns whether Testmo could not be read for as long as a batch may fail.
    fn is_too_old(&self, due: &DueWindows) -> bool {
        let waited = u64::try_from(self.context.store.now() - due.since).unwrap_or(0);
        Duration::from_millis(waited) > self.context.live.retry().give_up_after
    }
}

/// Returns what was overwritten, without secrets.
fn found(record: &BatchRecord, account: &str, windows: &[DueWindow], rows: &Rows) -> Vec<Overwritten> {
    let of_window = |window: &DueWindow| {
        let id = window.case.id;
        rows.get(&id).map(|row| overwritten(window, record.has_changed(account, id), row)).unwrap_or_default()
    };
    let shown = |edit: Overwritten| Overwritten {
        written: redacted(&edit.written),
        lost: edit.lost.as_deref().map(redacted),
        entry: edit.entry.as_deref().map(redacted),
        ..edit
    };
    windows.iter().flat_map(of_window).map(shown).collect()
}
