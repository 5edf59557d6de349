//! Carries out an undo: reads rows, stores what is about to be done with them, sends the requests, and stores how they ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::caller::Caller;
use super::error::UndoError;
use super::journal::Journal;
use super::requests::{Planned, Request, requests};
use super::sources::Sources;
use super::subject::Subject;
use super::sweep::Sweep;
use super::window::Window;
use crate::app::case_pages::{PATIENCE, is_passing};
use crate::batch::generation::{Resend, WindowCase};
use crate::batch::undo::{Intent, ItemState, Undo, UndoItem};
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::{UpdateFailure, after_failed_update};
use crate::config;
use crate::store::written::SourceOutcome;
use crate::testmo::{ShownCase, ShownPage, WINDOW, update_body};

/// How often requests may fail in a row before the command ends.
pub(super) const MOST_FAILURES: usize = 4;

/// For how long requests may be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// From its claim.
    pub(super) lease: Duration,
    /// From when its answer was lost.
    pub(super) settling: Duration,
}

/// What an undo works with.
pub(super) struct Run<'a> {
    pub(super) subject: &'a Subject,
    pub(super) caller: Caller<'a>,
    /// The sources of the cases; without them nothing is sent.
    sources: Option<Sources<'a>>,
    /// What an undo did, by the ids of the rows, if that is taken back.
    pub(super) base: BTreeMap<u64, UndoItem>,
    pub(super) pacing: Pacing,
    /// What was learned from refused requests.
    pub(super) resend: Resend,
    failures: usize,
}

/// Why a run ends before everything is done. What was done is stored, and the same command goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Why.
    pub why: String,
    /// After how long it can go on.
    pub wait: Duration,
}

/// How a request ended.
enum End {
    /// It is known what became of it.
    Known,
    /// It may have been carried out.
    Unclear(String),
    /// Nothing was sent, or nothing more can be sent.
    Stop(String),
}

