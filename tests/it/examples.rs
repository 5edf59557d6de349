//! Runs the examples for generators: each publishes a batch and prints its event once, however often that is sent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::broker::Broker;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// The examples in one language.
struct Example {
    program: &'static str,
    publisher: &'static str,
    consumer: &'static str,
    /// Further variables.
    environment: Vec<(&'static str, String)>,
}

/// A running consumer, which is killed at the end.
pub(crate) struct Consumer {
    child: Child,
    output: PathBuf,
}

impl Consumer {
    pub(crate) fn start(mut command: Command, output: PathBuf) -> Self {
        let file = File::create(&output).expect("a file for the output");
        let errors = file.try_clone().expect("a second handle");
        let child = command.stdout(file).stderr(errors).stdin(Stdio::null()).spawn().expect("the consumer");
        Self { child, output }
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.output).expect("its output").lines().map(str::to_owned).collect()
    }

    /// Waits until it has printed a line that begins like this.
    pub(crate) async fn prints(&mut self, beginning: &str) {
        let (child, output) = (std::cell::RefCell::new(&mut self.child), &self.output);
        until(async || {
            let printed = std::fs::read_to_string(output).expect("its output");
            let ended = child.borrow_mut().try_wait().expect("a child");
            assert!(ended.is_none(), "the consumer has ended: {printed}");
            printed.lines().any(|line| line.starts_with(beginning))
        })
        .await;
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // The process may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

impl Example {
    fn command(&self, stage: &Stage, file: &str) -> Command {
        let mut command = Command::new(self.program);
        command.arg(examples().join(file)).env("AMQP_URL", Broker::shared().url(&stage.vhost));
        command.envs(self.environment.iter().map(|(key, value)| (*key, value)));
        command
    }

    fn publish(&self, stage: &Stage) {
        let published =
            self.command(stage, self.publisher).arg(examples().join("batch.json")).output().expect("an end");
        assert!(published.status.success() && published.stdout == b"published\n", "{published:?}");
    }

    async fn prints_each_event_once(&self) {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let unpublished = self.command(&stage, self.publisher).arg("no-such-file").output().expect("an end");
        assert!(!unpublished.status.success(), "{unpublished:?}");
        stage.start_worker();
        let mut command = self.command(&stage, self.consumer);
        command.arg("example.events").arg(stage.path("seen"));
        let mut consumer = Consumer::start(command, stage.path("consumed"));
        consumer.prints("ready").await;
        self.publish(&stage);
        let delivered = "delivered example-1: 2 of 2 cases";
        consumer.prints(delivered).await;
        // For a copy of a batch that was delivered, the same event is sent again.
        self.publish(&stage);
        consumer.prints("again ").await;
        until(async || Broker::shared().depth(&stage.vhost, "example.events") == 0).await;
        let lines = consumer.lines();
        assert_eq!(lines.iter().filter(|line| *line == delivered).count(), 1, "{lines:?}");
        drop(consumer);
        let first = stage.event_of("acme/example-1").await;
        assert_eq!(stage.event_of("acme/example-1").await["id"], first["id"]);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_publishes_a_batch_and_prints_its_event_once() {
    // Debian's interpreter has Debian's library; another one may come first in the path.
    let (publisher, consumer) = ("python/publish.py", "python/consume.py");
    let example = Example { program: "/usr/bin/python3", publisher, consumer, environment: vec![] };
    example.prints_each_event_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_example_publishes_a_batch_and_prints_its_event_once() {
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env/node.sh");
    let installed = Command::new(installer).output().expect("an end");
    assert!(installed.status.success(), "{installed:?}");
    let modules = String::from_utf8(installed.stdout).expect("a path").trim().to_owned();
    let environment = vec![("NODE_PATH", modules)];
    let (publisher, consumer) = ("node/publish.js", "node/consume.js");
    Example { program: "node", publisher, consumer, environment }.prints_each_event_once().await;
}
