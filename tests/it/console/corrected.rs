//! Finds what failed, and corrects it: edits, discards, restores, notes, pauses and replays.

use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::browser::Browser;
use crate::api::support::{Api, both};
use crate::support::batches::batch;
use crate::support::stage::{LeftOver, Stage};

/// Returns the id of the only entry that a page links.
fn entry_of(text: &str) -> String {
    let id = text.split("\"/entries/").nth(1).and_then(|rest| rest.get(..8)).expect("an entry");
    id.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_is_edited_after_its_difference_was_shown() {
    for api in both(&["acme"]).await {
        api.stage.shelve_for_person(&batch("acme", "b-1", 2), Reason::AllRefused).await;
        let mut browser = Browser::logged_in(&api, "anna", Role::Operator, None).await;
        let start = browser.get("/").is(200).says("All test cases refused by Testmo").says("acme");
        let entry = entry_of(&browser.get("/failures/entries").is(200).text);
        assert!(start.text.contains("/entries/"), "the start page leads to the message");
        let page = browser.get(&format!("/entries/{entry}")).is(200).says("b-1 case 1").says("Copy for ticket");
        page.says("testmo-courier shelf edit");
        let at = format!("/entries/{entry}/edit");
        let draft = browser.get(&at).is(200);
        let (version, message) = (draft.field("version"), draft.area("message"));
        let send = |browser: &mut Browser, message: &str, then: &str| {
            browser.post(&at, &[("message", message), ("version", &version), ("then", then), ("because", "a slip")])
        };
        send(&mut browser, &message, "store").is(200).says("Nothing differs");
        send(&mut browser, "{", "store").is(422).says("aria-invalid=\"true\"");
        send(&mut browser, &message.replace("\"b-1\"", "\"b-2\""), "store").is(422).says("batch_id");
        let edited = message.replace("b-1 case 2", "another & <b>name</b>");
        let shown = send(&mut browser, &edited, "check").is(200).says("<del>").says("another &#38; &#60;b&#62;name");
        shown.says("/cases/1/name");
        let stored = send(&mut browser, &edited, "store").is(303);
        browser.get(&stored.to()).is(200).says("Stored.").says("another &#38; &#60;b&#62;name");
        // A draft from before changes nothing.
        send(&mut browser, &message, "store").is(409).says("nothing was stored");
        browser.get("/audit").is(200).says("a slip").says("anna");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_is_set_in_all_messages_of_a_selection_as_it_was_seen() {
    for api in both(&["acme"]).await {
        for id in ["b-1", "b-2", "b-3"] {
            api.stage.shelve_for_person(&batch("acme", id, 1), Reason::AllRefused).await;
        }
        let mut browser = Browser::logged_in(&api, "anna", Role::Operator, None).await;
        let at = "/failures/set?reason=all_refused&set=priority%3Dhigh";
        let plan = browser.get(at).is(200).says("3 entries are edited").says("<ins>");
        let expected = plan.field("expected");
        browser.get("/failures/set?reason=all_refused&set=priority").is(200).says("has no `=`");
        api.stage.shelve_for_person(&batch("acme", "b-4", 1), Reason::AllRefused).await;
        let form = [("reason", "all_refused"), ("set", "priority=high"), ("then", "store")];
        let seen = [&form[..], &[("expected", expected.as_str())]].concat();
        browser.post("/failures/set", &seen).is(409).says("Nothing was changed");
        let seen = [&form[..], &[("expected", "4")]].concat();
        browser.submit("/failures/set", &seen).is(200).says("4 edited.");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_with_a_reason_can_be_restored() {
    for api in both(&["acme"]).await {
        api.stage.shelve_for_person(&batch("acme", "b-1", 1), Reason::RetriesExhausted).await;
        let mut browser = Browser::logged_in(&api, "anna", Role::Operator, None).await;
        let entry = entry_of(&browser.get("/failures/entries").is(200).text);
        let at = format!("/failures/discard?id={entry}");
        browser.get(&at).is(200).says("Discard 1 entry?").says("acme/b-1");
        browser.post("/failures/discard", &[("id", &entry)]).is(422).says("aria-invalid");
        browser
            .submit("/failures/discard", &[("id", &entry), ("because", "by mistake")])
            .is(200)
            .says("1 discarded.")
            .says("by mistake");
        browser.get(&format!("/entries/{entry}")).is(404);
        browser.submit(&format!("/discarded/{entry}/restore"), &[]).is(200).says("on the shelf again");
        browser.post(&format!("/discarded/{entry}/restore"), &[]).is(409);
        browser.get("/batches/acme/b-1").is(200).says("taken by a worker").says("shelf.discard").says("?only=people");
        let people = browser.get("/batches/acme/b-1?only=people").is(200).says("shelf.discard").says("by mistake");
        assert!(!people.text.contains("taken by a worker"), "{}", people.text);
        browser.get("/batches/acme/b-1?only=workers").is(400).says("limited to `people`");
        api.end().await.end_leaving(&[LeftOver::ShelfRows, LeftOver::Events]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_has_a_note_and_a_lane_is_paused_with_a_reason() {
    let api = Api::of(Stage::with_tenants(&["acme"]).await).await;
    api.stage.shelve_for_person(&batch("acme", "b-1", 1), Reason::RetriesExhausted).await;
    let mut browser = Browser::logged_in(&api, "anna", Role::Operator, None).await;
    let start = browser.get("/").is(200);
    let cause = start.text.split("\"/failures/c-").nth(1).and_then(|rest| rest.get(..8)).expect("a cause");
    let cause = format!("/failures/c-{cause}");
    browser.submit(&format!("{cause}/note"), &[("text", "Ben asks <acme>")]).is(200).says("Ben asks &#60;acme&#62;");
    browser.submit(&format!("{cause}/note"), &[("text", "")]).is(200).says("The note is removed.");
    browser.submit("/lanes/pause", &[("lane", "acme"), ("because", "they upgrade")]).is(200).says("acme is paused");
    browser.get("/").is(200).says("Paused by a person");
    browser.get("/lanes").is(200).says("paused");
    browser.submit("/lanes/resume", &[("lane", "acme")]).is(200).says("acme is resumed");
    browser.post("/lanes/pause", &[("lane", "nobody")]).is(404);
    browser.submit("/lanes/limit", &[("lane", "acme"), ("requests", "2")]).is(200).says("At most 2 requests are sent");
    browser.submit("/lanes/limit", &[("lane", "acme"), ("requests", "1")]).is(200).says("At most 1 request is sent");
    let mut viewer = Browser::logged_in(&api, "viewer", Role::Viewer, None).await;
    viewer.get(&cause).is(200).says("disabled").says("needs the role operator, and you have viewer");
    api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_is_replayed_from_the_start_page_in_three_steps_and_watched_to_its_end() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    for n in 0..12 {
        stage.shelve_for_person(&batch("acme", &format!("b-{n}"), 1), Reason::RetriesExhausted).await;
    }
    stage.start_worker();
    let api = Api::of(stage).await;
    let mut browser = Browser::logged_in(&api, "anna", Role::Operator, None).await;
    let start = browser.get("/").is(200).says("Replay 12");
    let (group, expected) = (start.field("group"), start.field("expected"));
    let long = "x".repeat(501);
    browser.post("/replays", &[("group", &group), ("because", &long)]).is(400);
    let form = [("group", group.as_str()), ("expected", &expected), ("because", &long[1..])];
    let plan = browser.submit("/replays", &form).is(200);
    let plan = plan.says("nothing was sent yet").says("Start: replay 12 batches");
    let at = plan.path.clone();
    browser.submit(&format!("{at}/start"), &[("because", "their Testmo works again")]).is(200);
    crate::support::waiting::until(async || browser.clone().get(&at).text.contains(">done</span>")).await;
    browser.get(&at).is(200).says("12</b> of 12 have an outcome").says("This replay is over.");
    browser.post(&format!("{at}/pause"), &[]).is(409);
    browser.get("/batches?state=delivered").is(200).says("acme/b-11");
    browser.get("/batches/acme/b-0").is(200).says("delivered").says("http").says("Take back what it did");
    browser.get("/batches/acme/b-0").is(200).says("Copy for ticket").says("The test case is in your Testmo.");
    browser.get("/").is(200).says("Nothing needs you.").says("12 batches were delivered");
    api.end().await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_found_in_a_message_and_the_search_is_in_the_address() {
    for api in both(&["acme"]).await {
        api.stage.shelve_for_person(&batch("acme", "b-1", 3), Reason::AllRefused).await;
        let mut browser = Browser::logged_in(&api, "anna", Role::Viewer, None).await;
        let entry = entry_of(&browser.get("/failures/entries").is(200).text);
        let page = browser.get(&format!("/entries/{entry}")).is(200).says("name=\"find\"").says("case 3");
        assert!(!page.text.contains("<mark>"), "{}", page.text);
        let all = browser.get(&format!("/entries/{entry}?find=CASE+2&lines=all")).is(200);
        all.says("Found 1 time in 1 line.").says("<mark>case 2</mark>").says("case 3").says("value=\"CASE 2\"");
        let found = browser.get(&format!("/entries/{entry}?find=case+2&lines=found")).is(200);
        let (_, message) = found.text.split_once("id=\"message-text\"").expect("the message");
        assert!(message.contains("<mark>case 2</mark>") && !message.contains("case 3"), "{message}");
        let hostile = browser.get(&format!("/entries/{entry}?find=%22%3E%3Cscript%3E")).is(200).says("Not found.");
        assert!(!hostile.text.contains("\"><script>"), "{}", hostile.text);
        browser.get(&format!("/entries/{entry}?find=x&lines=some")).is(400);
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}
