//! Carries out the runbooks of connections that do not work, of keys that expire, and of tenants that nobody has connected.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::Shelved;
use testmo_sim::model::Role;

use super::desk::Desk;
use super::entry_of;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::replay::{courier, says};
use crate::support::batches::{batch, in_days, key_of};
use crate::support::broker::Broker;
use crate::support::stage::Stage;

/// The test that carries these runbooks out.
pub(super) const TEST: fn() = what_waits_for_a_connection_is_delivered;

const ALERTS: [&str; 3] = ["CourierTenantConnectionFailing", "CourierApiKeyExpiring", "CourierUnknownTenant"];
const TENANTS: [&str; 9] = ["acme", "revoked", "role", "moved", "mapped", "changed", "left", "dated", "endless"];
const NEW_KEY: &str = "testmo_api_new";

/// Returns a stage on which each tenant has a fault of its own, and their batches are on the shelf.
async fn faulty() -> Stage {
    let lost = format!("http://{}.invalid/lost", "a".repeat(64));
    let settings = [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", lost.as_str())];
    let mut stage = Stage::on(Broker::shared(), &TENANTS, &settings).await;
    assert!(!stage.connect_to("lost", &lost, &key_of("acme")).await);
    for tenant in ["acme", "dated", "endless"] {
        says(courier(&stage, &["tenants", "set", tenant, "--expires", &in_days(3)]).await, 0, &[]);
    }
    stage.account("revoked").revoke(1);
    stage.account("left").revoke(1);
    stage.account("role").set_role(1, Role::Read);
    assert!(stage.account("moved").delete_folder(1));
    stage.account("mapped").change_settings(|settings| settings.required_fields = vec!["custom_priority".into()]);
    says(courier(&stage, &["tenants", "set", "changed", "--folder", "99"]).await, 1, &[]);
    says(courier(&stage, &["tenants", "verify", "left"]).await, 1, &[]);
    stage.start_worker();
    let faults = [
        ("revoked", Reason::KeyRefused),
        ("role", Reason::Forbidden),
        ("moved", Reason::TargetMissing),
        ("mapped", Reason::ConnectionRejected),
        ("lost", Reason::WrongHost),
        ("late", Reason::UnknownTenant),
        ("ACME", Reason::UnknownTenant),
    ];
    for (tenant, _) in faults {
        stage.publish(&batch(tenant, "b-1", 1)).await;
    }
    let shelf = stage.shelf_until(|shelf| shelf.len() == faults.len() && shelf.iter().all(|row| !row.leased)).await;
    for (tenant, reason) in faults {
        let is_it = |row: &&Shelved| row.tenant().is_some_and(|of| of.as_str() == tenant);
        assert_eq!(shelf.iter().find(is_it).expect("an entry").content.reason, reason, "{tenant}");
    }
    stage.stop_worker().await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_connection_is_delivered() {
    let mut desk = Desk::of(faulty().await, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    until_firing(&desk, &ALERTS, &before).await;
    connections(&mut desk).await;
    expiring_keys(&mut desk).await;
    unknown_tenants(&mut desk).await;
    desk.stage.shelf_until(<[_]>::is_empty).await;
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}

async fn connections(desk: &mut Desk) {
    let mut page = Page::of("CourierTenantConnectionFailing");
    page.follow(desk, "tenants list", &[]).await;
    page.finds(desk, "verify --all", &[], 1).await;
    page.follow(desk, "shelf list", &[("TENANT", "revoked")]).await;

    // The people at the tenant correct what the runbook asks them for.
    desk.stage.account("role").set_role(1, Role::Write);
    page.follow(desk, "tenants verify TENANT", &[("TENANT", "role")]).await;
    desk.stage.delivered("role/b-1").await;

    desk.stage.account("revoked").give_key(1, NEW_KEY);
    desk.key = NEW_KEY.into();
    page.follow(desk, "--new-api-key", &[("TENANT", "revoked")]).await;
    desk.stage.delivered("revoked/b-1").await;

    let folder = desk.stage.account("moved").create_root_folder(1, "Generated").to_string();
    page.follow(desk, "--project PROJECT", &[("TENANT", "moved"), ("PROJECT", "1"), ("FOLDER", &folder)]).await;
    desk.stage.delivered("moved/b-1").await;

    let right = desk.stage.testmo.origin("acme");
    desk.key = key_of("acme");
    page.follow(desk, "--base-url", &[("TENANT", "lost"), ("URL", &right)]).await;
    desk.stage.delivered("lost/b-1").await;

    std::fs::write(desk.stage.path("mapping.json"), json!({"fixed": {"custom_priority": 2}}).to_string())
        .expect("a file");
    page.follow(desk, "--mapping", &[("TENANT", "mapped"), ("FILE", "mapping.json")]).await;
    desk.stage.delivered("mapped/b-1").await;

    page.follow(desk, "--discard-change", &[("TENANT", "changed")]).await;
    page.follow(desk, "tenants remove", &[("TENANT", "left")]).await;
    page.done();
}

async fn expiring_keys(desk: &mut Desk) {
    let mut page = Page::of("CourierApiKeyExpiring");
    let said = page.follow(desk, "tenants list", &[]).await;
    assert!(said.contains(&in_days(3)), "{said}");
    let later = in_days(300);
    desk.stage.account("acme").give_key(1, NEW_KEY);
    desk.key = NEW_KEY.into();
    page.follow(desk, "--new-api-key", &[("TENANT", "acme"), ("DAY", &later)]).await;
    page.follow(desk, "TENANT --expires", &[("TENANT", "dated"), ("DAY", &later)]).await;
    page.follow(desk, "--no-expiry", &[("TENANT", "endless")]).await;
    page.done();
}

async fn unknown_tenants(desk: &mut Desk) {
    let mut page = Page::of("CourierUnknownTenant");
    let said = page.follow(desk, "shelf list", &[]).await;
    assert!(said.contains("late") && said.contains("ACME"), "{said}");
    let mistyped = entry_of(&desk.stage, "ACME").await;
    let said = page.follow(desk, "shelf show", &[("ENTRY", &mistyped)]).await;
    assert!(said.contains("Did you mean `acme`"), "{said}");
    page.follow(desk, "tenants list", &[]).await;
    let origin = desk.stage.testmo.origin("changed");
    desk.key = key_of("changed");
    let values = [("TENANT", "late"), ("URL", origin.as_str()), ("PROJECT", "1"), ("FOLDER", "1")];
    page.follow(desk, "tenants set", &values).await;
    desk.stage.delivered("late/b-1").await;
    page.follow(desk, "shelf discard", &[("TENANT", "ACME"), ("WHY", "'published again'")]).await;
    page.done();
}
