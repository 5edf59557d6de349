//! Checks that every flow can be gone through with a mouse, with a keyboard alone, and without scripts.

use crate::flows::{connect, discard_and_restore, edit, log_in, make_link, replay};
use crate::ground::{Ground, exhausted, refused};
use crate::person::{Hands, Person};
use crate::support::postgres::Postgres;
use crate::support::stage::{LeftOver, Stage};

/// How many batches a cause has that is fixed.
const BATCHES: usize = 200;

async fn prepared(stage: Stage) -> Ground {
    exhausted(&stage, "acme", BATCHES).await;
    refused(&stage, "acme", "b-refused").await;
    Ground::of(stage).await
}

async fn goes_through_everything(ground: Ground, person: Person) {
    log_in(&person, &ground.token).await;
    connect(&person, &ground, "birch", "acme").await;
    replay(&person, BATCHES).await;
    assert_eq!(ground.api.stage.account("acme").cases().len(), BATCHES);
    edit(&person, "b-refused case 2", "a better name").await;
    discard_and_restore(&person).await;
    let link = make_link(&person, "acme").await;
    let tenant = person.another().await;
    tenant.open(&link).await;
    tenant.sees("Testmo for acme").await;
    tenant.press("Verify now").await;
    tenant.sees("The connection works").await;
    tenant.open("/tenants/acme").await;
    tenant.sees("Log in").await;
    tenant.browser.end().await;
    person.press("Log out").await;
    person.sees("You are logged out.").await;
    person.browser.end().await;
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_mouse() {
    let ground = prepared(Stage::with_tenants(&["acme"]).await).await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    goes_through_everything(ground, person).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_keyboard_alone() {
    let ground = prepared(Stage::with_tenants(&["acme"]).await).await;
    let person = Person::new(&ground.origin(), Hands::Keyboard).await;
    goes_through_everything(ground, person).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_scripts() {
    let ground = prepared(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
    let person = Person::without_scripts(&ground.origin()).await;
    goes_through_everything(ground, person).await;
}
