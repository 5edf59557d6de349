//! Carries out the runbook of files of tenants that cannot be used, or that are missing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::support::stage::Stage;
use crate::tenant_files::{file, files, follow};

const ALERTS: [&str; 1] = ["CourierTenantFilesBroken"];

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn files_are_used_again_and_held_connections_removed() {
    let mut stage = Stage::with_tenants(&[]).await;
    let mut mount = follow(&mut stage);
    mount.mount();
    let acme = file(&stage, "acme", 1);
    let mut desk = Desk::of(stage, Servers::shared()).await;
    desk.start().await;
    files(desk.worker(), "in_use", 3.0).await;
    let before = desk.scrape();

    mount.set(&[("acme.toml", Some("base_url = \"x\"\nproject_id = \n".into()))]);
    let key = mount.folder.join("birch.key");
    fs::set_permissions(&key, Permissions::from_mode(0o444)).expect("its mode");
    files(desk.worker(), "broken", 2.0).await;
    until_firing(&desk, &ALERTS, &before).await;
    let mut page = Page::of("CourierTenantFilesBroken");
    let said = page.follow(&mut desk, "journalctl", &[]).await;
    assert!(said.contains("acme.toml"), "{said}");
    let said = page.finds(&mut desk, "doctor", &[], 1).await;
    assert!(said.contains("acme.toml") && said.contains("birch.key"), "{said}");
    let path = key.display().to_string();
    page.follow(&mut desk, "ls -lL", &[("FILE", &path)]).await;
    page.follow(&mut desk, "chmod", &[("FILE", &path)]).await;
    // The person corrects the file where it comes from.
    mount.set(&[("acme.toml", acme)]);
    until_silent(&desk, &ALERTS).await;

    let before = desk.scrape();
    mount.set(&[("birch.toml", None), ("cedar.toml", None)]);
    files(desk.worker(), "removal_held", 2.0).await;
    until_firing(&desk, &ALERTS, &before).await;
    // The other one is removed as soon as no more than half of the files are missing.
    page.follow(&mut desk, "tenants remove", &[("TENANT", "birch")]).await;
    page.done();
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}
