//! Plans, starts and watches replays.

use serde_json::json;
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;

use super::support::both;
use crate::support::batches::batch;
use crate::support::stage::LeftOver;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_planned_started_paused_and_cancelled_and_its_batches_are_listed() {
    for api in both(&["acme"]).await {
        for n in 0..3 {
            api.stage.shelve(&batch("acme", &format!("b-{n}"), 2), Reason::RetriesExhausted).await;
        }
        let operator = api.token("operator", Role::Operator, None).await;
        let plan = |body| api.post("/api/v1/replays", &operator, &body);
        plan(json!({})).refused(422, "invalid_body");
        plan(json!({"selection": {"tenant_id": "birch"}})).refused(404, "not_found");
        for (member, wrong) in [
            ("per_minute", json!("many")),
            ("per_minute", json!(0)),
            ("per_minute", json!(100_001)),
            ("limit", json!(0)),
            ("name", json!("x".repeat(201))),
            ("reason", json!("x".repeat(501))),
        ] {
            plan(json!({"selection": {"all": true}, member: wrong})).refused(422, "invalid_body");
        }
        let body =
            json!({"selection": {"tenant_id": "acme"}, "name": "after the upgrade", "per_minute": 60, "limit": 2});
        let planned = plan(body).is(201);
        assert_eq!((&planned["id"], &planned["state"], &planned["left"]), (&json!(1), &json!("planned"), &json!(2)));
        assert_eq!((&planned["plan"]["tried"], &planned["plan"]["cases"]), (&json!(2), &json!(4)), "{planned}");
        assert_eq!((&planned["selection"], &planned["owner"]), (&json!("--tenant acme"), &json!("operator")));

        let act =
            |what: &str, reason| api.post(&format!("/api/v1/replays/1/{what}"), &operator, &json!({"reason": reason}));
        act("resume", "x").refused(409, "conflict");
        assert_eq!(act("start", "fixed").is(200)["state"], "running");
        let paused = act("pause", "lunch").is(200);
        assert_eq!((&paused["state"], &paused["why"]), (&json!("paused"), &json!("paused by operator: lunch")));
        let first = api.get("/api/v1/replays/1/batches?limit=1", &operator).is(200);
        assert_eq!((&first["items"][0]["batch_id"], &first["items"][0]["outcome"]), (&json!("b-0"), &json!(null)));
        let next = first["next"].as_str().expect("a next page");
        let second = api.get(next, &operator).is(200);
        assert_eq!(second["items"][0]["batch_id"], "b-1");
        let none = api.get("/api/v1/replays/1/batches?outcome=delivered", &operator).is(200);
        assert_eq!((&none["items"], &none["next"]), (&json!([]), &json!(null)));
        assert_eq!(act("cancel", "").is(200)["state"], "cancelled");
        let listed = api.get("/api/v1/replays?state=cancelled", &operator).is(200);
        assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["name"]), (&json!(1), &json!("after the upgrade")));
        api.get("/api/v1/replays/99", &operator).refused(404, "not_found");
        api.get("/api/v1/replays/x", &operator).refused(400, "invalid_parameter");
        assert_eq!(api.stage.shelf().await.len(), 3);
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}
