//! Takes the pictures in docs/console.md: `UPDATE_DOCS=1 make browser-test` writes them again.

use std::path::Path;

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::StoreHealth;
use testmo_sim::world::AccountSpec;

use crate::driver::Screen;
use crate::flows::log_in;
use crate::ground::{Ground, counted, entry_of};
use crate::person::{Hands, Person};
use crate::support::batches::{batch, tenant_id};
use crate::support::stage::{LeftOver, Stage};

/// The most bytes of a picture.
const MOST_BYTES: usize = 150_000;

/// Ends below the list of causes.
const START: Screen = Screen { height: 670, ..WIDE };
const START_DARK: Screen = Screen { is_dark: true, ..START };
const WIDE: Screen = Screen { width: 1280, height: 800, is_dark: false };
const WIDE_DARK: Screen = Screen { is_dark: true, ..WIDE };
const NARROW: Screen = Screen { width: 360, height: 760, is_dark: false };
const NARROW_DARK: Screen = Screen { is_dark: true, ..NARROW };

/// How many batches wait since an outage.
const EXHAUSTED: usize = 137;

/// Returns a batch as a generator of test cases writes one.
fn generated(tenant: &str, id: &str, names: &[&str]) -> Value {
    let mut message = batch(tenant, id, names.len());
    for (index, name) in names.iter().enumerate() {
        message["cases"][index]["name"] = json!(name);
        message["cases"][index]["steps"] = json!([
            {"action": "Open the basket with one voucher", "expected": "The total is reduced once"},
            {"action": "Enter the same voucher again", "expected": "It is <b>refused</b>, and the total stays"}
        ]);
    }
    message
}

/// Puts a batch on the shelf that waits for a person since so many minutes.
async fn shelve(stage: &Stage, message: &Value, reason: Reason, minutes: i64) {
    stage.shelve_for_person_since(message, reason, stage.store.now() - minutes * 60_000).await;
}

/// Prepares a console as it is in the middle of a working day.
async fn working_day() -> Ground {
    let stage = Stage::with_tenants(&["lindenshop", "sunrise-travel", "voltara", "harbour-bank"]).await;
    for n in 1..=EXHAUSTED {
        let message = generated("sunrise-travel", &format!("trips-{n}"), &["Book a trip for two", "Cancel a trip"]);
        shelve(&stage, &message, Reason::RetriesExhausted, 200).await;
    }
    let vouchers = ["A voucher is used once", "A voucher that has expired is refused", "Two vouchers share a basket"];
    shelve(&stage, &generated("lindenshop", "vouchers-12", &vouchers), Reason::AllRefused, 25).await;
    shelve(&stage, &generated("harbour-bank", "transfers-3", &["Send money"]), Reason::ExistsAlready, 70).await;
    counted(&stage).await;
    let ground = Ground::of(stage).await;
    let stage = &ground.api.stage;
    for n in 1..=12 {
        stage.publish(&generated("lindenshop", &format!("shop-{n}"), &vouchers)).await;
        stage.settled(&format!("lindenshop/shop-{n}")).await;
    }
    // The key is revoked, and the next batch meets that.
    stage.account("voltara").create(AccountSpec::with_one_folder("testmo_api_another")).expect("an account");
    stage.publish(&generated("voltara", "grid-3", &["Read a meter", "Estimate a reading"])).await;
    stage.shelf_until(|rows| rows.iter().any(|row| row.tenant() == Some(&tenant_id("voltara")))).await;
    ground
}

/// Checks a picture of the page that is open, and writes it if that is asked for.
async fn take(person: &Person, screen: Screen, name: &str) {
    person.browser.show_on(screen).await;
    // What has the focus has a ring around it, and a pointer changes colours.
    person.browser.value("document.activeElement.blur()").await;
    let picture = person.browser.picture().await;
    assert!(picture.len() <= MOST_BYTES, "{name} has {} bytes", picture.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), picture).expect("a picture");
    }
    assert!(folder.join(name).is_file(), "docs/pictures/{name} is missing: UPDATE_DOCS=1 make browser-test writes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_console_can_be_taken() {
    let ground = working_day().await;
    let entry = entry_of(&ground.api.stage, "lindenshop/vouchers-12").await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    log_in(&person, &ground.token).await;
    take(&person, START, "console-start.png").await;
    take(&person, START_DARK, "console-start-dark.png").await;
    take(&person, NARROW, "console-start-narrow.png").await;
    person.browser.show_on(WIDE).await;
    person.browser.value("document.getElementById('trend').scrollIntoView()").await;
    take(&person, WIDE, "console-trend.png").await;
    person.open(&format!("/entries/{entry}")).await;
    take(&person, WIDE, "console-entry.png").await;
    take(&person, NARROW_DARK, "console-entry-narrow-dark.png").await;
    person.open("/tenants/lindenshop").await;
    take(&person, WIDE, "console-tenant.png").await;
    person.open("/batches/lindenshop/shop-1").await;
    take(&person, WIDE_DARK, "console-batch-dark.png").await;
    person.open("/").await;
    person.browser.show_on(WIDE).await;
    person.press(&format!("Replay {EXHAUSTED}")).await;
    person.sees("nothing was sent yet").await;
    take(&person, WIDE, "console-replay.png").await;
    person.press(&format!("Start: replay {EXHAUSTED} batches")).await;
    person.sees("This replay is over.").await;
    take(&person, NARROW_DARK, "console-replay-narrow-dark.png").await;
    person.browser.end().await;
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}
