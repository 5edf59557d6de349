//! The path through the console that every run of the tests takes in a browser.

use crate::flows::{connect, log_in, replay};
use crate::ground::{Ground, exhausted};
use crate::person::{Hands, Person};
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_connects_a_tenant_and_replays_what_had_failed() {
    // Where the system has no package of a browser, `make test` says so.
    if std::env::var_os("WITHOUT_BROWSER").is_some() {
        return;
    }
    let stage = Stage::with_tenants(&["acme"]).await;
    exhausted(&stage, "acme", 20).await;
    let ground = Ground::of(stage).await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    log_in(&person, &ground.token).await;
    connect(&person, &ground, "birch", "acme").await;
    replay(&person, 20).await;
    assert_eq!(ground.api.stage.account("acme").cases().len(), 20);
    person.browser.end().await;
    ground.end_leaving(&[]).await;
}
