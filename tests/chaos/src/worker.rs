//! Starts a worker, kills or stops it, and starts it again whenever it ends, as an operator's supervisor does.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::plan::Crash;
use crate::timeline::Timeline;

/// `worker.drain_timeout` of the workers.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest that a worker may take to stop, in every state.
const LONGEST_STOP: Duration = DRAIN_TIMEOUT.saturating_add(Duration::from_secs(5));
/// A worker that ends uncleanly soon after its start waits before the next one, twice as long each time.
const LONGEST_START_DELAY: Duration = Duration::from_secs(60);
/// How long after a crash or a failed start a worker is started again.
const RESTART: Duration = Duration::from_millis(500);
/// The age below which a worker may not yet handle signals.
const DEAF: Duration = Duration::from_secs(2);

const SIGTERM: i32 = 15;
/// The exit code of a worker that had to cut something.
const CUT: i32 = 5;
const SIGABRT: i32 = 6;

/// A worker, through all its lives.
pub(crate) struct Worker {
    name: String,
    life: Life,
    environment: BTreeMap<String, String>,
    program: PathBuf,
    log: PathBuf,
    timeline: Timeline,
    /// How often in succession it ended uncleanly.
    unclean_ends: u32,
    /// When it was started and when it ended, in milliseconds since 1970.
    pub(crate) turns: Vec<i64>,
}

enum Life {
    Running { child: Child, crash: Option<Crash>, since: Instant },
    Stopping { child: Child, crash: Option<Crash>, since: Instant, by: Instant, then: Option<Crash> },
    Away { until: Instant, then: Option<Crash> },
}

impl Worker {
    /// Creates a worker that the next check starts, perhaps with an order to crash.
    pub(crate) fn waiting(
        name: String,
        environment: BTreeMap<String, String>,
        program: PathBuf,
        log: PathBuf,
        crash: Option<Crash>,
        timeline: Timeline,
    ) -> Self {
        let life = Life::Away { until: Instant::now(), then: crash };
        Self { name, life, environment, program, log, timeline, unclean_ends: 0, turns: Vec::new() }
    }

