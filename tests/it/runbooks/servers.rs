//! Does with the servers of a test what `systemctl` and `rabbitmqctl` do with those of a machine.

use std::collections::HashMap;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::Stage;

/// How a worker exits that was asked to: everything had ended, or the rest was cut after the drain time.
const STOPPED: [Option<i32>; 2] = [Some(0), Some(5)];

/// The servers that runbooks start, stop and change.
pub(super) struct Servers {
    pub(super) worker: Option<Process>,
    pub(super) broker: Broker,
    pub(super) postgres: Option<Postgres>,
    /// The port of the broker's management plugin, if it has one.
    pub(super) management: Option<u16>,
    /// Variables of the terminal beside those of the worker.
    pub(super) environment: HashMap<String, String>,
    /// Where the worker that was seen last listened.
    pub(super) last_address: Option<String>,
}

impl Servers {
    /// Returns the servers of a test that harms none of those that all tests share.
    pub(super) fn shared() -> Self {
        Self::with(Broker::shared().clone())
    }

    /// Returns the servers of a test with a broker of its own.
    pub(super) fn with(broker: Broker) -> Self {
        Self { worker: None, broker, postgres: None, management: None, environment: HashMap::new(), last_address: None }
    }

    /// Returns the address that the worker listens at, or did before it ended.
    pub(super) fn address(&mut self, stage: &Stage) -> String {
        if let Some(worker) = &self.worker {
            self.last_address = Some(worker.address.to_string());
        }
        let configured = || stage.environment["COURIER_OBSERVE__LISTEN"].clone();
        self.last_address.clone().unwrap_or_else(configured)
    }

    /// Carries out one command that a program of the terminal passes on, and answers with its exit code and its output.
    pub(super) async fn serve(&mut self, connection: TcpStream, stage: &Stage) {
        let mut connection = BufReader::new(connection);
        let mut command = String::new();
        connection.read_line(&mut command).await.expect("a command");
        let words: Vec<&str> = command.split_whitespace().collect();
        let (code, said) = self.carry_out(&words, stage).await;
        // A program that was stopped does not read the answer.
        drop(connection.get_mut().write_all(format!("{code}\n{said}").as_bytes()).await);
    }

    async fn carry_out(&mut self, words: &[&str], stage: &Stage) -> (i32, String) {
        match words {
            ["rabbitmqctl", arguments @ ..] => {
                let said = tokio::task::block_in_place(|| self.broker.ctl(arguments));
                (0, format!("{said}\n"))
            }
            ["systemctl", "is-active", "testmo-courier"] => match &self.worker {
                Some(_) => (0, "active\n".into()),
                None => (3, "inactive\n".into()),
            },
            ["systemctl", "start", "testmo-courier"] => {
                self.launch(stage);
                (0, String::new())
            }
            ["systemctl", "stop", "testmo-courier"] => {
                self.stop().await;
                (0, String::new())
            }
            ["systemctl", "restart", "testmo-courier"] => {
                self.stop().await;
                self.launch(stage);
                (0, String::new())
            }
            ["systemctl", "start", "rabbitmq-server"] => {
                tokio::task::block_in_place(|| self.broker.boot());
                (0, String::new())
            }
            ["systemctl", "start", "postgresql"] => {
                let postgres = self.postgres.as_ref().expect("a server of the test's own");
                tokio::task::block_in_place(|| postgres.boot());
                (0, String::new())
            }
            other => panic!("no server of a test knows {other:?}"),
        }
    }

    fn launch(&mut self, stage: &Stage) {
        self.worker = Some(Process::launch(stage));
    }

    async fn stop(&mut self) {
        let Some(mut worker) = self.worker.take() else { return };
        worker.signal("TERM");
        let status = worker.exit().await;
        assert!(STOPPED.contains(&status.code()), "{status}: {}", worker.output());
    }
}
