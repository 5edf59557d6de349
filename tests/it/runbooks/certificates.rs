//! Carries out the runbook of a certificate that ends soon, over a broker of its own.

use super::desk::Desk;
use super::events;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::encrypted::{CA, CERTIFICATE, Certificates, HOST, KEY};
use crate::support::batches::batch;
use crate::support::broker::Broker;
use crate::support::stage::Stage;

/// The broker also has the management plugin, because the runbooks of events need it.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_renewed_certificate_is_taken_over() {
    let own = Certificates::new();
    let (broker, tls_port, management) = Broker::start_managed(own.server(own.authority.expiring_pems(HOST, 5)));
    let servers = || Servers { management: Some(management), ..Servers::with(broker.clone()) };
    let port = tls_port.to_string();
    let place = [("HOST", HOST), ("PORT", port.as_str())];
    let expiring = async {
        let mut desk = Desk::of(Stage::on(&broker, &["acme"], &[]).await, servers()).await;
        let url = format!("amqps://guest:guest@{HOST}:{tls_port}/{}", desk.stage.vhost);
        desk.stage.environment.insert("COURIER_AMQP__URL".into(), url);
        for (name, file) in [(CA, "ca.pem"), (CERTIFICATE, "client.pem"), (KEY, "client-key.pem")] {
            desk.stage.environment.insert(name.into(), own.path(file).display().to_string());
        }
        desk.start().await;
        let before = desk.scrape();
        until_firing(&desk, &["CourierCertificateExpiring"], &before).await;
        let mut page = Page::of("CourierCertificateExpiring");
        page.follow(&mut desk, "tenants list", &[]).await;
        let ends = page.follow(&mut desk, "openssl", &place).await;
        assert!(ends.starts_with("notAfter="), "{ends}");
        (desk, page, ends)
    };
    // The events are published before the connections are closed.
    let ((mut desk, mut page, ends), ()) = tokio::join!(expiring, events::events_reach_their_consumers(servers()));

    // The person renews the files.
    own.server(own.authority.pems(HOST));
    page.follow(&mut desk, "close_all_connections", &[]).await;
    assert_ne!(page.follow(&mut desk, "openssl", &place).await, ends);
    desk.ready().await;
    until_silent(&desk, &["CourierCertificateExpiring"]).await;
    page.done();
    desk.stage.listen_again().await;
    desk.stage.publish_at_last(&batch("acme", "b-1", 1)).await;
    desk.stage.delivered("acme/b-1").await;
    desk.end().await;
}