    /// Returns the longest time for which the worker may wait at its start because of its earlier ends.
    pub(crate) fn start_delay(&self) -> Duration {
        match self.unclean_ends.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(6)).min(LONGEST_START_DELAY),
        }
    }

    fn spawn(&self, crash: Option<&Crash>) -> anyhow::Result<Child> {
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        // The kernel ends the worker when this process dies, even by SIGKILL.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program).arg("run").env_clear().envs(&self.environment);
        if let Some(Crash { point, passing }) = crash {
            command.env("COURIER_CRASH_AT", format!("{point}:{passing}"));
        }
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        command.spawn().context("setpriv, of util-linux")
    }

    /// Kills the worker by SIGKILL, and starts it again after a while.
    pub(crate) async fn kill(&mut self, away: Duration, then: Option<Crash>) {
        self.turns.push(self.timeline.now());
        let next = Life::Away { until: Instant::now() + away, then };
        match std::mem::replace(&mut self.life, next) {
            // The worker may already have ended.
            Life::Running { mut child, .. } | Life::Stopping { mut child, .. } => {
                self.unclean_ends += 1;
                drop(child.kill().await);
            }
            Life::Away { until, then } => self.life = Life::Away { until, then },
        }
    }

    /// Kills the worker while it carries a replay out.
    pub(crate) async fn kill_as_holder(&mut self, away: Duration) {
        self.timeline.note(format!("worker {}: killed while it carries a replay out", self.name));
        self.kill(away, None).await;
    }

    /// Returns whether the worker is a running process.
    pub(crate) fn is_process(&self, pid: u32) -> bool {
        matches!(&self.life, Life::Running { child, .. } if child.id() == Some(pid))
    }

    /// Sends SIGTERM, and starts the worker again when it has ended.
    pub(crate) async fn restart(&mut self, next: Option<Crash>) {
        self.signal("CONT").await;
        // A worker that is already stopping takes a second signal as an order to end at once.
        if matches!(self.life, Life::Running { .. }) {
            self.signal("TERM").await;
        }
        let away = Life::Away { until: Instant::now(), then: None };
        self.life = match std::mem::replace(&mut self.life, away) {
            Life::Running { child, crash, since } => {
                Life::Stopping { child, crash, since, by: Instant::now() + LONGEST_STOP, then: next }
            }
            other @ (Life::Stopping { .. } | Life::Away { .. }) => other,
        };
    }

    /// Sends SIGTERM, and starts another program when the worker has ended.
    pub(crate) async fn switch(&mut self, program: PathBuf) {
        self.program = program;
        self.restart(None).await;
    }

    pub(crate) async fn signal(&self, name: &str) {
        let child = match &self.life {
            Life::Running { child, .. } | Life::Stopping { child, .. } => child,
            Life::Away { .. } => return,
        };
        if let Some(pid) = child.id() {
            // The worker may have ended meanwhile.
            drop(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await);
        }
    }

    /// Checks whether the worker has ended, and starts it when it is due. An end that the plan did not order is an
    /// error, unless the store was unavailable when the worker started.
    pub(crate) fn check(&mut self, store_in_trouble: impl Fn(Instant) -> bool) -> anyhow::Result<()> {
        match &mut self.life {
            Life::Running { child, crash, since } => {
                let Some(status) = child.try_wait()? else { return Ok(()) };
                let ordered = status.signal() == Some(SIGABRT) && crash.is_some();
                let could_not_start = failed(status) && store_in_trouble(*since);
                let crash = crash.take();
                ensure!(ordered || could_not_start, "worker {} ended by itself with {status}", self.name);
                let how = if ordered { format!("crashed as ordered, {crash:?}") } else { format!("{status}") };
                self.unclean_ends += 1;
                self.turns.push(self.timeline.now());
                self.timeline.note(format!("worker {}: {how}", self.name));
                self.life = Life::Away { until: Instant::now() + RESTART, then: None };
            }
            Life::Stopping { child, crash, since, by, then } => {
                let Some(status) = child.try_wait()? else {
                    ensure!(Instant::now() < *by, "worker {} does not stop", self.name);
                    return Ok(());
                };
                // The order can arrive while the worker starts without its store.
                if !(failed(status) && store_in_trouble(*since)) {
                    stopped(&self.name, status, crash.as_ref(), *since)?;
                }
                self.turns.push(self.timeline.now());
                self.timeline.note(format!("worker {}: stopped", self.name));
                self.life = Life::Away { until: Instant::now(), then: then.take() };
            }
            Life::Away { until, then } => {
                if Instant::now() >= *until {
                    let crash = then.take();
                    let child = self.spawn(crash.as_ref())?;
                    self.turns.push(self.timeline.now());
                    self.timeline.note(format!("worker {}: started, to crash {crash:?}", self.name));
                    self.life = Life::Running { child, crash, since: Instant::now() };
                }
            }
        }
        Ok(())
    }

    /// Stops the worker by SIGTERM for good.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        self.restart(None).await;
        let away = Life::Away { until: Instant::now(), then: None };
        let Life::Stopping { mut child, crash, since, .. } = std::mem::replace(&mut self.life, away) else {
            return Ok(());
        };
        let Ok(status) = timeout(LONGEST_STOP, child.wait()).await else { bail!("worker {} does not stop", self.name) };
        stopped(&self.name, status?, crash.as_ref(), since)
    }
}

fn failed(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| code != 0)
}

fn stopped(name: &str, status: ExitStatus, crash: Option<&Crash>, since: Instant) -> anyhow::Result<()> {
    let crashed = status.signal() == Some(SIGABRT) && crash.is_some();
    let deaf = status.signal() == Some(SIGTERM) && since.elapsed() < DEAF + LONGEST_STOP;
    // What a worker cuts at the end of its drain time is left as by a crash.
    let stopped = matches!(status.code(), Some(0 | CUT));
    ensure!(stopped || crashed || deaf, "worker {name} was to stop and ended with {status}");
    Ok(())
}
