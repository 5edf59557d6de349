//! Checks what becomes of the live parts of a page while somebody uses them.

use fantoccini::Locator;
use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use testmo_courier::batch::Reason;

use crate::flows::log_in;
use crate::ground::{Ground, exhausted};
use crate::person::{Hands, Person};
use crate::support::batches::batch;
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_that_rests_on_a_button_does_not_stop_the_page() {
    let stage = Stage::with_tenants(&["acme"]).await;
    exhausted(&stage, "acme", 3).await;
    let ground = Ground::of(stage).await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    log_in(&person, &ground.token).await;
    person.sees("Replay 3").await;
    let button = person.browser.client.find(Locator::Css("#attention button")).await.expect("a button");
    let onto = PointerAction::MoveToElement { element: button, duration: None, x: 0.0, y: 0.0 };
    let actions = MouseActions::new("mouse".into()).then(onto);
    person.browser.client.perform_actions(actions).await.expect("a move");
    ground.api.stage.shelve_for_person(&batch("acme", "b-4", 1), Reason::RetriesExhausted).await;
    person.sees("Replay 4").await;
    person.browser.end().await;
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}
