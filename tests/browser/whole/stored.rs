//! Attacks people by texts that a page shows: of a message, of Testmo, and of other people. None becomes markup or a script.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_sim::world::AccountSpec;

use crate::flows::log_in;
use crate::ground::{Ground, entry_of};
use crate::person::{Hands, Person};
use crate::support::batches::{batch, key_of};
use crate::support::stage::{LeftOver, Stage};

/// A text that takes the page over wherever a browser reads it as anything else than a text.
const EVIL: &str = "\"'><img src=x onerror=window.taken=1><svg onload=window.taken=1></title></textarea></pre>\
                    <script>window.taken=1</script><a href=\"javascript:window.taken=1\">x</a>{{7*7}}";

/// Whether the page was taken over, what of the text became markup, and what a script could steal.
const TAKEN: &str = "[String(window.taken), document.querySelectorAll( \
    'img[src=\"x\"], svg[onload], [onerror], a[href^=\"javascript:\"], script:not([src^=\"/assets/\"])').length, \
    document.cookie]";

/// Prepares a console in which every text that others write is evil.
async fn evil() -> Ground {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    let mut spec = AccountSpec::with_one_folder(&key_of("acme"));
    spec.users[0].name = EVIL.into();
    spec.projects[0].name = EVIL.into();
    spec.projects[0].folders[0].name = EVIL.into();
    stage.account("acme").create(spec).expect("an account");
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    let mut message = batch("acme", "b-shelved", 1);
    message["source"] = json!({"key": EVIL, "title": EVIL, "link": "javascript:window.taken=1", "generator": EVIL});
    message["cases"][0]["name"] = json!(EVIL);
    message["cases"][0]["tags"] = json!([EVIL]);
    message["cases"][0]["steps"] = json!([{"action": EVIL, "expected": EVIL}]);
    message["cases"][0]["fields"] = json!({EVIL: EVIL});
    stage.shelve_for_person(&message, Reason::AllRefused).await;
    let ground = Ground::of(stage).await;
    let stage = &ground.api.stage;
    let mut sent = batch("acme", "b-sent", 2);
    sent["cases"][0]["name"] = json!(EVIL);
    stage.publish(&sent).await;
    stage.settled("acme/b-sent").await;
    let case = stage.account("acme").cases()[1].id;
    assert!(stage.account("acme").change_case(case, |case| case.name = EVIL.into()));
    // A message that no generator should send.
    stage.publish_bytes(format!("{{\"batch_id\": \"{}\"", EVIL.replace('"', "\\\""))).await;
    stage.shelf_until(|rows| rows.iter().any(|row| row.content.reason == Reason::NotJson)).await;
    ground
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_that_others_write_takes_a_page_over() {
    let ground = evil().await;
    let entry = entry_of(&ground.api.stage, "acme/b-shelved").await;
    let raw = ground.api.stage.shelf().await;
    let raw = raw.iter().find(|row| row.content.reason == Reason::NotJson).expect("an entry").id;
    ground.post("/api/v1/lanes/pause", &json!({"lane": "birch", "reason": EVIL}));
    ground.post("/api/v1/replays", &json!({"ids": [entry], "name": EVIL, "reason": EVIL}));
    let person = Person::new(&ground.origin(), Hands::Mouse).await;
    log_in(&person, &ground.token).await;
    person.press("All test cases refused by Testmo").await;
    person.fill("Note", EVIL).await;
    person.press("Save the note").await;
    person.sees("onerror=").await;
    let written = url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    let mut shown = 0;
    for path in [
        "/".to_owned(),
        "/failures".into(),
        "/failures/entries".into(),
        format!("/entries/{entry}"),
        format!("/entries/{entry}/edit"),
        format!("/entries/{raw}"),
        format!("/failures/discard?id={entry}"),
        format!("/failures/set?id={entry}&set=priority%3D{written}"),
        format!("/failures/set?id={entry}&set={written}"),
        "/replays".into(),
        "/replays/1".into(),
        "/tenants".into(),
        "/tenants/acme".into(),
        "/tenants/birch".into(),
        "/tenants/acme/mapping".into(),
        "/batches/acme/b-sent".into(),
        "/batches/acme/b-sent/compare".into(),
        "/batches/acme/b-sent/undo".into(),
        format!("/batches/acme/{written}"),
        format!("/tenants/{written}"),
        "/lanes".into(),
        "/audit".into(),
        format!("/audit?actor={written}"),
        format!("/search?text={written}"),
        "/search?text=onerror".into(),
        format!("/failures?tenant={written}"),
        format!("/log-in?next={written}"),
        format!("/{written}"),
    ] {
        person.open(&path).await;
        let taken = person.browser.value(TAKEN).await;
        assert_eq!(taken, json!(["undefined", 0, ""]), "{path}: {}", person.words().await);
        shown += usize::from(person.words().await.contains("onerror="));
    }
    assert!(shown >= 10, "the texts are shown as texts: {shown}");
    person.browser.end().await;
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}