impl Pacing {
    pub(super) fn of(config: &config::Testmo) -> Self {
        Self { lease: config.lease(), settling: config.reconcile_delay_unanswered }
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(subject: &'a Subject, caller: Caller<'a>, base: Option<&Undo>, pacing: Pacing) -> Self {
        let base = base.iter().flat_map(|undo| &undo.items).map(|item| (item.id, item.clone())).collect();
        Self { subject, caller, sources: None, base, pacing, resend: Resend::default(), failures: 0 }
    }

    /// Has it send requests only while it has sources.
    #[must_use]
    pub(super) fn with(self, sources: Option<Sources<'a>>) -> Self {
        Self { sources, ..self }
    }

    /// Decides what would be done with each row, without doing it: what would be done counts as done in `undo`. Returns the
    /// ids of `others` that were seen, too.
    ///
    /// # Errors
    /// When Testmo cannot be read, or the store does not answer.
    pub(super) async fn forecast(
        &mut self,
        undo: &mut Undo,
        others: &BTreeSet<u64>,
    ) -> Result<BTreeSet<u64>, UndoError> {
        let mut sweep = self.sweep(undo);
        let mut seen = BTreeSet::new();
        while let Some((query, number)) = sweep.next() {
            let open = places(undo);
            let lowest = open.keys().next().into_iter().chain(others.difference(&seen).next()).min().copied();
            if lowest.is_none() {
                break;
            }
            let Some(page) = self.caller.page(&query, number).await? else {
                sweep.refused();
                continue;
            };
            seen.extend(page.cases.iter().map(|row| row.id).filter(|id| others.contains(id)));
            let planned = self.decided(undo, &open, &page);
            let writes: Vec<_> = planned.iter().map(|row| (row.place, row.intent.clone())).collect();
            undo.claim(&writes);
            undo.done(&planned.iter().map(|row| row.place).collect::<Vec<_>>());
            sweep.turn(&page, false, lowest);
        }
        let left: Vec<usize> = undo.open().collect();
        undo.not_found(&left, sweep.is_complete());
        for (place, creating) in self.to_create(undo) {
            undo.items[place].again = Some(Box::new(creating));
            undo.items[place].state = ItemState::Done(None);
        }
        Ok(seen)
    }

    /// Carries out what is open in the undo of a journal, until nothing is left or something stops it.
    ///
    /// # Errors
    /// When the batch was changed meanwhile, or the store does not answer.
    pub(super) async fn carry_out(&mut self, journal: &mut Journal<'_>) -> Result<Option<Interrupted>, UndoError> {
        let interrupted = match self.passes(journal).await? {
            None => self.recreate(journal).await?,
            interrupted => interrupted,
        };
        if interrupted.is_some() {
            // Another command or batch may go on at once, unless a request can still be carried out.
            let left = if journal.undo.is_writing() { self.pacing.settling } else { Duration::ZERO };
            journal.step(left).await?;
        }
        Ok(interrupted)
    }

    async fn passes(&mut self, journal: &mut Journal<'_>) -> Result<Option<Interrupted>, UndoError> {
        loop {
            if journal.undo.open().next().is_none() {
                return Ok(None);
            }
            let passed = match self.pass(journal).await {
                Err(UndoError::Paused(why) | UndoError::Failed(why)) => {
                    return Ok(Some(Interrupted { why, wait: Duration::ZERO }));
                }
                passed => passed?,
            };
            if let Some(interrupted) = passed {
                let can_wait =
                    journal.undo.is_writing() && interrupted.wait <= PATIENCE && self.failures < MOST_FAILURES;
                if !can_wait {
                    return Ok(Some(interrupted));
                }
                sleep(interrupted.wait).await;
            }
        }
    }

    /// Reads every list once. What is not found then is left, unless something stops the pass.
    async fn pass(&mut self, journal: &mut Journal<'_>) -> Result<Option<Interrupted>, UndoError> {
        let mut sweep = self.sweep(&journal.undo);
        while let Some((query, number)) = sweep.next() {
            let open = places(&journal.undo);
            let Some(lowest) = open.keys().next().copied() else { return Ok(None) };
            if let Some(why) = self.hold(journal).await? {
                return Ok(Some(Interrupted { why, wait: Duration::ZERO }));
            }
            let Some(page) = self.caller.page(&query, number).await? else {
                sweep.refused();
                continue;
            };
            let read_at = Instant::now();
            let planned = self.decided(&mut journal.undo, &open, &page);
            let has_sent = !planned.is_empty();
            match self.send_all(journal, &planned, read_at).await? {
                End::Known => {}
                End::Unclear(why) => return Ok(Some(Interrupted { why, wait: self.pacing.settling })),
                End::Stop(why) => return Ok(Some(Interrupted { why, wait: Duration::ZERO })),
            }
            sweep.turn(&page, has_sent, Some(lowest));
        }
        let left: Vec<usize> = journal.undo.open().collect();
        journal.undo.not_found(&left, sweep.is_complete());
        journal.step(self.pacing.lease).await?;
        Ok(None)
    }

    /// Stores what is about to be done, sends the requests, and stores how they ended.
    async fn send_all(
        &mut self,
        journal: &mut Journal<'_>,
        planned: &[Planned],
        read_at: Instant,
    ) -> Result<End, UndoError> {
        if planned.is_empty() {
            journal.step_if_changed(self.pacing.lease).await?;
            return Ok(End::Known);
        }
        let writes: Vec<_> = planned.iter().map(|row| (row.place, row.intent.clone())).collect();
        journal.undo.claim(&writes);
        journal.window = Window::open(self.subject, planned);
        journal.step(self.pacing.lease + WINDOW).await?;
        let (mut end, open) = (End::Known, journal.undo.open().count());
        // The lease that was just stored keeps the source from other batches, if none had it before.
        if let Some(why) = self.lost_source().await? {
            end = End::Stop(why);
        }
        for request in requests(planned, self.resend.is_apart()) {
            if !matches!(end, End::Known) {
                journal.undo.not_done(&request.places());
                continue;
            }
            match self.caller.permit().await {
                Ok(()) => {}
                Err(UndoError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    end = End::Stop(error.to_string());
                    journal.undo.not_done(&request.places());
                    continue;
                }
            }
            // A permit may have been waited for.
            if read_at.elapsed() >= WINDOW {
                journal.undo.not_done(&request.places());
                continue;
            }
            end = self.send(journal, &request).await?;
        }
        let lease = if matches!(end, End::Unclear(_)) { self.pacing.settling } else { self.pacing.lease };
        journal.end_window();
        journal.step(lease).await?;
        journal.window = None;
        self.failures = if journal.undo.open().count() < open { 0 } else { self.failures + 1 };
        if matches!(end, End::Known) && self.failures >= MOST_FAILURES {
            return Ok(End::Stop(
                "Testmo takes no request, or permits are too rare to send one within 2 s of the read".into(),
            ));
        }
        Ok(end)
    }

    /// Keeps the sources from other batches while rows are read: a batch that had them meanwhile would write into rows that are
    /// then found to be taken back. Returns why the run cannot go on.
    pub(super) async fn hold(&self, journal: &mut Journal<'_>) -> Result<Option<String>, UndoError> {
        if journal.hold(self.pacing.lease).await? { self.lost_source().await } else { Ok(None) }
    }

    /// Returns why nothing may be sent: another batch has a source, or has written it since what is remembered was read.
    pub(super) async fn lost_source(&self) -> Result<Option<String>, UndoError> {
        let Some(sources) = &self.sources else { return Ok(None) };
        Ok(match sources.claim().await? {
            SourceOutcome::Granted { latest_at } if latest_at == sources.latest_at => None,
            SourceOutcome::Granted { .. } | SourceOutcome::Superseded(_) => {
                Some("another batch of the same source was written meanwhile".into())
            }
            SourceOutcome::Busy(other) => Some(format!("batch {other} of the same source is being written")),
        })
    }

    /// Sends one request.
    async fn send(&mut self, journal: &mut Journal<'_>, request: &Request) -> Result<End, UndoError> {
        let answered = match &request.body {
            Some(body) => {
                let answered = self.caller.set(update_body(&request.ids(), body.iter())).await?;
                if let (Ok(rows), Some(window)) = (&answered, &mut journal.window) {
                    window.answered(rows);
                }
                answered.map(|rows| rows.iter().map(|row| row.id).collect::<BTreeSet<u64>>())
            }
            None => {
                let deleted = self.caller.delete(&request.ids()).await?;
                deleted.map(|()| request.ids().into_iter().collect())
            }
        };
        let error = match answered {
            Ok(ids) => {
                let (there, missing): (Vec<_>, Vec<_>) = request.members.iter().partition(|(_, id)| ids.contains(id));
                let place = |rows: Vec<&(usize, u64)>| rows.into_iter().map(|(place, _)| *place).collect::<Vec<_>>();
                journal.undo.done(&place(there));
                // What the answer does not show is read again.
                return Ok(match missing.is_empty() {
                    true => End::Known,
                    false => End::Unclear("Testmo's answer does not show all cases".into()),
                });
            }
            Err(error) => error,
        };
        let end = match after_failed_update(&error) {
            UpdateFailure::Unclear(_) => End::Unclear(error.to_string()),
            UpdateFailure::Refused(said) => {
                self.refused(journal, request, &said);
                End::Known
            }
            UpdateFailure::NotWritten(_) => {
                journal.undo.not_done(&request.places());
                if is_passing(&error) { End::Known } else { End::Stop(error.to_string()) }
            }
        };
        Ok(end)
    }

    /// Takes in that Testmo refused a request. A deletion has no fields that it could ask for.
    fn refused(&mut self, journal: &mut Journal<'_>, request: &Request, said: &[FieldRefusal]) {
        let is_sent = |field: &str| request.body.as_ref().is_none_or(|body| body.contains_key(field));
        if self.resend.after(said, is_sent, &request.ids()) {
            journal.undo.not_done(&request.places());
        } else {
            let words: Vec<String> = said.iter().map(|said| format!("{} {}", said.field, said.message)).collect();
            journal.undo.refused(&request.places(), words.join("; ").trim());
        }
    }

    /// Takes in the rows of a page, and returns what is to be done with them.
    fn decided(&self, undo: &mut Undo, open: &BTreeMap<u64, usize>, page: &ShownPage) -> Vec<Planned> {
        let (kind, how) = (undo.kind, undo.how.clone());
        let asked_for: Vec<&str> = self.resend.asked_for().collect();
        let mut planned = Vec::new();
        for row in &page.cases {
            let Some(place) = open.get(&row.id).copied().filter(|place| undo.items[*place].is_open()) else { continue };
            let base = self.base.get(&row.id);
            let decide = |item: &UndoItem| self.subject.decide((kind, &how), item, base, row, &asked_for);
            if let Some(intent) = undo.seen(place, &row.known_fields(), decide) {
                let window = window_of(&intent, row);
                planned.push(Planned { place, id: row.id, template: row.number("template_id"), intent, window });
            }
        }
        planned
    }

    fn sweep(&self, undo: &Undo) -> Sweep {
        let folders = undo.open().filter_map(|place| {
            let item = &undo.items[place];
            self.subject.folder(item, self.base.get(&item.id))
        });
        // A request whose outcome is unknown may have moved its rows.
        let moved = undo.how.retired.as_ref().and_then(|retired| retired.folder_id).filter(|_| undo.is_writing());
        Sweep::new(self.subject.tag(), folders.chain(moved).collect())
    }
}

/// Returns what is kept of a row that is about to be changed, if Testmo shows its history.
fn window_of(intent: &Intent, row: &ShownCase) -> Option<WindowCase> {
    match intent {
        Intent::Set(setting) => WindowCase::open(row.id, setting.body().iter(), &row.fields).map(WindowCase::of_undo),
        Intent::Delete { .. } => None,
    }
}

/// Returns the places of open rows by their ids.
fn places(undo: &Undo) -> BTreeMap<u64, usize> {
    undo.open().map(|place| (undo.items[place].id, place)).collect()
}
