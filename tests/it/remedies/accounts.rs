//! Follows the remedies of what waits for a Testmo that fails, is throttled, or is paused.

use std::net::SocketAddr;

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_sim::Method;
use testmo_sim::faults::{CutAt, Fault, PathKind, RetryAfter, Rule};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::follow::{delivered_automatically, read};
use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::Stage;

/// Passes connections on to another address until `tasks` is dropped, as a Testmo that can be reached again.
async fn pass_on(from: SocketAddr, to: SocketAddr, tasks: &mut JoinSet<()>) {
    let listener = TcpListener::bind(from).await.expect("the port that was free before");
    tasks.spawn(async move {
        let mut passing = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            passing.spawn(async move {
                let mut server = TcpStream::connect(to).await.expect("the stand-in");
                // The end of either side is no failure.
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn an_account_that_works_again_is_tried_at_once_if_a_person_wants() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{gone}/acme");
    let settings = [
        ("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origin.as_str()),
        ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "6m"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme", "slow", "failing", "silent"], &settings).await;
    stage.connect_as_proven("gone", &origin).await;
    stage.account("acme").give_key(1, &key_of("gone"));
    let hour = Fault::throttled(Some(RetryAfter::Seconds(3_600)));
    stage.account("slow").set_faults([on_create(hour).times(1)]);
    stage.account("failing").set_faults([on_create(Fault::status(503))]);
    stage.account("silent").set_faults([on_create(Fault::Cut { at: CutAt::BeforeCommit })]);
    let mut tasks = JoinSet::new();
    stage.start_worker();
    let tenants = [
        ("slow", Reason::Throttled),
        ("failing", Reason::ServerError),
        ("silent", Reason::NoAnswer),
        ("gone", Reason::Unreachable),
    ];
    for (tenant, _) in tenants {
        stage.publish(&batch(tenant, "b-1", 1)).await;
    }
    for (tenant, reason) in tenants {
        let shown = read(&stage, &format!("{tenant}/b-1"), reason).await;
        assert!(reason.remedy().starts_with("Nothing to do: "), "{reason}");
        if tenant == "gone" {
            let testmo = stage.testmo.origin("acme");
            let address = testmo.trim_start_matches("http://").split('/').next().unwrap();
            pass_on(gone, address.parse().unwrap(), &mut tasks).await;
        } else {
            stage.account(tenant).clear_faults();
        }
        shown.follow(&stage, "lanes resume", &[]);
        stage.delivered(&format!("{tenant}/b-1")).await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn what_needs_nobody_is_delivered_automatically() {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["garbled", "unread"], &settings).await;
    stage.account("garbled").set_faults([on_create(Fault::Garbage).times(1)]);
    // Lists are asked for sorted, and again without.
    stage.account("unread").set_faults([Rule::always(Fault::status(422)).on(Method::Get, PathKind::Folders).times(2)]);
    stage.start_worker();
    stage.publish(&batch("garbled", "b-1", 2)).await;
    delivered_automatically(&mut stage, "garbled/b-1", Reason::Unclear).await;
    assert_eq!(stage.account("garbled").case_names(), names("b-1", 2), "nothing is created twice");
    let mut sorted = batch("unread", "b-1", 1);
    sorted["folder_path"] = json!(["Checkout"]);
    stage.publish(&sorted).await;
    delivered_automatically(&mut stage, "unread/b-1", Reason::ReadFailed).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_pause_is_ended_for_the_tenant_or_the_account() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let origin = stage.testmo.origin("acme");
    let pause = |stage: &Stage, lane: &str| {
        let paused = command(stage).args(["lanes", "pause", lane]).output().expect("the program");
        assert!(paused.status.success(), "{paused:?}");
    };
    stage.start_worker();
    for (n, lane) in ["acme", origin.as_str()].into_iter().enumerate() {
        let (id, subject) = (format!("b-{n}"), format!("acme/b-{n}"));
        pause(&stage, lane);
        stage.publish(&batch("acme", &id, 1)).await;
        let shown = read(&stage, &subject, Reason::Paused).await;
        let waits =
            format!("resumes {}: lanes resume {lane}", if lane == "acme" { "the tenant" } else { "the account" });
        assert!(shown.text.contains(&waits), "{}", shown.text);
        assert_eq!(shown.text.matches("testmo-courier lanes resume").count(), 1, "{}", shown.text);
        let (_, said) = shown.run(&stage, "lanes resume", &[]);
        assert!(said.contains("1 batch waits for it on the shelf"), "{said}");
        stage.delivered(&subject).await;
    }
    stage.end().await;
}
