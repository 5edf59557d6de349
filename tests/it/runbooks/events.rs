//! Carries out the runbooks of events that do not reach a consumer.

use std::time::Duration;

use testmo_courier::store::UnboundStore;

use super::certificates;
use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::replay::courier;
use crate::support::batches::batch;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// The test that has a broker for these runbooks.
pub(super) const TEST: fn() = certificates::a_renewed_certificate_is_taken_over;

/// Times by which an event that no queue is bound for is old at once.
const SOON: [(&str, &str); 2] = [("COURIER_STORE__RETENTION", "24h"), ("COURIER_EVENTS__UNROUTABLE_ALERT_AFTER", "1s")];
const ALERTS: [&str; 3] = ["CourierEventsUnroutable", "CourierEventsExpiring", "CourierEventsNotPublished"];

/// Has a queue that takes one event and rejects the others, as a consumer leaves it that has gone.
const FULL: &str = "rabbitmqadmin declare queue name=full durable=true \
                    arguments='{\"x-max-length\": 1, \"x-overflow\": \"reject-publish\"}'\n\
                    rabbitmqadmin declare binding source=testmo.events destination=full routing_key='dune.#'";

/// Has no queue be bound for the events of some tenants, and a full queue reject those of another one.
async fn faulty(servers: Servers) -> Desk {
    let stage = Stage::on(&servers.broker, &["acme", "birch", "cedar", "dune"], &SOON).await;
    let mut desk = Desk::of(stage, servers).await;
    let (code, said) = desk.run(FULL).await;
    assert_eq!(code, Some(0), "{said}");
    desk.stage.listen_only_to("dune.#").await;
    desk.stage.start_worker();
    for (tenant, id) in
        [("acme", "b-1"), ("birch", "b-1"), ("cedar", "b-1"), ("dune", "b-1"), ("dune", "b-2"), ("dune", "b-3")]
    {
        desk.stage.publish(&batch(tenant, id, 1)).await;
        desk.stage.settled(&format!("{tenant}/{id}")).await;
    }
    let unroutable =
        async || desk.stage.store.unbound_counts(Duration::ZERO, Duration::ZERO).await.expect("a store").events;
    until(async || unroutable().await == 3).await;
    // A worker that stops does not wait for events.
    desk.stage.stop_worker().await;
    desk
}

pub(super) async fn events_reach_their_consumers(servers: Servers) {
    let mut desk = faulty(servers).await;
    desk.start().await;
    let before = desk.scrape();
    until_firing(&desk, &ALERTS, &before).await;
    until(async || desk.worker().output().contains("an event could not be published")).await;

    let mut page = Page::of("CourierEventsNotPublished");
    page.follow(&mut desk, "journalctl", &[]).await;
    page.follow(&mut desk, "topology check", &[]).await;
    let said = page.follow(&mut desk, "list queues", &[]).await;
    assert!(said.contains("full"), "{said}");
    page.follow(&mut desk, "delete queue", &[("QUEUE", "full")]).await;
    page.done();

    let mut page = Page::of("CourierEventsUnroutable");
    let said = page.follow(&mut desk, "list bindings", &[]).await;
    assert!(said.contains("dune.#") && !said.contains("acme.#"), "{said}");
    page.follow(&mut desk, "declare binding", &[("QUEUE", "consumer"), ("TENANT", "acme")]).await;
    page.done();
    let shown = async || courier(&desk.stage, &["batches", "show", "acme/b-1"]).await.1;
    until(async || shown().await.contains("confirmed by the broker")).await;

    let mut page = Page::of("CourierEventsExpiring");
    page.follow(&mut desk, "list bindings", &[]).await;
    page.follow(&mut desk, "events tail", &[("COUNT", "2")]).await;
    let printed = std::fs::read_to_string(desk.stage.path("events.json")).expect("the events");
    assert!(printed.contains("birch/b-1") && printed.contains("cedar/b-1"), "{printed}");
    page.follow(&mut desk, "declare binding", &[("QUEUE", "everything")]).await;
    page.follow(&mut desk, "systemctl restart", &[]).await;
    page.done();
    desk.ready().await;
    for n in 1..=3 {
        desk.stage.delivered(&format!("dune/b-{n}")).await;
    }
    desk.stage.all_sent().await;
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}
