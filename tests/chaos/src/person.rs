//! Gives orders on the command line, as a person does: again while the store does not answer, and with belief in what is
//! answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use testmo_courier::app::replays::ReplayAction;
use testmo_courier::store::Store;
use testmo_courier::store::replays::{ItemFilter, ReplayId};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::diary::{Diary, Frozen};
use crate::orders::{CURABLE, Options, Order, Selection};
use crate::plan::TENANTS;
use crate::timeline::Timeline;

/// The longest that one command may take.
const LONGEST_COMMAND: Duration = Duration::from_secs(60);
/// How long a command is given again while the store does not answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(200);
// The exit codes of a command that was carried out, of one that was refused, and of one whose store does not answer.
const DONE: i32 = 0;
const REFUSED: i32 = 1;
const AWAY: i32 = 3;
/// More entries than any replay of a plan has.
const ALL: u32 = 10_000;

/// A person at a shell.
pub(crate) struct Person {
    name: &'static str,
    program: PathBuf,
    environment: BTreeMap<String, String>,
    /// The store, reached directly: what a person sees is not under test where a cancellation is checked.
    store: Store,
    diary: Diary,
    timeline: Timeline,
    /// A person does one thing after the other.
    turn: Mutex<()>,
}

/// What a command has answered.
struct Answer {
    code: i32,
    out: String,
    error: String,
}

impl Person {
    pub(crate) fn new(
        name: &'static str,
        program: PathBuf,
        environment: BTreeMap<String, String>,
        store: Store,
        diary: Diary,
        timeline: Timeline,
    ) -> Self {
        Self { name, program, environment, store, diary, timeline, turn: Mutex::default() }
    }

