//! Opens connections that are refused or not answered, and checks the topology.

use std::time::Duration;

use testmo_courier::amqp::topology::topology;
use testmo_courier::amqp::*;
use testmo_courier::config::Amqp;

use super::{Setup, defaults, queue, text};
use crate::support::broker::Broker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_and_a_missing_one_are_found() {
    let stage = Setup::new(Broker::shared(), "findings");
    let link = connect_once(&stage.config, "test").await.expect("a connection");
    let objects = topology(&stage.config);
    let missing = check(&link, &objects).await.expect("a check").mismatches;
    assert_eq!(missing.len(), 7);
    assert!(missing.iter().all(|finding| finding.problem == Problem::Missing));
    assert_eq!(missing[0].to_string(), "fanout exchange `testmo.unrouted` does not exist");

    let other = queue("testmo.cases", vec![text("x-queue-type", "quorum")]);
    assert_eq!(declare(&link, &[other]).await.expect("a declaration"), []);
    let different = declare(&link, &objects).await.expect("a declaration");
    assert_eq!(different.len(), 1);
    assert_eq!(different[0].problem, Problem::Different);
    assert!(different[0].to_string().starts_with("queue `testmo.cases` differs"), "{}", different[0]);
    let checked = Checked { mismatches: different, uncompared: Vec::new() };
    assert_eq!(check(&link, &objects).await.expect("a check"), checked);
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_names_cause_and_remedy_but_no_password() {
    let stage = Setup::new(Broker::shared(), "refused");
    let good = stage.config.url.clone();
    let cases = [
        (good.replace("guest:guest@", "guest:s3cr3t@"), "refused the user or the password"),
        (good.replace("/refused", "/nowhere"), "refused the virtual host"),
        (good.replace("127.0.0.1", "nowhere.invalid"), "cannot reach amqp://nowhere.invalid"),
        (good.replace("amqp://", "amqps://"), "no TLS connection to"),
        ("amqp://guest:s3cr3t@127.0.0.1:1/%2f".to_owned(), "cannot reach"),
        ("amqp:s3cr3t".to_owned(), "not of the form"),
    ];
    for (url, expected) in cases {
        let config = Amqp { url, ..stage.config.clone() };
        let error = connect_once(&config, "test").await.err().expect("no connection");
        assert!(error.to_string().contains(expected), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cr3t"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_says_nothing_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("amqp://{}/%2f", silent.local_addr().expect("an address"));
    let config = Amqp { url, connect_timeout: Duration::from_millis(300), ..defaults() };
    let error = connect_once(&config, "test").await.err().expect("no connection");
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
}
