//! Gives users of the broker the permissions that docs/operating.md lists, and checks what each can and cannot do.

use std::path::Path;
use std::process::Command;

use crate::examples::Consumer;
use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::Stage;
use crate::support::waiting::until;

const PAGE: &str = include_str!("../../docs/operating.md");
const PASSWORD: &str = "secret";

/// The queue of the consumer in `examples/python`.
const EVENTS: &str = "my-generator.events";

/// Returns the users of the page, each with its patterns for configure, write and read.
fn users() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("rabbitmqctl set_permissions "));
    let user = |line: &'static str| {
        let mut words = line.split(' ').map(|word| word.trim_matches('\''));
        (words.next().expect("a user"), words.collect())
    };
    lines.map(user).collect()
}

fn permit(vhost: &str, user: &str, patterns: &[&str]) {
    let words = [["set_permissions", "-p", vhost, user].as_slice(), patterns].concat();
    Broker::shared().ctl(&words);
}

fn url(user: &str, vhost: &str) -> String {
    Broker::shared().url(vhost).replace("guest:guest", &format!("{user}:{PASSWORD}"))
}

/// Runs a command as a user of the broker; returns its exit code and whole output.
fn run(stage: &Stage, user: &str, vhost: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut program = command(stage);
    program.args(arguments).env("COURIER_AMQP__URL", url(user, vhost));
    run_reading(program, "")
}

/// Writes a batch with this id into a file, and returns its path.
fn file(stage: &Stage, id: &str) -> String {
    let path = stage.path(&format!("{id}.json"));
    std::fs::write(&path, batch("acme", id, 1).to_string()).expect("a file");
    path.display().to_string()
}

/// Starts the consumer of the examples as the user for consumers.
async fn consumer(stage: &Stage) -> Consumer {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python/consume.py");
    // Debian's interpreter has Debian's library; another one may come first in the path.
    let mut python = Command::new("/usr/bin/python3");
    python.arg(example).arg(EVENTS).arg(stage.path("seen")).env("AMQP_URL", url("consumer", &stage.vhost));
    let mut consumer = Consumer::start(python, stage.path("consumed"));
    consumer.prints("ready").await;
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_of_the_broker_can_do_its_work_and_nothing_else() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let (broker, vhost, fresh) = (Broker::shared(), stage.vhost.clone(), format!("{}-fresh", stage.vhost));
    let users = users();
    let names: Vec<&str> = users.iter().map(|(user, _)| *user).collect();
    assert_eq!(names, ["courier", "courier-narrow", "generator", "consumer", "watcher"]);
    for (user, patterns) in &users {
        broker.ctl(&["add_user", user, PASSWORD]);
        permit(&vhost, user, patterns);
    }
    broker.add_vhost(&fresh);
    permit(&fresh, names[0], &users[0].1);
    let (code, said) = run(&stage, names[0], &fresh, &["topology", "declare"]);
    assert_eq!(code, Some(0), "{said}");

    let mut consumer = consumer(&stage).await;
    for (worker, declares) in [("courier", "true"), ("courier-narrow", "false")] {
        stage.environment.insert("COURIER_AMQP__URL".into(), url(worker, &vhost));
        stage.environment.insert("COURIER_AMQP__DECLARE_TOPOLOGY".into(), declares.into());
        let process = Process::start(&stage).await;
        let (waited, published) = (format!("{worker}-waited"), format!("{worker}-published"));
        let (code, said) = run(&stage, "watcher", &vhost, &["publish", "--wait", &file(&stage, &waited)]);
        assert!(code == Some(0) && said.contains(&format!("delivered   acme/{waited}")), "{said}");
        let (code, said) = run(&stage, "generator", &vhost, &["publish", &file(&stage, &published)]);
        assert_eq!(code, Some(0), "{said}");
        consumer.prints(&format!("delivered {published}")).await;
        process.stop().await;
    }
    until(async || broker.depth(&vhost, EVENTS) == 0).await;
    drop(consumer);

    let refused = file(&stage, "refused");
    let declare: &[&str] = &["topology", "declare"];
    let publish: &[&str] = &["publish", &refused];
    let wait: &[&str] = &["publish", "--wait", &refused];
    for (user, arguments) in [
        ("courier-narrow", declare),
        ("courier-narrow", publish),
        ("generator", declare),
        ("generator", wait),
        ("consumer", declare),
        ("consumer", publish),
        ("watcher", declare),
    ] {
        let (code, said) = run(&stage, user, &vhost, arguments);
        assert!(code != Some(0) && said.contains("ACCESS_REFUSED"), "{user} {arguments:?}: {said}");
    }
    stage.end().await;
}
