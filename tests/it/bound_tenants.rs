//! Refuses messages that were not published for the tenant that they name.

use testmo_courier::amqp::topology::{Object, Routing};
use testmo_courier::amqp::{connect_once, declare};
use testmo_courier::batch::Reason;

use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::{LeftOver, Stage};

/// Waits until so many messages are dead because of their tenant, and checks that nothing names the tenant.
async fn refused(stage: &Stage, count: usize) {
    let shelf = stage.shelf_until(|shelf| shelf.len() == count).await;
    for row in shelf {
        let detail = row.content.detail.clone().unwrap_or_default();
        assert_eq!((row.content.reason, row.tenant()), (Reason::InvalidMessage, None), "{detail}");
        assert!(detail.starts_with("/tenant_id is `acme`"), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_only_with_the_routing_key_of_its_tenant() {
    let settings = [("COURIER_AMQP__TENANT_BINDING", "routing_key")];
    let mut stage = Stage::on(Broker::shared(), &["acme", "birch"], &settings).await;
    stage.start_worker();
    let publish = async |stage: &Stage, routing_key: &str, id: &str| {
        let body = batch("acme", id, 1).to_string().into_bytes();
        stage.publish_to(routing_key, body).await.expect("a published message");
    };
    publish(&stage, "batch.acme", "b-1").await;
    stage.delivered("acme/b-1").await;
    for (routing_key, id) in [("batch.birch", "b-2"), ("batch", "b-3")] {
        publish(&stage, routing_key, id).await;
    }
    // An exchange of the publisher's own, for which the broker does not limit the routing keys.
    let amqp = &stage.config.amqp;
    let own = [
        Object::Exchange { name: "evil".to_owned(), routing: Routing::Topic, arguments: vec![] },
        Object::Binding { exchange: "evil".to_owned(), queue: amqp.cases_queue.clone(), routing_key: "#".to_owned() },
    ];
    let link = connect_once(amqp, "evil").await.expect("a link");
    declare(&link, &own).await.expect("an exchange of its own");
    link.close().await;
    let body = batch("acme", "b-4", 1).to_string().into_bytes();
    stage.raw_publisher().publish("evil", b"batch.acme", 0, b"", &body).expect("a published message");
    refused(&stage, 3).await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// The flags of a message that has a delivery mode and a user id. Source: AMQP 0-9-1, class basic.
const MODE_AND_USER: u16 = (1 << 12) | (1 << 4);
/// Persistent, and published by the user of every test.
const BY_GUEST: &[u8] = b"\x02\x05guest";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_only_from_the_user_of_its_tenant() {
    let settings = [("COURIER_AMQP__TENANT_BINDING", "user_id")];
    let mut stage = Stage::on(Broker::shared(), &["guest", "acme"], &settings).await;
    stage.start_worker();
    let (exchange, mut publisher) = (stage.config.amqp.cases_exchange.clone(), stage.raw_publisher());
    let mut publish = |tenant: &str, id: &str| {
        let body = batch(tenant, id, 1).to_string().into_bytes();
        publisher.publish(&exchange, b"batch", MODE_AND_USER, BY_GUEST, &body).expect("a published message");
    };
    publish("guest", "b-1");
    publish("acme", "b-2");
    stage.delivered("guest/b-1").await;
    stage.publish(&batch("acme", "b-3", 1)).await;
    refused(&stage, 2).await;

    let publish = |tenant: &str, variables: &[(&str, &str)]| {
        let file = stage.path("batch.json");
        std::fs::write(&file, batch(tenant, "b-4", 1).to_string()).expect("a file");
        let output = command(&stage).envs(variables.iter().copied()).arg("publish").arg(file).output();
        let output = output.expect("the program");
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    };
    let (code, said) = publish("acme", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing was published") && said.contains("`acme` in COURIER_AMQP__URL"), "{said}");
    let whole = stage.config.amqp.url.clone();
    Broker::shared().ctl(&["add_user", "acme", "hunter-1"]);
    Broker::shared().ctl(&["set_permissions", "-p", &stage.vhost, "acme", "^$", "^testmo\\.cases$", "^$"]);
    let (code, said) = publish("acme", &[("COURIER_AMQP__URL", &whole.replace("guest:guest", "acme:hunter-1"))]);
    assert_eq!(code, Some(0), "the remedy was followed: {said}");
    stage.delivered("acme/b-4").await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