    /// Carries an order out, or finds that there is nothing to do.
    pub(crate) async fn carry_out(&self, order: Order) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        match order {
            Order::Replay { selection, options } => {
                let Some(selected) = self.selected(selection).await? else { return Ok(()) };
                self.replay(selected, options).await.map(drop)
            }
            Order::ReplayOne { pick } => {
                let Some(entry) = picked(ids_of(&self.curable().await?), pick) else { return Ok(()) };
                self.replay(vec![entry], AT_ONCE).await.map(drop)
            }
            Order::Act { action, pick } => {
                let replays = self.replays().await?;
                let can = |replay: &&Value| {
                    let state = replay["state"].as_str().and_then(|state| state.parse().ok());
                    state.is_some_and(|state| action.next(state).is_some())
                };
                let ids = replays.iter().filter(can).filter_map(|replay| replay["id"].as_i64()).collect();
                let Some(id) = picked(ids, pick) else { return Ok(()) };
                self.act(action, id).await
            }
            Order::Discard { pick } => {
                let mut entries = self.curable().await?;
                // Messages with unreadable headers are replayed, and never discarded.
                entries.retain(|entry| entry["reason"] != "unreadable_headers");
                let Some(entry) = picked(ids_of(&entries), pick) else { return Ok(()) };
                self.discard(&entry).await
            }
            Order::Restore { pick } => {
                let Some(entry) = picked(ids_of(&self.discarded().await?), pick) else { return Ok(()) };
                self.restore(&entry).await
            }
        }
    }

    /// Returns the replays, the newest first.
    pub(crate) async fn replays(&self) -> anyhow::Result<Vec<Value>> {
        self.list(&["replays", "list", "--limit", "1000"]).await
    }

    /// Returns the discarded entries.
    pub(crate) async fn discarded(&self) -> anyhow::Result<Vec<Value>> {
        self.list(&["shelf", "discarded", "--limit", "0"]).await
    }

    /// Replays what is selected; returns whether that is refused since every case is in Testmo.
    pub(crate) async fn replay(&self, selected: Vec<String>, options: Options) -> anyhow::Result<bool> {
        let mut words = ["replay", "--json", "--because", "chaos"].map(str::to_owned).to_vec();
        words.extend(selected);
        words.push(if options.only_plan { "--plan" } else { "--yes" }.into());
        words.extend(options.unchanged.then(|| "--unchanged".into()));
        words.extend(options.rate.into_iter().flat_map(|rate| ["--rate".into(), rate.to_string()]));
        words.extend(options.limit.into_iter().flat_map(|limit| ["--limit".into(), limit.to_string()]));
        let answer = self.until_answered(&words, |answer| {
            if answer.code == DONE {
                return;
            }
            // What would try nothing is planned and cancelled, and its number is not printed as JSON.
            self.diary.unknown(self.name, "replay.cancel");
            self.diary.unknown(self.name, "replay.start");
        });
        let answer = answer.await?;
        if answer.code != DONE {
            return Ok(answer.error.contains("every case is in Testmo"));
        }
        let planned: Value = serde_json::from_str(&answer.out).context("a planned replay")?;
        let id = planned["id"].as_i64().context("the number of a replay")?;
        self.diary.froze(id, Frozen::of(&planned));
        self.diary.stored(self.name, "replay.plan", format!("replay {id}"));
        if !options.only_plan {
            self.diary.stored(self.name, "replay.start", format!("replay {id}"));
        }
        Ok(false)
    }

    /// Starts, pauses, resumes or cancels a replay.
    pub(crate) async fn act(&self, action: ReplayAction, id: i64) -> anyhow::Result<()> {
        let kept = action.audit_action().name();
        let words = ["replays", word(action), &id.to_string(), "--because", "chaos"].map(str::to_owned);
        let answer = self.until_answered(&words, |answer| {
            if answer.code == AWAY {
                self.diary.unknown(self.name, kept);
            }
        });
        if answer.await?.code != DONE {
            return Ok(());
        }
        self.diary.stored(self.name, kept, format!("replay {id}"));
        if action == ReplayAction::Cancel {
            self.diary.cancelled(id, self.started(id).await?);
        }
        Ok(())
    }

    /// Puts a discarded entry back onto the shelf.
    pub(crate) async fn restore(&self, entry: &str) -> anyhow::Result<()> {
        let words = ["shelf", "restore", entry, "--because", "chaos"].map(str::to_owned);
        self.change("shelf.restore", entry, &words, |_| true).await
    }

    pub(crate) async fn discard(&self, entry: &str) -> anyhow::Result<()> {
        let words = ["shelf", "discard", entry, "--because", "chaos", "--yes", "--json"].map(str::to_owned);
        let is_done = |out: &str| {
            let done: Option<Value> = serde_json::from_str(out).ok();
            done.is_some_and(|done| done["discarded"].as_array().is_some_and(|discarded| !discarded.is_empty()))
        };
        self.change("shelf.discard", entry, &words, is_done).await
    }

    async fn change(
        &self,
        action: &'static str,
        entry: &str,
        words: &[String],
        is_done: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let answer = self.until_answered(words, |answer| {
            if answer.code == AWAY {
                self.diary.unknown(self.name, action);
            }
        });
        let answer = answer.await?;
        if answer.code == DONE && is_done(&answer.out) {
            self.diary.stored(self.name, action, format!("shelf {entry}"));
        }
        Ok(())
    }

    /// Returns the places of a replay that were started.
    async fn started(&self, id: i64) -> anyhow::Result<BTreeSet<u64>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.replay_items(ReplayId(id), &ItemFilter::default(), ALL).await {
                Ok(items) => {
                    let started = items.into_iter().filter(|item| item.started_at.is_some());
                    return Ok(started.map(|item| item.place).collect());
                }
                Err(error) => ensure!(Instant::now() < deadline, "the store does not answer: {error}"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Returns the options that select entries, or nothing if there are none of the kind.
    async fn selected(&self, selection: Selection) -> anyhow::Result<Option<Vec<String>>> {
        let words = match selection {
            Selection::All => vec!["--all".to_owned()],
            Selection::Dead => vec!["--state".into(), "dead".into()],
            Selection::Tenant(tenant) => vec!["--tenant".into(), TENANTS[tenant].into()],
            Selection::Reason(reason) => vec!["--reason".into(), reason.into()],
            Selection::Since(seconds) => vec!["--since".into(), format!("{seconds}s")],
            Selection::Group(pick) => {
                let groups = self.list(&["shelf", "groups"]).await?;
                let Some(id) = picked(ids_of(&groups), pick) else { return Ok(None) };
                vec!["--group".into(), id]
            }
        };
        Ok(Some(words))
    }

    /// Returns the dead entries whose cause may be gone.
    async fn curable(&self) -> anyhow::Result<Vec<Value>> {
        let mut entries = self.list(&["shelf", "list", "--state", "dead", "--limit", "0"]).await?;
        entries.retain(|entry| CURABLE.iter().any(|reason| entry["reason"] == *reason));
        Ok(entries)
    }

    /// Returns the rows that a command prints.
    pub(crate) async fn list(&self, words: &[&str]) -> anyhow::Result<Vec<Value>> {
        serde_json::from_value(self.read(words).await?).with_context(|| format!("{words:?} prints no list"))
    }

    /// Returns what a command prints as JSON that changes nothing.
    pub(crate) async fn read(&self, words: &[&str]) -> anyhow::Result<Value> {
        let words: Vec<String> = words.iter().copied().chain(["--json"]).map(str::to_owned).collect();
        let answer = self.until_answered(&words, |_| {}).await?;
        ensure!(answer.code == DONE, "{words:?}: {}", answer.error);
        serde_json::from_str(&answer.out).with_context(|| format!("{words:?}: {}", answer.out))
    }

    /// Gives a command again and again until the store answers; `note` sees each answer.
    async fn until_answered(&self, words: &[String], note: impl Fn(&Answer)) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.give(words).await?;
            note(&answer);
            if answer.code != AWAY {
                return Ok(answer);
            }
            ensure!(Instant::now() < deadline, "{words:?} is not answered: {}", answer.error);
            sleep(PAUSE).await;
        }
    }

    /// Gives a command once; returns whether it was carried out, and what was said if not.
    pub(crate) async fn try_once(&self, words: &[String]) -> anyhow::Result<(bool, String)> {
        let _turn = self.turn.lock().await;
        let Answer { code, out, error } = self.give(words).await?;
        Ok((code == DONE, format!("{error}{out}")))
    }

    async fn give(&self, words: &[String]) -> anyhow::Result<Answer> {
        let mut command = Command::new(&self.program);
        command.args(["--as", self.name]).args(words).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(LONGEST_COMMAND, command.output()).await;
        let output = ended.with_context(|| format!("{words:?} does not end"))??;
        let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let code = output.status.code().with_context(|| format!("{words:?} ended with {}: {error}", output.status))?;
        if words.iter().any(|word| word == "--because") || code != DONE {
            let said = if code == DONE { out.lines().next() } else { error.lines().next() };
            self.timeline.note(format!("{}: {} → {code} {}", self.name, words.join(" "), said.unwrap_or_default()));
        }
        ensure!([DONE, REFUSED, AWAY].contains(&code), "{words:?} ended with {code}: {error}");
        Ok(Answer { code, out, error })
    }
}

/// How single entries are replayed.
pub(crate) const AT_ONCE: Options = Options { rate: None, limit: None, unchanged: false, only_plan: false };

/// Returns the word for which the command line does this.
fn word(action: ReplayAction) -> &'static str {
    match action {
        ReplayAction::Start => "start",
        ReplayAction::Pause => "pause",
        ReplayAction::Resume => "resume",
        ReplayAction::Cancel => "cancel",
    }
}

/// Returns the ids of the rows that a command printed.
fn ids_of(rows: &[Value]) -> Vec<String> {
    rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
}

fn picked<T>(mut from: Vec<T>, pick: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(pick % from.len()))
}
