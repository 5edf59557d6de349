//! Compares with Testmo, decides about candidates there, and probes it.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_courier::batch::Reason;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::{Method, Time};

use super::support::{Api, both};
use crate::support::batches::{batch, key_of};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::stage::{LeftOver, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_compared_with_what_testmo_shows_as_json_and_csv() {
    for mut api in both(&["acme", "birch"]).await {
        api.stage.start_worker();
        api.stage.publish(&batch("acme", "b-1", 3)).await;
        api.stage.delivered("acme/b-1").await;
        let account = api.stage.account("acme");
        let ids: Vec<u64> = account.cases().iter().map(|case| case.id).collect();
        assert!(account.delete_case(ids[1]));
        assert!(account.change_case(ids[2], |case| {
            case.name = "=cmd()".into();
            (case.updated_at, case.updated_by) = (Some(Time(1_893_456_000_000)), Some(1));
        }));
        let viewer = api.token("viewer", Role::Viewer, Some("acme")).await;
        for path in ["/api/v1/batches/acme/b-1/compare", "/api/v1/tenants/acme/compare?format=json"] {
            let compared = api.get(path, &viewer).is(200);
            let findings: Vec<_> =
                compared["cases"].as_array().expect("cases").iter().map(|case| &case["findings"][0]).collect();
            assert_eq!(findings[..2], ["once", "missing"], "{compared}");
            assert_ne!(findings[2], "once", "{compared}");
        }
        let answer = api.get("/api/v1/batches/acme/b-1/compare?format=csv", &viewer);
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
        let lines: Vec<String> = answer.is(200).as_str().expect("CSV").lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].starts_with("batch,case,testmo_id,") && lines[3].contains("\"'=cmd()\""), "{lines:?}");
        api.get("/api/v1/batches/acme/b-1/compare?format=xml", &viewer).refused(400, "invalid_parameter");
        api.get("/api/v1/batches/acme/b-9/compare", &viewer).refused(404, "not_found");
        for path in
            ["/api/v1/batches/birch/b-1/compare", "/api/v1/tenants/birch/compare", "/api/v1/tenants/ash/compare"]
        {
            api.get(path, &viewer).refused(404, "not_found");
        }
        let admin = api.token("admin", Role::Admin, None).await;
        api.get("/api/v1/tenants/ash/compare", &admin).refused(404, "not_found");
        api.end().await.end().await;
    }
}

/// How many comparisons are asked for at once.
const COMPARISONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_that_wait_for_testmo_hold_up_nobody_else() {
    for mut api in both(&["acme"]).await {
        api.stage.start_worker();
        api.stage.publish(&batch("acme", "b-1", 1)).await;
        api.stage.delivered("acme/b-1").await;
        let token = api.token("viewer", Role::Viewer, None).await;
        let acme = api.stage.account("acme");
        let held = Fault::Held { commit: CommitTime::BeforeDelay };
        acme.set_faults([Rule::always(held).on(Method::Get, PathKind::Cases)]);
        let request = format!(
            "GET /api/v1/batches/acme/b-1/compare HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
            api.address
        );
        let compare = || {
            let mut stream = TcpStream::connect(api.address).expect("a connection");
            stream.write_all(request.as_bytes()).expect("a request that is read");
            stream.set_nonblocking(true).expect("a socket");
            stream
        };
        let comparisons: Vec<TcpStream> = std::iter::repeat_with(compare).take(COMPARISONS).collect();
        acme.requests_matching(|request| request.method == Method::Get && request.answered_at.is_none(), 1).await;
        for path in ["/api/v1/health", "/api/v1/batches/acme/b-1", "/api/v1/attention"] {
            api.get(path, &token).is(200);
        }
        api.stage.publish(&batch("acme", "b-2", 1)).await;
        api.stage.delivered("acme/b-2").await;
        // Those that wait for their turn may have been refused by now.
        let waits = |stream: &&TcpStream| stream.peek(&mut [0]).is_err();
        assert_ne!(comparisons.iter().filter(waits).count(), 0, "some comparison still waits for Testmo");
        acme.clear_faults();
        drop(comparisons);
        api.end().await.end().await;
    }
}

