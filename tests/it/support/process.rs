//! Runs the program as a process, with its output in a file.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::stage::Stage;
use super::waiting::{patient, until};

/// The longest wait for an answer of a worker.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);

/// A worker as operators run it.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    output: PathBuf,
    /// Shows the stage that this process is running.
    running: Option<Arc<()>>,
}

impl Process {
    /// Starts `testmo-courier run` for a stage, and waits until it is ready.
    pub(crate) async fn start(stage: &Stage) -> Self {
        Self::ready(Self::launch(stage)).await
    }

    /// Starts it with further options before `run`, and waits until it is ready.
    pub(crate) async fn start_with(stage: &Stage, options: &[&str]) -> Self {
        let mut program = command(stage);
        program.args(options);
        Self::ready(Self::spawn(stage, program)).await
    }

    /// Starts it with limits that a shell sets, and waits until it is ready.
    pub(crate) async fn start_limited(stage: &Stage, limits: &str) -> Self {
        Self::ready(Self::launch_limited(stage, limits)).await
    }

    async fn ready(process: Self) -> Self {
        until(async || process.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))).await;
        process
    }

    /// Starts `testmo-courier run` for a stage without waiting for anything.
    pub(crate) fn launch(stage: &Stage) -> Self {
        Self::spawn(stage, command(stage))
    }

    /// Starts it with limits that a shell sets, such as `ulimit -n 80`, without waiting for anything.
    pub(crate) fn launch_limited(stage: &Stage, limits: &str) -> Self {
        let program = command(stage);
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{limits} && exec \"$0\" \"$@\"")).arg(program.get_program());
        shell.env_clear().envs(&stage.environment).stdin(Stdio::null());
        Self::spawn(stage, shell)
    }

    fn spawn(stage: &Stage, mut command: Command) -> Self {
        let address = own_address();
        let output = stage.path("output");
        let file = File::options().create(true).append(true).open(&output).expect("a file for the output");
        let child = command
            .arg("run")
            .env("COURIER_OBSERVE__LISTEN", address.to_string())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the program");
        Self { child, address, output, running: Some(stage.running.clone()) }
    }

    /// Returns the whole answer to a GET, or `None` if there is no answer in time.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LONGEST_ANSWER)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: courier\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Returns the value of a series without labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.get("/metrics")?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// Returns the most memory that the process has had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }

    /// Returns everything that the process has written so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.output).expect("its output")
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("the kill command").success());
    }

    /// Kills the process in the middle of its work, as a crash does.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Stops the process as operators do, with SIGTERM, and waits for its end, which must be a success.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        let status = self.exit().await;
        assert!(status.success(), "{status}: {}", self.output());
    }

    /// Waits for the end of the process.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let (child, running) = (&mut self.child, &mut self.running);
        patient(async {
            loop {
                if let Some(status) = child.try_wait().expect("a child") {
                    *running = None;
                    return status;
                }
                // Only a wait that cannot be cancelled would be notified of the end of a process.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a free address for a worker. No other process uses its IP address, so no other server and no outgoing
/// connection can take the port before the worker has it.
pub(crate) fn own_address() -> SocketAddr {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, NUMBER.fetch_add(1, Ordering::Relaxed).max(1), high, low);
    let free = TcpListener::bind((ip, 0)).expect("a free port");
    free.local_addr().expect("its address")
}

/// Returns the program with a stage's settings and without this process's environment.
pub(crate) fn command(stage: &Stage) -> Command {
    let mut command = bare_command();
    command.envs(&stage.environment).stdin(Stdio::null());
    command
}

/// Returns the program without any settings.
pub(crate) fn bare_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testmo-courier"));
    command.env_clear();
    command
}

/// Runs a command that reads `input`; returns its exit code and whole output.
pub(crate) fn run_reading(mut command: Command, input: &str) -> (Option<i32>, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::block_in_place(|| {
        let mut child = command.spawn().expect("the program");
        // A command that does not read its input may already have ended.
        drop(child.stdin.take().expect("its input").write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("its end");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    })
}
