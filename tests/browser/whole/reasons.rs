//! Follows every reason from the overview, in at most three pages, to its sentence, its links and its buttons.

use testmo_courier::batch::Reason;

use crate::ground::Ground;
use crate::plain::{Browser, Page};
use crate::support::batches::batch;
use crate::support::stage::{LeftOver, Stage};

/// The most pages that a person opens.
const MOST_PAGES: usize = 3;

/// Returns the words of a page as a browser reads them.
fn words(page: &Page) -> String {
    let codes = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    codes.iter().fold(page.text.clone(), |text, (code, character)| text.replace(code, character))
}

/// Returns the first address on a page that begins so and leads no deeper, of a link with this text, or of any.
fn link(page: &str, begin: &str, text: Option<&str>) -> Option<String> {
    let links = page.split("<a ").skip(1).filter_map(|rest| rest.split_once("</a>")).map(|(link, _)| link);
    let found = links.filter(|link| text.is_none_or(|text| link.ends_with(&format!(">{text}"))));
    let mut addresses = found.filter_map(|link| link.split("href=\"").nth(1)?.split('"').next());
    let is_wanted = |address: &&str| address.strip_prefix(begin).is_some_and(|rest| !rest.contains('/'));
    addresses.find(is_wanted).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_three_pages_from_the_overview_at_most() {
    let stage = Stage::with_tenants(&["acme"]).await;
    for reason in Reason::ALL {
        stage.shelve_for_person(&batch("acme", &format!("b-{reason}"), 1), *reason).await;
    }
    // All of it waits for a person, so the worker leaves it where it is.
    let ground = Ground::of(stage).await;
    let mut browser = Browser::of(ground.address());
    browser.post("/log-in", &[("token", &ground.token)]).is(303);
    for reason in Reason::ALL {
        let mut opened = 0;
        let mut open = |address: &str| {
            opened += 1;
            words(&browser.get(address).is(200))
        };
        let overview = open("/");
        let place = overview.find(&format!(">{}</a>", reason.title())).unwrap_or_else(|| panic!("{reason}: no line"));
        let line = overview[place..].split("<li class=\"cause\"").next().expect("a line");
        assert!(line.contains(reason.cause()), "{reason}: the overview has the sentence: {line}");
        let cause = link(&overview, "/failures/c-", Some(reason.title())).expect("a page of the cause");
        let page = open(&cause);
        assert!(page.contains(reason.cause()) && page.contains(reason.remedy()), "{reason}: {page}");
        let steps = page.split("<ul class=\"steps\">").nth(1).and_then(|rest| rest.split("</ul>").next());
        let steps = steps.unwrap_or_else(|| panic!("{reason}: no steps"));
        assert!(!steps.contains(" disabled"), "{reason}: an admin may press every button: {steps}");
        let button = steps.find("<button type=\"submit\"").or_else(|| steps.find("class=\"button main\""));
        assert!(button.is_some(), "{reason}: {steps}");
        let helps = !steps.split("</li>").next().unwrap_or_default().contains("List the entries");
        assert!(helps, "{reason}: the first button helps: {steps}");
        let entry = link(&page, "/entries/", None).expect("a page of the entry");
        let page = open(&entry);
        assert!(page.contains(reason.cause()) && page.contains(reason.remedy()), "{reason}: {page}");
        assert!(link(&page, "/tenants/acme", None).is_some(), "{reason}: the tenant is one press away");
        assert!(page.contains("Text for the customer"), "{reason}");
        assert!(opened <= MOST_PAGES, "{reason}");
    }
    ground.end_leaving(&[LeftOver::ShelfRows]).await;
}
