//! Carries out `docs/support.md` command by command, as the evening on which 500 batches of three tenants have failed.

mod desk;
mod failures;
mod known;
mod outcome;
mod script;
mod setting;

use std::fs;
use std::path::{Path, PathBuf};

use self::desk::Desk;
use self::known::Known;
use self::script::{Script, Step};
use crate::support::batches::key_of;
use crate::support::broker::Broker;
use crate::support::excerpt;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/support.md")
}

/// An evening that is under way.
struct Evening<'a> {
    desk: Desk<'a>,
    known: Known,
    /// What the last commands printed.
    printed: Vec<String>,
    code: Option<i32>,
    /// How often the cases that were refused had been sent before the evening, to each of their accounts.
    sent: [usize; 2],
    /// What the page does not say as it is.
    differences: Vec<String>,
}

impl Evening<'_> {
    async fn carry_out(&mut self, step: &mut Step) {
        match step {
            Step::Text(_) => {}
            Step::Direction(direction) => self.follow(direction).await,
            Step::File { name, lines } => {
                fs::write(self.desk.stage.path(name), lines.join("\n")).expect("a file");
            }
            Step::Commands(commands) => {
                self.printed.clear();
                for command in commands {
                    self.differences.extend(self.known.unknown(command, &self.desk));
                    let (code, lines) = self.desk.run(command);
                    self.known.read(&lines);
                    self.code = code;
                    self.printed.extend(lines);
                }
            }
            Step::Output(excerpt) => {
                let Some(line) = excerpt::missing(excerpt, &self.printed) else { return };
                let printed = self.printed.join("\n");
                self.differences.push(format!("{line}\nis not what is printed:\n{printed}\n"));
                excerpt.clone_from(&self.printed);
            }
        }
    }

    /// Has something happen that is not a command of the page.
    async fn follow(&mut self, direction: &str) {
        let stage = self.desk.stage;
        match direction {
            "begins" | "ends" => {}
            "finds a problem" | "succeeds" => {
                let expected = i32::from(direction == "finds a problem");
                if self.code != Some(expected) {
                    self.differences.push(format!(
                        "ended with {:?}, not {expected}: {}",
                        self.code,
                        self.printed.join("\n")
                    ));
                }
            }
            "the customer generates a key" => {
                assert!(stage.account("lindenshop").give_key(1, "testmo_api_new"));
                self.desk.key = "testmo_api_new".into();
            }
            "what was published is searchable" => {
                let found = async || self.desk.run("testmo-courier find 'Pay order 17'").1.concat();
                until(async || found().await.contains("lindenshop/order-17")).await;
            }
            "the outage ends" => stage.account("voltara").clear_faults(),
            "waits until lindenshop's orders are delivered" => {
                outcome::arrived(stage, "lindenshop", "Pay order", failures::ORDERS).await;
            }
            "waits until northbank's logins are delivered" => {
                outcome::arrived(stage, "northbank", "Sign in with certificate", failures::LOGINS).await;
            }
            "one batch of each account was sent" => {
                let (sent, expected) = (outcome::times_sent(stage), self.sent.map(|before| before + 1));
                if sent != expected {
                    self.differences.push(format!("{sent:?} were sent, not {expected:?}"));
                }
            }
            "mapping.json gets the option" => {
                let draft = fs::read_to_string(stage.path("mapping.json")).expect("the draft");
                let line = "// \"Risk\": \"High\",";
                assert!(draft.contains(line), "{draft}");
                fs::write(stage.path("mapping.json"), draft.replace(line, "\"Risk\": \"Low\",")).expect("a file");
            }
            "the editor corrects the risk" => self.desk.editor = "sed -i s/Extreme/High/".into(),
            "the editor corrects the key" => self.desk.editor = "sed -i s/testcases/cases/".into(),
            other if other.starts_with("writes ") => {}
            other => panic!("nobody knows how this happens: {other}"),
        }
    }
}

async fn evening(mut stage: Stage, is_written: bool) {
    let process = Process::start(&stage).await;
    failures::happen(&mut stage).await;
    let mut script = Script::of(&fs::read_to_string(page()).expect("the page"));
    let desk = Desk { stage: &stage, key: key_of("lindenshop"), editor: "false".into() };
    let sent = outcome::times_sent(&stage);
    let mut evening = Evening { desk, known: Known::default(), printed: vec![], code: None, sent, differences: vec![] };
    for step in &mut script.steps {
        evening.carry_out(step).await;
    }
    let differences = evening.differences;
    if is_written && std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(page(), script.page()).expect("the page can be written");
    }
    assert!(
        differences.is_empty(),
        "docs/support.md does not show what is printed: {}\nUPDATE_DOCS=1 writes the whole outputs; shorten them with `…`",
        differences.join("\n")
    );
    let (code, left) =
        Desk { stage: &stage, key: String::new(), editor: String::new() }.run("testmo-courier shelf list");
    assert_eq!((code, left.concat().as_str()), (Some(0), "No matching entry is on the shelf."), "{left:#?}");
    outcome::every_case_is_there_once_and_none_that_was_discarded(&stage);
    stage.all_sent().await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evening_of_the_support_page_over_a_file() {
    evening(Stage::on(Broker::shared(), &failures::TENANTS, &failures::SETTINGS).await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evening_of_the_support_page_over_a_database() {
    evening(Stage::on_postgres(Postgres::shared(), &failures::TENANTS, &failures::SETTINGS).await, false).await;
}
