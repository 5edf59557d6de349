//! Provides the terminal at which a person carries out a runbook, on the machine of a worker.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::rules::Scrape;
use super::servers::Servers;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// How many seconds the commands of a block may take.
const LONGEST: &str = "100";

/// The folders of the programs that runbooks name, besides the worker's own.
const PROGRAMS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Passes a command on to the test, which does with the servers of the test what the program does with those of a machine.
const PASSED_ON: &str = "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/PORT\nprintf '%s\\n' \"${0##*/} $*\" >&3\n\
                         read -r code <&3\ncat <&3\nexit \"$code\"\n";

/// A terminal, a worker, and the servers beside the worker.
pub(super) struct Desk {
    pub(super) stage: Stage,
    pub(super) servers: Servers,
    /// What a person types if a command asks for an API key.
    pub(super) key: String,
    requests: TcpListener,
}

impl Desk {
    pub(super) async fn of(stage: Stage, servers: Servers) -> Self {
        let requests = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = requests.local_addr().expect("an address").port().to_string();
        let desk = Self { stage, servers, key: String::new(), requests };
        fs::create_dir(desk.stage.path("bin")).expect("a folder");
        for name in ["systemctl", "rabbitmqctl"] {
            desk.install(name, &PASSED_ON.replace("PORT", &port));
        }
        // The log of the worker, as systemd keeps it.
        desk.install("journalctl", &format!("#!/bin/sh\nexec cat {}\n", desk.stage.path("output").display()));
        if let Some(management) = &desk.servers.management {
            let options = format!("--host 127.0.0.1 --port {management} --vhost {}", desk.stage.vhost);
            desk.install("rabbitmqadmin", &format!("#!/bin/sh\nexec /usr/bin/rabbitmqadmin {options} \"$@\"\n"));
        }
        desk
    }

    /// Puts a program into the first folder of the PATH.
    fn install(&self, name: &str, script: &str) {
        let path = self.stage.path("bin").join(name);
        fs::write(&path, script).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Starts the worker, and waits until it is ready.
    pub(super) async fn start(&mut self) {
        self.servers.worker = Some(Process::start(&self.stage).await);
    }

    /// Kills the worker, as a crash does.
    pub(super) fn kill(&mut self) {
        self.servers.worker.take().expect("a worker").kill();
    }

    /// Stops the worker.
    pub(super) async fn stop(&mut self) {
        self.servers.worker.take().expect("a worker").stop().await;
    }

    /// Waits until the worker is ready, such as after a command has started it.
    pub(super) async fn ready(&self) {
        until(async || self.worker().get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))).await;
    }

    pub(super) fn worker(&self) -> &Process {
        self.servers.worker.as_ref().expect("a worker")
    }

    /// Returns what the worker shows now; nothing if it does not answer.
    pub(super) fn scrape(&self) -> Scrape {
        self.servers.worker.as_ref().map_or(Scrape::none(), Scrape::of)
    }

    /// Runs commands in a terminal, and types what they ask for; returns the exit code and everything that was shown.
    pub(super) async fn run(&mut self, commands: &str) -> (Option<i32>, String) {
        let mut shell = Command::new("timeout");
        shell.args(["--foreground", LONGEST, "script", "-qefc", &format!("set -e\n{commands}"), "/dev/null"]);
        shell
            .env_clear()
            .envs(&self.stage.environment)
            .envs(&self.servers.environment)
            .current_dir(self.stage.path(""));
        let program = Path::new(env!("CARGO_BIN_EXE_testmo-courier")).parent().expect("a folder");
        let path = format!("{}:{}:{PROGRAMS}", self.stage.path("bin").display(), program.display());
        shell.envs([
            ("PATH", path.as_str()),
            ("SHELL", "/bin/sh"),
            ("TERM", "dumb"),
            ("NO_COLOR", "1"),
            ("LOGNAME", "anna"),
            ("PAGER", "cat"),
        ]);
        shell.env("COURIER_OBSERVE__LISTEN", self.servers.address(&self.stage));
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a terminal");
        let (mut input, mut output) = (child.stdin.take().expect("a keyboard"), child.stdout.take().expect("a screen"));
        let (shows, mut shown) = mpsc::unbounded_channel();
        let screen = std::thread::spawn(move || {
            let mut part = [0; 4_096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                // A test that has failed does not read any more.
                drop(shows.send(part[..length].to_vec()));
            }
        });
        let (mut text, mut answered) = (Vec::new(), 0);
        loop {
            tokio::select! {
                part = shown.recv() => {
                    let Some(part) = part else { break };
                    text.extend(part);
                    if let Some(answer) = self.answer(&text[answered..]) {
                        writeln!(input, "{answer}").expect("a command that reads");
                        answered = text.len();
                    }
                }
                request = self.requests.accept() => {
                    self.servers.serve(request.expect("a connection").0, &self.stage).await;
                }
            }
        }
        drop(input);
        screen.join().expect("a screen");
        let status = child.wait().expect("its end");
        (status.code(), String::from_utf8(text).expect("text").replace("\r\n", "\n"))
    }

    /// Returns what a person types after what is shown, if it asks for something.
    fn answer(&self, shown: &[u8]) -> Option<&str> {
        let is_asked = |question: &str| shown.ends_with(question.as_bytes());
        match () {
            () if is_asked("Type yes: ") => Some("yes"),
            () if is_asked("The audit keeps your answer: ") => Some("as the runbook says"),
            () if is_asked("API key (not shown): ") => Some(&self.key),
            () => None,
        }
    }

    /// Stops the worker, and ends the stage with nothing left over.
    pub(super) async fn end(self) {
        self.end_leaving(&[]).await;
    }

    /// Stops the worker, and ends the stage with the work that is left over on purpose.
    pub(super) async fn end_leaving(mut self, wanted: &[LeftOver]) {
        if let Some(worker) = self.servers.worker.take() {
            worker.stop().await;
        }
        self.stage.end_leaving(wanted).await;
    }
}
