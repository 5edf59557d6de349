//! Runs the driver of a browser, and leaves no browser behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// The driver's process, with the folder in which it and its browsers keep everything.
pub(super) struct Process {
    pub(super) port: u16,
    pub(super) folder: TempDir,
    child: Child,
    /// Kept open, because the driver writes to it.
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a driver, and waits until it takes connections.
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a driver: tests/env/install.sh chromium chromium-driver installs both");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let port = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).expect("its output") > 0, "the driver ended");
            let port = line.split("successfully on port ").nth(1);
            if let Some(port) = port.and_then(|port| port.trim().trim_end_matches('.').parse().ok()) {
                break port;
            }
        };
        Self { port, folder, child, _output: output }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // After a failed test the browser is still there: the driver's end does not end it.
        for id in browsers(self.folder.path()) {
            drop(Command::new("kill").args(["-KILL", &id]).stderr(Stdio::null()).status());
        }
    }
}

/// Returns the ids of the processes whose command line names a folder.
fn browsers(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let names = |id: &String| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&folder)
    };
    let entries = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let ids = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).filter(names).collect()
}
