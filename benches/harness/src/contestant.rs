//! Lists the contestants, starts each of them, and reports the resources that each used.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use crate::message::Form;
use crate::usage::{self, Usage};

/// How long a contestant may take to end after SIGTERM.
const ENDS: Duration = Duration::from_secs(5);
/// The time between two checks of a contestant that ends on its own.
const POLL_INTERVAL: Duration = Duration::from_millis(3);

/// A program that consumes batches.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The form in which the contestant gets its batches.
    pub(crate) form: Form,
    /// Whether the contestant publishes an event for each batch.
    pub(crate) announces: bool,
    /// The program and its arguments.
    command: Vec<PathBuf>,
    environment: Vec<(&'static str, PathBuf)>,
    /// The folder for its log.
    logs: PathBuf,
}

/// The role of a contestant in comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The program that is measured.
    Worker,
    /// The worker without a store.
    Storeless,
    /// Another way to do the same work.
    Peer,
    /// The least code that can do the work.
    Floor,
    /// Only the broker's share of the work.
    Ceiling,
}

/// The folders of the contestants.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) worker: PathBuf,
    /// The folder that `make bench` installed and built into.
    pub(crate) installed: PathBuf,
}

/// A running contestant; all its processes are killed when this value is dropped.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    group: u32,
    log: PathBuf,
}

/// Returns all contestants, installed or not.
pub(crate) fn all(places: &Places) -> Vec<Contestant> {
    let peers = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../peers"));
    let Places { worker, installed } = places;
    let python = |file: &str| vec![installed.join("venv/bin/python"), peers.join(file)];
    let built = |name: &str| vec![installed.join("peers/release").join(name)];
    let celery = ["-A", "celery_peer", "worker", "--pool=gevent", "--without-gossip", "--without-mingle"];
    let celery = [&celery[..], &["--without-heartbeat", "--loglevel=WARNING"]].concat();
    let celery = [installed.join("venv/bin/celery")].into_iter().chain(celery.into_iter().map(PathBuf::from));
    let one = |name, role, command| Contestant {
        name,
        role,
        form: Form::Plain,
        announces: true,
        command,
        environment: vec![],
        logs: logs_of(places),
    };
    vec![
        one("testmo-courier", Role::Worker, vec![worker.clone()]),
        one("aio-pika + aiohttp", Role::Peer, python("aio_pika_peer.py")),
        one("FastStream + aiohttp", Role::Peer, python("faststream_peer.py")),
        Contestant {
            form: Form::Celery,
            environment: vec![("PYTHONPATH", peers.to_owned())],
            ..one("Celery + requests", Role::Peer, celery.collect())
        },
        Contestant {
            environment: vec![("NODE_PATH", installed.join("node/node_modules"))],
            ..one("rascal + undici", Role::Peer, vec!["node".into(), peers.join("rascal_peer.cjs")])
        },
        one("omniqueue, serial", Role::Peer, built("omniqueue-peer")),
        Contestant { announces: false, ..one("floor: lapin + reqwest", Role::Floor, built("floor")) },
        one("ceiling: AMQP only", Role::Ceiling, built("ceiling")),
    ]
}

/// Returns the worker without a store, which is this program itself.
pub(crate) fn storeless(worker: &Contestant) -> anyhow::Result<Contestant> {
    Ok(Contestant {
        name: "testmo-courier without a store",
        role: Role::Storeless,
        form: Form::Plain,
        announces: true,
        command: vec![std::env::current_exe()?, "storeless".into()],
        environment: vec![],
        logs: worker.logs.clone(),
    })
}

/// Returns the folder in which logs are kept until the next measurement of the same contestant.
pub(crate) fn logs_of(places: &Places) -> PathBuf {
    places.installed.join("logs")
}

impl Contestant {
    /// Returns which part of the contestant is not installed, if any.
    pub(crate) fn missing(&self) -> Option<String> {
        let modules = self.environment.iter().map(|(_, path)| path);
        let wanted = self.command.iter().chain(modules).find(|path| path.is_absolute() && !path.exists())?;
        Some(format!("{} is not there", wanted.display()))
    }

    /// Starts the contestant with these arguments and this environment, in a folder.
    pub(crate) fn start(
        &self,
        dir: &Path,
        arguments: &[String],
        variables: &[(&str, String)],
    ) -> anyhow::Result<Running> {
        let letters = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let log = self.logs.join(format!("{}.log", self.name.chars().map(letters).collect::<String>()));
        std::fs::create_dir_all(&self.logs)?;
        let file = File::create(&log)?;
        // If the harness is killed, it cannot end the contestant; the kernel does.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.command)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.environment.iter().map(|(name, path)| (name, path)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| self.name.to_owned())?;
        let group = child.id().context("its process id")?;
        Ok(Running { name: self.name, child, group, log })
    }
}

impl Running {
    /// Returns the resources that the contestant has used so far.
    pub(crate) fn usage(&self) -> Usage {
        usage::of_group(self.group)
    }

    /// Fails, with the end of the log, if the contestant has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} ended with {status}\n{}", self.name, self.tail()),
        }
    }

    /// Waits until the contestant has ended, and returns the resources that it has used as of its last milliseconds. Fails,
    /// with the end of the log, if it does not end within a time.
    pub(crate) async fn until_ended(mut self, within: Duration) -> anyhow::Result<Usage> {
        let (mut used, deadline) = (Usage::default(), Instant::now() + within);
        loop {
            let usage = self.usage();
            used.cpu = used.cpu.max(usage.cpu);
            used.peak_memory = used.peak_memory.max(usage.peak_memory);
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(status.success(), "{} ended with {status}\n{}", self.name, self.tail());
                return Ok(used);
            }
            let is_late = Instant::now() > deadline;
            anyhow::ensure!(!is_late, "{} did not end within {within:?}\n{}", self.name, self.tail());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns the end of the log.
    pub(crate) fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Asks the contestant to end, and kills the processes that do not; returns whether it ended without being killed.
    pub(crate) async fn end(mut self) -> bool {
        self.signal(Signal::TERM);
        let ended = tokio::time::timeout(ENDS, self.child.wait()).await;
        ended.is_ok_and(|status| status.is_ok_and(|status| status.signal().is_none()))
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.group).ok().and_then(Pid::from_raw);
        // No process may be left.
        group.map_or(Ok(()), |group| kill_process_group(group, signal)).ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
