//! Has 500 batches of three tenants fail for five causes, as in a bad afternoon.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{ShelfState, Shelved};
use testmo_sim::faults::Fault;
use testmo_sim::model::{Choice, Field, FieldKind};

use crate::support::batches::{batch, on_create};
use crate::support::process::command;
use crate::support::stage::Stage;
use crate::support::waiting::until;

pub(super) const TENANTS: [&str; 3] = ["lindenshop", "northbank", "voltara"];

/// How many batches fail for each cause, beside one that is not found again.
pub(super) const REFUNDS: usize = 20;
pub(super) const CHECKOUTS: usize = 40;
pub(super) const SEARCHES: usize = 60;
pub(super) const REPORTS: usize = 99;
pub(super) const LOGINS: usize = 120;
pub(super) const ORDERS: usize = 160;

/// The id of the first case of the batch whose answer is lost.
pub(super) const FIRST_LOST: u64 = 3721;

/// Times of a worker that gives up after a second, also what only waits for its account.
pub(super) const SETTINGS: [(&str, &str); 5] = [
    ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s"),
    ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
    ("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"),
    ("COURIER_RETRY__GIVE_UP_AFTER", "1s"),
    ("COURIER_RETRY__GIVE_UP_MIN_RETRIES", "0"),
];

/// Returns a batch of one case.
fn of_one(tenant: &str, id: &str, case: &str) -> Value {
    let mut one = batch(tenant, id, 1);
    one["cases"][0]["name"] = json!(case);
    one
}

/// Returns the numbered batches of a suite: its batches are called `order-1`, and their cases "Pay order 1".
fn suite(tenant: &str, batch: &str, case: &str, count: usize) -> Vec<Value> {
    (1..=count).map(|n| of_one(tenant, &format!("{batch}-{n}"), &format!("{case} {n}"))).collect()
}

async fn publish(stage: &Stage, batches: &[Value]) {
    for batch in batches {
        stage.publish(batch).await;
    }
}

/// Waits until so many entries of a tenant are on the shelf in a state for a reason.
async fn shelved(stage: &Stage, tenant: &str, state: ShelfState, reason: Reason, count: usize) {
    let is_it = |row: &&Shelved| {
        row.state == state && row.content.reason == reason && row.tenant().is_some_and(|of| of.as_str() == tenant)
    };
    until(async || stage.shelf().await.iter().filter(is_it).count() == count).await;
}

/// Publishes everything, and waits until it has failed.
pub(super) async fn happen(stage: &mut Stage) {
    for tenant in TENANTS {
        stage.publish(&batch(tenant, "basket-1", 3)).await;
        stage.delivered(&format!("{tenant}/basket-1")).await;
        with_risks(stage, tenant);
    }
    without_cases(stage).await;
    not_found_again(stage).await;
    refused(stage).await;
    during_an_outage(stage).await;
    // The mapping of northbank fills no field that is required from now on.
    stage.account("northbank").change_settings(|settings| settings.required_fields = vec!["custom_risk".into()]);
    publish(stage, &suite("northbank", "login", "Sign in with certificate", LOGINS)).await;
    shelved(stage, "northbank", ShelfState::Parked, Reason::ConnectionRejected, LOGINS).await;
    stage.account("lindenshop").revoke(1);
    publish(stage, &suite("lindenshop", "order", "Pay order", ORDERS)).await;
    shelved(stage, "lindenshop", ShelfState::Parked, Reason::KeyRefused, ORDERS).await;
}

/// Adds a field with options to an account, and has its connection know them.
fn with_risks(stage: &Stage, tenant: &str) {
    let choice = |(id, value): (i64, &str)| Choice { id, value: value.to_owned() };
    stage.account(tenant).with(|station| {
        let options = [(21, "High"), (22, "Low")].map(choice).to_vec();
        let (column_name, name, kind) = ("custom_risk".to_owned(), "Risk".to_owned(), FieldKind::Dropdown);
        let id = station.account.fields.len() as u64 + 1;
        station.account.fields.push(Field { id, column_name, name, kind, options });
        station.account.templates.iter_mut().for_each(|template| template.columns.push("custom_risk".into()));
    });
    let verified = command(stage).args(["tenants", "verify", tenant]).output().expect("the program");
    assert!(verified.status.success(), "{verified:?}");
}

/// A generator writes its cases under a key that is not known. The entries have the ids 1 to 20, as they come one by one.
async fn without_cases(stage: &mut Stage) {
    for mut refund in suite("northbank", "refund", "Refund a transfer", REFUNDS) {
        refund["testcases"] = refund["cases"].take();
        refund.as_object_mut().expect("an object").shift_remove("cases");
        stage.publish(&refund).await;
        stage.event_of(&format!("northbank/{}", refund["batch_id"].as_str().expect("an id"))).await;
    }
    shelved(stage, "northbank", ShelfState::Dead, Reason::InvalidMessage, REFUNDS).await;
}

/// The answer to a request is lost, and a person renames one of its cases before the worker reads them.
async fn not_found_again(stage: &mut Stage) {
    let account = stage.account("lindenshop");
    account.set_next_case_id(FIRST_LOST);
    let renamed = stage.publish_and_rename("lindenshop", "checkout-100", "Check out as a guest (reviewed)").await;
    assert_eq!(renamed, FIRST_LOST + 1);
    shelved(stage, "lindenshop", ShelfState::Dead, Reason::UnclearInTestmo, 1).await;
}

/// A generator writes an option that the field does not have.
async fn refused(stage: &mut Stage) {
    for (tenant, batch, case, count) in [
        ("lindenshop", "checkout", "Check out with voucher", CHECKOUTS),
        ("voltara", "search", "Find a tariff", SEARCHES),
    ] {
        let mut batches = suite(tenant, batch, case, count);
        batches.iter_mut().for_each(|one| one["cases"][0]["fields"] = json!({"Risk": "Extreme"}));
        // The page shows the first one as the first entry of its account.
        publish(stage, &batches[..1]).await;
        shelved(stage, tenant, ShelfState::Dead, Reason::AllRefused, 1).await;
        publish(stage, &batches[1..]).await;
        shelved(stage, tenant, ShelfState::Dead, Reason::AllRefused, count).await;
    }
}

/// A Testmo fails for longer than the worker retries.
async fn during_an_outage(stage: &mut Stage) {
    stage.account("voltara").set_faults([on_create(Fault::status(503))]);
    publish(stage, &suite("voltara", "report", "Read the meter", REPORTS)).await;
    shelved(stage, "voltara", ShelfState::Dead, Reason::RetriesExhausted, REPORTS).await;
}
