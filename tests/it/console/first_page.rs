//! Keeps the first page small, with everything that it loads.

use std::collections::BTreeSet;

use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_courier::store::StoreHealth;
use testmo_courier::store::trend::Counts;

use super::browser::{Browser, Page};
use crate::api::support::{Api, both};
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

/// The most bytes that a browser receives for the first page with everything that it loads.
const MOST: usize = 60_000;
/// How many tenants have something that waits.
const TENANTS: usize = 30;

/// Puts something of every kind on the first page: causes, tenants that are not green, and a number for each column of the plots.
async fn fill(api: &Api, tenants: &[&str]) {
    let stage = &api.stage;
    for (tenant, reason) in tenants.iter().cycle().zip(Reason::ALL) {
        stage.shelve_for_person(&batch(tenant, &format!("dead-{reason}"), 1), *reason).await;
    }
    for tenant in tenants {
        stage.shelve(&batch(tenant, "parked", 1), Reason::ServerError).await;
    }
    let counts = Counts { delivered: 123_456, failed: 7_890, waiting: 54_321 };
    for (column_ms, columns) in [(1_800_000, 48), (86_400_000, 30)] {
        for back in 0..columns {
            stage.add_to_trend(stage.store.now() - back * column_ms, counts).await;
        }
    }
}

/// Opens what a browser opens that takes compressed answers.
fn open(browser: &mut Browser, path: &str) -> Page {
    browser.send("GET", path, "Accept-Encoding: gzip, deflate, br\r\n", None).is(200)
}

/// Returns how many bytes an answer has as it is sent.
fn sent(page: &Page) -> usize {
    page.header("content-length").and_then(|length| length.parse().ok()).expect("a length")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_stays_small_however_much_needs_attention() {
    let names: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for api in both(&names).await {
        fill(&api, &names).await;
        let mut viewer = Browser::logged_in(&api, "viewer", Role::Viewer, None).await;
        let page = open(&mut viewer, "/");
        let page = page.says(&format!("{} more: all tenants", TENANTS - 10)).says(" more: all failures");
        let page = page.says("The last 30 days, as a table");
        let mut whole = sent(&page);
        for address in page.text.split('"').filter(|part| part.starts_with("/assets/")).collect::<BTreeSet<_>>() {
            let (plain, compressed) = (viewer.get(address).is(200), open(&mut viewer, address));
            assert_eq!((plain.header("content-encoding"), compressed.header("content-encoding")), (None, Some("gzip")));
            assert_eq!(plain.header("vary"), Some("accept-encoding"), "{address}");
            assert!(sent(&compressed) < sent(&plain), "{address}");
            whole += sent(&compressed);
        }
        assert!(whole <= MOST, "the first page has {whole} bytes in all");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}
