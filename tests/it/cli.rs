//! Runs commands that need no broker, and checks their output, their changes to the store and their exit codes.

mod audit;
mod completions;
mod concurrent_changes;
mod connections;
mod mapping;
mod messages;
mod probe;
mod setup;
mod tokens;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use testmo_sim::Server;
use testmo_sim::world::AccountSpec;

const KEY: &str = "testmo_api_s3cret";

/// A folder that has only the files that the commands create.
struct Folder {
    folder: TempDir,
    origin: Option<String>,
}

/// The output and exit code of a command.
#[derive(Debug)]
struct End {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), origin: None }
    }

    fn with_store() -> Self {
        let folder = Self::empty();
        assert_eq!(folder.courier(&["init"]).code, Some(0));
        folder
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn courier(&self, arguments: &[&str]) -> End {
        self.courier_reading("", arguments)
    }

    fn courier_reading(&self, input: &str, arguments: &[&str]) -> End {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::task::block_in_place(|| {
            let mut child = command.spawn().expect("the command starts");
            // A command that does not read its input may already have ended.
            drop(child.stdin.take().expect("its input").write_all(input.as_bytes()));
            child.wait_with_output().expect("its end").into()
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testmo-courier"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("COURIER_") || matches!(&*text, "AMQP_URL" | "DATABASE_URL") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(self.path()).env("AMQP_URL", "amqp://u:hunter2@127.0.0.1:1/%2f");
        command.env("COURIER_OBSERVE__LISTEN", "127.0.0.1:0");
        if let Some(origin) = &self.origin {
            command.env("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origin);
        }
        command
    }

    fn set(&self, key: &str, more: &[&str]) -> End {
        let origin = self.origin.as_deref().expect("a stand-in");
        let arguments = ["tenants", "set", "acme", "--base-url", origin, "--project", "1", "--folder", "1"];
        self.courier_reading(key, &[&arguments[..], &["--api-key-stdin"], more].concat())
    }
}

impl Folder {
    /// Returns what `tenants show acme` says to programs.
    fn shown(&self) -> serde_json::Value {
        let shown = self.courier(&["tenants", "show", "acme", "--json"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        serde_json::from_str(&shown.out).expect("JSON")
    }
}

impl From<Output> for End {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl End {
    #[track_caller]
    fn is(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.out.contains(part) || self.err.contains(part), "{part:?} is not in {self:?}");
        }
        assert!(!self.out.contains("hunter2") && !self.err.contains("hunter2"), "{self:?}");
        assert!(!self.out.contains("s3cret") && !self.err.contains("s3cret"), "{self:?}");
    }
}

async fn with_testmo() -> (Folder, Server) {
    let server = Server::start().await.expect("a stand-in");
    server.create("acme", AccountSpec::with_one_folder(KEY)).expect("an account");
    let folder = Folder { origin: Some(server.origin("acme")), ..Folder::with_store() };
    (folder, server)
}
