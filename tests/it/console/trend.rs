//! Shows on the start page how many batches were delivered, failed and waited.

use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_courier::store::trend::{TrendStep, Width};
use testmo_courier::store::{StoreHealth, TrendStore};

use super::browser::Browser;
use crate::api::support::both;
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_counted_is_on_the_start_page_of_those_who_see_all_tenants() {
    for mut api in both(&["acme"]).await {
        let mut viewer = Browser::logged_in(&api, "viewer", Role::Viewer, None).await;
        let empty = viewer.get("/").is(200).says("No worker has counted anything in this time.");
        assert!(!empty.text.contains("<svg"), "{}", empty.text);
        api.stage.start_worker();
        for id in ["b-1", "b-2"] {
            api.stage.publish(&batch("acme", id, 1)).await;
            api.stage.delivered(&format!("acme/{id}")).await;
        }
        api.stage.publish_bytes("no batch").await;
        api.stage.shelf_until(|rows| rows.len() == 1 && rows[0].content.reason == Reason::NotJson).await;
        api.stage.all_sent().await;
        // A worker that stops adds what it has counted since its last step.
        api.stage.stop_worker().await;
        let since = api.stage.store.now() - Width::Coarse.kept_ms();
        let steps = api.stage.store.trend(Width::Coarse, since).await.expect("a store");
        let sum = |number: fn(&TrendStep) -> u64| steps.iter().map(number).sum::<u64>();
        assert_eq!((sum(|step| step.counts.delivered), sum(|step| step.counts.failed)), (2, 1));
        let page = viewer.get("/").is(200).says("aria-label=\"Delivered: 2 in all").says("Failed: 1 in all");
        page.says("The last 24 hours, as a table").says("<table class=\"numbers\">").says("The last 30 days");
        let token = api.token("program", Role::Viewer, None).await;
        let trend = api.get("/api/v1/trend", &token).is(200);
        for (span, columns) in [("hours", 48), ("days", 30)] {
            let columns_of = trend[span]["columns"].as_array().expect("columns");
            assert_eq!(columns_of.len(), columns);
            let delivered: u64 = columns_of.iter().filter_map(|column| column["delivered"].as_u64()).sum();
            assert_eq!(delivered, 2, "{trend}");
        }
        let own = api.token("own", Role::Viewer, Some("acme")).await;
        api.get("/api/v1/trend", &own).refused(403, "not_for_tenant_tokens");
        let mut of_acme = Browser::logged_in(&api, "of-acme", Role::Viewer, Some("acme")).await;
        assert!(!of_acme.get("/").is(200).text.contains("The last 24 hours"));
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}