const SETTLE: [(&str, &str); 1] = [("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "1s")];

#[tokio::test(flavor = "multi_thread")]
async fn candidates_are_listed_with_id_name_and_link_and_one_is_adopted() {
    for stage in [
        Stage::on(Broker::shared(), &["acme", "birch"], &SETTLE).await,
        Stage::on_postgres(Postgres::shared(), &["acme", "birch"], &SETTLE).await,
    ] {
        let mut api = Api::of(stage).await;
        api.stage.start_worker();
        let renamed = api.stage.publish_and_rename("acme", "b-1", "Renamed by a person").await;
        api.stage.event_of("acme/b-1").await;
        let id = api.stage.shelf().await[0].id.to_string();
        let path = format!("/api/v1/shelf/{id}/candidates");
        let viewer = api.token("viewer", Role::Viewer, None).await;
        let operator = api.token("operator", Role::Operator, Some("acme")).await;
        let listed = api.get(&path, &viewer).is(200);
        assert_eq!((&listed["missing"][0]["case"], &listed["decided"]), (&json!("TC-2"), &Value::Null), "{listed}");
        let candidate = &listed["candidates"][0];
        assert_eq!((&candidate["testmo_id"], &candidate["name"]), (&json!(renamed), &json!("Renamed by a person")));
        assert!(candidate["link"].as_str().is_some_and(|link| link.ends_with(&format!("case_id={renamed}"))));
        let draft = api.get(&format!("/api/v1/shelf/{id}/draft"), &viewer).is(200);
        assert_eq!(draft["locked_cases"].as_array().map(Vec::len), Some(3), "{draft}");

        let decide = |token: &str, body: Value| api.post(&path, token, &body);
        let adopt = |testmo_id: u64| json!({"adopt": [{"case": "TC-2", "testmo_id": testmo_id}], "reason": "renamed"});
        decide(&viewer, adopt(renamed)).refused(403, "role_too_low");
        decide(&operator, json!({})).refused(422, "invalid_body");
        decide(&operator, json!({"adopt": [{"case": "TC-2", "testmo_id": "1"}]})).refused(422, "invalid_body");
        decide(&operator, adopt(999)).refused(422, "refused");
        decide(&operator, json!({"refuse": [999]})).refused(422, "refused");
        let stranger = api.token("stranger", Role::Operator, Some("birch")).await;
        decide(&stranger, adopt(renamed)).refused(404, "not_found");
        api.get(&path, &stranger).refused(404, "not_found");
        let decided = decide(&operator, adopt(renamed)).is(200);
        assert_eq!((&decided["decided"]["adopted"], &decided["decided"]["delivered"]), (&json!(1), &json!(true)));
        decide(&operator, adopt(renamed)).refused(404, "not_found");
        api.stage.event_of("acme/b-1").await;
        assert_eq!(api.stage.account("acme").cases().len(), 3);
        api.end().await.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_without_missing_cases_has_no_candidates() {
    for api in both(&["acme"]).await {
        api.stage.shelve(&batch("acme", "b-1", 1), Reason::RetriesExhausted).await;
        let viewer = api.token("viewer", Role::Viewer, None).await;
        let id = api.stage.shelf().await[0].id;
        api.get(&format!("/api/v1/shelf/{id}/candidates"), &viewer).refused(409, "conflict");
        api.get("/api/v1/shelf/ffffffff/candidates", &viewer).refused(404, "not_found");
        api.end().await.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_probed_and_its_change_dropped() {
    for api in both(&["acme", "birch"]).await {
        let operator = api.token("operator", Role::Operator, Some("acme")).await;
        let probe = |body: Value| api.post("/api/v1/tenants/acme/probe", &operator, &body);
        let read = probe(json!({})).is(200);
        assert_eq!((&read["not_verified"], &read["probed"]["saved"]), (&Value::Null, &json!(true)), "{read}");
        assert!(read["probed"]["findings"].as_array().is_some_and(|found| !found.is_empty()));
        let written = probe(json!({"folder_id": 1})).is(200);
        assert_eq!(written["probed"]["left_cases"], json!([]), "{written}");
        assert!(api.stage.account("acme").cases().is_empty(), "what a probe creates is deleted");
        assert_eq!(probe(json!({"folder_id": 999})).refused(422, "refused")["pointer"], "/folder_id");
        probe(json!({"folder_id": 0})).refused(422, "invalid_body");
        probe(json!({"folder": 1})).refused(422, "invalid_body");
        api.post("/api/v1/tenants/birch/probe", &operator, &json!({})).refused(404, "not_found");

        let admin = api.token("admin", Role::Admin, None).await;
        api.post("/api/v1/tenants/ash/probe", &admin, &json!({})).refused(404, "not_found");
        let change = |precondition: &str| {
            api.ask("DELETE", "/api/v1/tenants/acme/change", &admin, &format!("{precondition}\r\n"), None)
        };
        assert_eq!(change("If-Match: *").is(200)["dropped"], false);
        let tag = api.get("/api/v1/tenants/acme", &admin).header("etag").expect("a tag").to_owned();
        let origin = api.stage.testmo.origin("acme");
        let wrong = json!({"base_url": origin, "project_id": 1, "folder_id": 999, "api_key": key_of("acme")});
        api.ask("PUT", "/api/v1/tenants/acme", &admin, "If-Match: *\r\n", Some(&wrong)).is(200);
        change("X-None: 1").refused(428, "precondition_needed");
        change(&format!("If-Match: {tag}")).refused(412, "precondition_failed");
        let tag = api.get("/api/v1/tenants/acme", &admin).header("etag").expect("a tag").to_owned();
        assert_eq!(change(&format!("If-Match: {tag}")).is(200)["dropped"], true);
        assert_eq!(api.get("/api/v1/tenants/acme/status", &admin).is(200)["light"], "green");
        api.ask("DELETE", "/api/v1/tenants/ash/change", &admin, "If-Match: *\r\n", None).refused(404, "not_found");
        api.end().await.end().await;
    }
}
