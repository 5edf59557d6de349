//! Injects faults of tenants and their Testmo.

use super::{change, doctor, examined, follow};
use crate::support::batches::key_of;
use crate::support::process::command;
use crate::support::stage::Stage;
use crate::support::tls_front::EncryptedTestmo;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_work_is_found_and_works_with_a_new_key() {
    let mut stage = Stage::with_tenants(&["acme", "globex"]).await;
    assert!(!stage.connect("globex", "globex", "testmo_api_wrong").await);
    let found = doctor(&stage);
    found.has("error tenants");
    let sentence = found.finding("tenants")["sentence"].to_string();
    assert!(sentence.contains("globex does not work (key_refused)"), "{found:?}");
    let (code, said) = follow(&stage, &found.command("tenants"), &[]);
    assert!(code == Some(0) && said.contains("globex"), "{said}");
    assert!(stage.connect("globex", "globex", &key_of("globex")).await);
    doctor(&stage).is_healthy();
    examined(command(&stage), &["--tenants", "1"]).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_allowed_any_more_is_found() {
    let stage = Stage::with_tenants(&["acme"]).await;
    let mut program = command(&stage);
    program.env("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", "");
    let found = examined(program, &[]);
    found.has("error tenants");
    doctor(&stage).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_testmo_that_expires_is_renewed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let testmo = EncryptedTestmo::of(&mut stage).await;
    stage.environment.insert("SSL_CERT_FILE".into(), testmo.trusted.clone());
    let (code, said) = testmo.connect(&stage);
    assert_eq!(code, Some(0), "{said}");
    doctor(&stage).is_healthy();
    for (config, finding) in [
        (testmo.authority.expiring("127.0.0.1", 5), "warning testmo"),
        (testmo.authority.expiring("127.0.0.1", 2), "error testmo"),
        (testmo.authority.expired("127.0.0.1"), "warning testmo"),
    ] {
        testmo.front.renew(config);
        doctor(&stage).has(finding);
    }
    testmo.front.renew(testmo.authority.server("127.0.0.1"));
    doctor(&stage).is_healthy();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_that_is_down_is_found_and_none_is_asked_while_its_account_is_paused() {
    let stage = Stage::with_tenants(&["acme"]).await;
    stage.testmo.stop().await;
    doctor(&stage).has("warning testmo");
    // For less than the minute from which on a person should know of a pause.
    let (account, until) = (stage.testmo.origin("acme"), jiff::Timestamp::now().as_millisecond() + 55_000);
    let pause = format!(
        "INSERT INTO accounts (account, pace) VALUES ('{account}', '{{\"gate_until\":{until}}}') \
         ON CONFLICT (account) DO UPDATE SET pace = excluded.pace"
    );
    change(&stage, &[&pause]).await;
    doctor(&stage).is_healthy();
    stage.end().await;
}
