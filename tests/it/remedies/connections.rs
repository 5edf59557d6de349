//! Follows the remedies of connections that do not work, and of batches that want a folder of their own.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::connections::{ConnectionRow, WriteOutcome};
use testmo_courier::store::shelf::ShelfFilter;
use testmo_sim::faults::{Fault, Rule};
use testmo_sim::model::Role;

use super::follow::read;
use crate::support::batches::{batch, key_of, names, on_create, tenant_id};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// Runs a command that has to succeed, and returns what it says.
fn said(stage: &Stage, arguments: &[&str]) -> String {
    let output = command(stage).args(arguments).output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_tenant_is_connected_or_the_typing_error_corrected() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let origin = stage.testmo.origin("acme");
    stage.publish(&batch("late", "b-1", 1)).await;
    let late = read(&stage, "late/b-1", Reason::UnknownTenant).await;
    let typed = [("URL", origin.as_str()), ("ID", "1"), ("ID", "1")];
    let (code, said) = late.run_typing(&stage, "tenants set late", &typed, &key_of("acme"));
    assert_eq!(code, Some(0), "{said}");
    stage.delivered("late/b-1").await;

    stage.publish(&batch("ACME", "b-2", 1)).await;
    let mistyped = read(&stage, "ACME/b-2", Reason::UnknownTenant).await;
    let meant = mistyped.text.split_once("Did you mean `").and_then(|(_, rest)| rest.split_once('`')).expect("a name");
    stage.publish(&batch(meant.0, "b-2", 1)).await;
    stage.delivered("acme/b-2").await;
    mistyped.discard(&stage).await;
    assert_eq!(stage.account("acme").case_names().len(), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_connection_is_corrected_as_its_remedy_says() {
    let tenants = [
        ("old", Reason::Unverified),
        ("key", Reason::KeyRefused),
        ("role", Reason::Forbidden),
        ("gone", Reason::TargetMissing),
    ];
    let mut stage = Stage::with_tenants(&tenants.map(|(tenant, _)| tenant)).await;
    // As an earlier version may have left it.
    let stored = stage.store.connection(&tenant_id("old")).await.unwrap().unwrap();
    let unverified = ConnectionRow { verified_version: None, finding: None, ..stored };
    assert_eq!(stage.store.set_connection(&unverified).await.unwrap(), WriteOutcome::Done);
    stage.account("key").revoke(1);
    stage.account("role").set_role(1, Role::Read);
    assert!(stage.account("gone").delete_folder(1));
    stage.start_worker();
    for (tenant, _) in tenants {
        stage.publish(&batch(tenant, "b-1", 1)).await;
    }
    for (tenant, reason) in tenants {
        let subject = format!("{tenant}/b-1");
        let shown = read(&stage, &subject, reason).await;
        assert_eq!(stage.event_of(&subject).await["data"]["remedy"], reason.remedy());
        match tenant {
            "key" => {
                stage.account(tenant).give_key(1, "testmo_api_new");
                let (code, said) = shown.run_typing(&stage, "--new-api-key", &[], "testmo_api_new");
                assert_eq!(code, Some(0), "{said}");
            }
            "role" => {
                stage.account(tenant).set_role(1, Role::Write);
                shown.follow(&stage, "tenants verify", &[]);
            }
            "gone" => {
                let folder = stage.account(tenant).create_root_folder(1, "Generated").to_string();
                shown.follow(&stage, "tenants set", &[("ID", "1"), ("ID", &folder)]);
            }
            _ => shown.follow(&stage, "tenants verify", &[]),
        }
        stage.delivered(&subject).await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_base_url_or_what_answers_there_is_corrected() {
    let lost = format!("http://{}.invalid/lost", "a".repeat(64));
    let settings = [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", lost.as_str())];
    let mut stage = Stage::on(Broker::shared(), &["acme", "page", "unpaid"], &settings).await;
    assert!(!stage.connect_to("lost", &lost, &key_of("acme")).await);
    stage.account("page").set_faults([on_create(Fault::Html { after_commit: true })]);
    stage.account("unpaid").set_faults([Rule::always(Fault::page(402))]);
    stage.start_worker();
    let tenants = [("lost", Reason::WrongHost), ("page", Reason::NotTestmo), ("unpaid", Reason::UnexpectedStatus)];
    for (tenant, _) in tenants {
        stage.publish(&batch(tenant, "b-1", 1)).await;
    }
    for (tenant, reason) in tenants {
        let shown = read(&stage, &format!("{tenant}/b-1"), reason).await;
        if tenant == "lost" {
            let right = stage.testmo.origin("acme");
            let (code, said) = shown.run_typing(&stage, "--base-url", &[("URL", &right)], &key_of("acme"));
            assert_eq!(code, Some(0), "{said}");
        } else {
            stage.account(tenant).clear_faults();
            shown.follow(&stage, "tenants verify", &[]);
        }
        stage.delivered(&format!("{tenant}/b-1")).await;
    }
    assert_eq!(stage.account("page").case_names(), names("b-1", 1), "nothing is created twice");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn an_address_that_is_not_allowed_is_allowed_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let allowed = stage.config.testmo.allowed_insecure_origins.clone();
    stage.config.testmo.allowed_insecure_origins.clear();
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    read(&stage, "acme/b-1", Reason::AddressRefused).await;
    assert!(Reason::AddressRefused.remedy().contains("testmo.allowed_hosts"));
    stage.stop_worker().await;
    stage.config.testmo.allowed_insecure_origins = allowed;
    stage.start_worker();
    let shown = read(&stage, "acme/b-1", Reason::AddressRefused).await;
    shown.follow(&stage, "tenants verify", &[]);
    stage.delivered("acme/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_mapping_is_completed_as_the_detail_says() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.required_fields = vec!["custom_priority".into()]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let shown = read(&stage, "acme/b-1", Reason::ConnectionRejected).await;
    assert!(
        shown.text.lines().any(|line| line.starts_with("detail") && line.contains("custom_priority")),
        "{}",
        shown.text
    );
    std::fs::write(stage.path("mapping.json"), json!({"fixed": {"custom_priority": 2}}).to_string()).expect("a file");
    shown.follow(&stage, "--mapping", &[("FILE", "mapping.json")]);
    stage.delivered("acme/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_folder_is_created_under_an_amber_light() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let acme = stage.account("acme");
    let next = acme.create_folder(1, 1, "first") + 1;
    stage.start_worker();
    for id in ["moved", "given-up"] {
        let mut own = batch("acme", id, 1);
        own["folder_id"] = json!(if id == "moved" { next } else { 999 });
        stage.publish(&own).await;
    }
    let moved = read(&stage, "acme/moved", Reason::FolderMissing).await;
    let given_up = read(&stage, "acme/given-up", Reason::FolderMissing).await;
    let list = said(&stage, &["tenants", "list"]);
    assert!(
        list.contains("amber  acme") && list.contains("some wait for a person (2 batches for folder_missing)"),
        "{list}"
    );
    stage.publish(&batch("acme", "other", 1)).await;
    stage.delivered("acme/other").await;

    assert_eq!(acme.create_folder(1, 1, "second"), next);
    moved.follow(&stage, "tenants verify", &[]);
    stage.delivered("acme/moved").await;
    read(&stage, "acme/given-up", Reason::FolderMissing).await;
    given_up.discard(&stage).await;
    let mut elsewhere = batch("acme", "given-up-2", 1);
    elsewhere.as_object_mut().expect("an object").remove("folder_id");
    stage.publish(&elsewhere).await;
    stage.delivered("acme/given-up-2").await;
    until(async || stage.store.shelf(&ShelfFilter::default(), 1).await.expect("a store").is_empty()).await;
    let list = said(&stage, &["tenants", "list"]);
    assert!(list.contains("green  acme"), "{list}");
    stage.end().await;
}
