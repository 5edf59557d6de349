//! Checks that everybody can use every page: axe finds nothing, on wide and narrow screens, by day and by night.

use testmo_courier::batch::Reason;

use crate::driver::Screen;
use crate::flows::{log_in, make_link};
use crate::ground::{Ground, entry_of, filled};
use crate::person::{Hands, Person};
use crate::support::stage::LeftOver;

/// The screens that pages are shown on.
const SCREENS: [Screen; 4] = [
    Screen { width: 1280, height: 900, is_dark: false },
    Screen { width: 1280, height: 900, is_dark: true },
    Screen { width: 360, height: 800, is_dark: false },
    Screen { width: 360, height: 800, is_dark: true },
];

/// Finds what is wrong with the page that is open.
async fn check(person: &Person, what: &str, wrong: &mut Vec<String>) {
    for screen in SCREENS {
        person.browser.show_on(screen).await;
        let found = person.browser.findings().await;
        wrong.extend(found.into_iter().map(|line| format!("{what} on {screen:?}: {line}")));
        let width = person.browser.value("document.documentElement.scrollWidth").await;
        if width.as_u64() > Some(u64::from(screen.width)) {
            wrong.push(format!("{what} on {screen:?} is {width} pixels wide"));
        }
    }
    person.browser.show_on(SCREENS[0]).await;
}

/// Returns the addresses of all pages that are opened by address.
async fn addresses(ground: &Ground) -> Vec<String> {
    let stage = &ground.api.stage;
    let refused = entry_of(stage, "acme/b-refused").await;
    let renamed = entry_of(stage, "acme/b-renamed").await;
    let rows = stage.shelf().await;
    let exhausted = rows.iter().find(|row| row.content.reason == Reason::RetriesExhausted).expect("an entry").id;
    let mut addresses: Vec<String> = [
        "/",
        "/failures",
        "/failures?state=dead",
        "/failures/entries",
        "/failures/entries?tenant=nobody",
        "/failures/discard?reason=retries_exhausted",
        "/failures/set?reason=all_refused",
        "/failures/set?reason=all_refused&set=priority%3Dhigh",
        "/failures/set?reason=all_refused&set=priority",
        "/replays",
        "/replays/1",
        "/replays?state=done",
        "/tenants",
        "/tenants/acme",
        "/tenants/birch",
        "/tenants/nobody",
        "/tenants/acme/probe",
        "/tenants/acme/remove",
        "/tenants/acme/mapping",
        "/tenants/acme/mapping?draft=yes",
        "/batches",
        "/batches?state=failed",
        "/batches/acme/b-delivered",
        "/batches/acme/b-delivered/compare",
        "/batches/acme/b-delivered/undo",
        "/batches/acme/b-renamed",
        "/search?text=b-",
        "/search?text=nothing-like-it",
        "/discarded",
        "/lanes",
        "/audit",
        "/audit?actor=nobody",
        "/tokens",
        "/nothing",
    ]
    .map(str::to_owned)
    .into();
    addresses.extend([
        format!("/entries/{refused}"),
        format!("/entries/{refused}/edit"),
        format!("/entries/{renamed}"),
        format!("/entries/{renamed}/candidates"),
        format!("/entries/{exhausted}"),
    ]);
    addresses
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_any_page() {
    let ground = filled().await;
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    let mut wrong = Vec::new();
    person.open("/log-in").await;
    check(&person, "log in", &mut wrong).await;
    person.fill("Token", "tc_wrong").await;
    person.press("Log in").await;
    person.sees("This token is not known.").await;
    check(&person, "a wrong token", &mut wrong).await;
    log_in(&person, &ground.token).await;
    for address in addresses(&ground).await {
        person.open(&address).await;
        check(&person, &address, &mut wrong).await;
    }
    person.press("Keys (?)").await;
    check(&person, "the keys", &mut wrong).await;
    person.open("/").await;
    person.press("Retries exhausted").await;
    person.sees("What to do").await;
    check(&person, "a cause", &mut wrong).await;
    after_a_form(&person, &ground, &mut wrong).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    person.browser.end().await;
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}

/// Checks the pages that only a form leads to.
async fn after_a_form(person: &Person, ground: &Ground, wrong: &mut Vec<String>) {
    let refused = entry_of(&ground.api.stage, "acme/b-refused").await;
    person.open(&format!("/entries/{refused}/edit")).await;
    person.fill("Message", "{").await;
    person.press("Show the difference").await;
    person.sees("is not valid JSON").await;
    check(person, "a message that is wrong", wrong).await;
    person.open(&format!("/entries/{refused}/edit")).await;
    let message = person.browser.value("document.getElementById('message').value").await;
    let message = message.as_str().expect("a message").replace("b-refused case 1", "a better name");
    person.fill("Message", &message).await;
    person.press("Show the difference").await;
    person.sees("Store only").await;
    check(person, "a difference", wrong).await;
    person.open("/tenants/birch").await;
    person.fill("API key", "testmo_api_wrong").await;
    person.press("Save Configuration").await;
    person.sees("401 Unauthorized").await;
    check(person, "a wrong key", wrong).await;
    person.open("/tenants/acme/mapping").await;
    person.press("Check and preview").await;
    person.sees("Case 1").await;
    check(person, "a preview", wrong).await;
    let link = make_link(person, "acme").await;
    check(person, "a new link", wrong).await;
    person.open(&link).await;
    person.sees("Testmo for acme").await;
    check(person, "a tenant's own page", wrong).await;
    person.open("/t/tl_wrong").await;
    check(person, "a link that is not valid", wrong).await;
    person.open("/replays/1").await;
    person.press("Start: replay 3 batches").await;
    person.sees("have an outcome").await;
    check(person, "a replay", wrong).await;
    person.sees("This replay is over.").await;
}
