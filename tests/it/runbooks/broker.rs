//! Carries out the runbook of connections to RabbitMQ that are down, over a broker of its own.

use super::desk::Desk;
use super::page::Page;
use super::rules::{Scrape, until_firing, until_silent};
use super::servers::Servers;
use crate::support::batches::batch;
use crate::support::broker::{Broker, QUEUE_SETTLES};
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

const ALERT: [&str; 1] = ["CourierBrokerDown"];
const ADDRESS: &str = "COURIER_AMQP__URL";

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn connections_to_a_broker_come_back() {
    let broker = Broker::start();
    // A worker that may not declare anything, as in production.
    let settings = [("COURIER_AMQP__DECLARE_TOPOLOGY", "false")];
    let stage = Stage::on(&broker, &["acme"], &settings).await;
    tokio::time::sleep(QUEUE_SETTLES).await;
    let mut desk = Desk::of(stage, Servers::with(broker.clone())).await;
    let vhost = desk.stage.vhost.clone();
    let right = desk.stage.environment[ADDRESS].clone();
    let mut page = Page::of("CourierBrokerDown");

    // Nothing answers at the address that was entered.
    let wrong = right.replace(&broker.port().to_string(), "1");
    desk.stage.environment.insert(ADDRESS.into(), wrong);
    desk.servers.worker = Some(Process::launch(&desk.stage));
    until_firing(&desk, &ALERT, &Scrape::none()).await;
    page.follow(&mut desk, "journalctl", &[]).await;
    page.finds(&mut desk, "topology check", &[], 3).await;
    // The person corrects the setting.
    desk.stage.environment.insert(ADDRESS.into(), right.clone());
    page.follow(&mut desk, "systemctl restart", &[]).await;
    desk.ready().await;
    until_silent(&desk, &ALERT).await;
    let before = desk.scrape();

    broker.kill();
    until_firing(&desk, &ALERT, &before).await;
    page.follow(&mut desk, "systemctl start rabbitmq-server", &[]).await;
    desk.ready().await;
    until_silent(&desk, &ALERT).await;
    let said = page.follow(&mut desk, "rabbitmqctl status", &[]).await;
    assert!(said.contains("Alarms"), "{said}");

    broker.ctl(&["delete_queue", "-p", &vhost, "testmo.unrouted"]);
    until_firing(&desk, &ALERT, &before).await;
    page.follow(&mut desk, "topology declare", &[]).await;
    until_silent(&desk, &ALERT).await;

    // The worker gets a user of its own, whose rights are forgotten.
    desk.stop().await;
    broker.ctl(&["add_user", "courier", "secret"]);
    desk.stage.environment.insert(ADDRESS.into(), right.replace("guest:guest@", "courier:secret@"));
    desk.servers.worker = Some(Process::launch(&desk.stage));
    until_firing(&desk, &ALERT, &before).await;
    page.follow(&mut desk, "set_permissions", &[("VHOST", &vhost), ("USER", "courier")]).await;
    page.done();
    desk.ready().await;
    until_silent(&desk, &ALERT).await;
    desk.stage.listen_again().await;
    desk.stage.publish_at_last(&batch("acme", "b-1", 1)).await;
    desk.stage.delivered("acme/b-1").await;
    until(async || broker.depth(&vhost, "testmo.cases") == 0).await;
    desk.end().await;
}
