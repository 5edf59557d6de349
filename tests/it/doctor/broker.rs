//! Injects faults of the broker.

use std::net::TcpListener;

use super::{doctor, doctor_with, examined, follow};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::Stage;
use crate::support::tls_front::TlsFront;
use crate::support::wire::Authority;

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_queue_is_declared_and_one_with_other_arguments_gets_its_settings_back() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let settings = [("COURIER_AMQP__CASES_QUEUE", "testmo.other")];
    let found = doctor_with(&stage, &settings);
    found.has("error topology");
    let (code, said) = follow(&stage, &found.command("topology"), &settings);
    assert_eq!(code, Some(0), "{said}");
    doctor_with(&stage, &settings).is_healthy();
    let found = doctor_with(&stage, &[("COURIER_AMQP__DELIVERY_LIMIT", "51")]);
    found.has("error topology");
    assert!(
        found.finding("topology")["remedy"].to_string().contains("Set the configuration to the values"),
        "{found:?}"
    );
    doctor_with(&stage, &[("COURIER_AMQP__DELIVERY_LIMIT", "50")]).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_missing_host_and_a_silent_one_are_found_within_their_limits() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let url = stage.config.amqp.url.clone();
    let wrong = url.replace("guest:guest", "guest:wrong");
    let found = doctor_with(&stage, &[("COURIER_AMQP__URL", &wrong)]);
    found.has("error broker");
    assert!(found.finding("broker")["remedy"].to_string().contains("Check user and password"), "{found:?}");
    assert!(!found.report.to_string().contains("wrong@"), "{found:?}");
    doctor_with(&stage, &[("COURIER_AMQP__URL", &url)]).is_healthy();

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address");
    let nowhere = format!("amqp://guest:guest@{address}/v");
    let limit = ("COURIER_AMQP__CONNECT_TIMEOUT", "1s");
    let found = doctor_with(&stage, &[("COURIER_AMQP__URL", &nowhere), limit]);
    found.has("error broker");
    let not_done: Vec<_> = found.report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| !check["not_done"].is_null())
        .collect();
    assert_eq!(not_done.len(), 3, "certificate, topology and limits: {found:?}");
    drop(silent);
    doctor_with(&stage, &[("COURIER_AMQP__URL", &nowhere), limit]).has("error broker");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_size_that_the_broker_refuses_is_lowered() {
    let broker = Broker::start();
    broker.ctl(&["-q", "eval", "application:set_env(rabbit,max_message_size,9000000)."]);
    let stage = Stage::on(&broker, &["acme"], &[]).await;
    doctor(&stage).is_healthy();
    let found = doctor_with(&stage, &[("COURIER_AMQP__MAX_MESSAGE_BYTES", "9500000")]);
    found.has("warning limits");
    doctor_with(&stage, &[("COURIER_AMQP__MAX_MESSAGE_BYTES", "9000000")]).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_broker_that_expires_soon_is_renewed() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let authority = Authority::new();
    let trusted = stage.path("ca.pem");
    std::fs::write(&trusted, &authority.pem).expect("a file");
    let server = ([127, 0, 0, 1], Broker::shared().port()).into();
    let front = TlsFront::start(server, authority.expiring("127.0.0.1", 5)).await;
    let url = format!("amqps://guest:guest@{}/{}", front.address, stage.vhost);
    let examine = || {
        let mut program = command(&stage);
        program.env("COURIER_AMQP__URL", &url).env("SSL_CERT_FILE", &trusted);
        examined(program, &[])
    };
    examine().has("warning broker_certificate");
    front.renew(authority.expired("127.0.0.1"));
    examine().has("error broker");
    front.renew(authority.server("127.0.0.1"));
    examine().is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_a_broker_with_an_authority_of_its_own_is_read_with_the_settings_of_the_worker() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let authority = Authority::new();
    let trusted = stage.path("ca.pem").display().to_string();
    std::fs::write(&trusted, &authority.pem).expect("a file");
    let server = ([127, 0, 0, 1], Broker::shared().port()).into();
    let front = TlsFront::start(server, authority.expiring("127.0.0.1", 5)).await;
    let url = format!("amqps://guest:guest@{}/{}", front.address, stage.vhost);
    stage.environment.insert("COURIER_AMQP__URL".into(), url);
    let found = doctor(&stage);
    found.has("error broker");
    assert!(found.finding("broker")["remedy"].to_string().contains("amqp.ca_file"), "{found:?}");
    stage.environment.insert("COURIER_AMQP__CA_FILE".into(), trusted);
    doctor(&stage).has("warning broker_certificate");
    front.renew(authority.server("127.0.0.1"));
    let found = doctor(&stage);
    found.is_healthy();
    assert!(found.is_done("broker_certificate"), "{found:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_with_few_rights_may_not_examine_is_a_note() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let (broker, vhost) = (Broker::shared(), stage.vhost.as_str());
    for (user, rights, notes) in [
        ("doctor-wide", ["^testmo\\.", "^testmo\\.", "^testmo\\."], vec!["limits"]),
        (
            "doctor-narrow",
            ["^$", "^testmo\\.events$", "^testmo\\.(cases|cases\\.dead|unrouted)$"],
            vec!["topology", "limits"],
        ),
    ] {
        broker.ctl(&["add_user", user, "secret"]);
        broker.ctl(&[["set_permissions", "-p", vhost, user].as_slice(), &rights].concat());
        let url = broker.url(vhost).replace("guest:guest", &format!("{user}:secret"));
        let found = doctor_with(&stage, &[("COURIER_AMQP__URL", &url)]);
        found.is_healthy();
        for check in notes {
            assert_eq!(found.finding(check)["severity"], "note", "{user}: {found:?}");
        }
    }
    stage.end().await;
}
