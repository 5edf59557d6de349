//! Checks what is said of delivered cases that people have changed, moved, copied or deleted in Testmo.

use secrecy::SecretString;
use serde_json::{Value, json};
use testmo_courier::batch::batch_tag;
use testmo_courier::clock::Clock;
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_sim::faults::{Fault, PathKind, Rule};
use testmo_sim::model::TagsFilter;
use testmo_sim::{Method, Time};

use crate::support::batches::{batch, key_of, names};
use crate::support::postgres::Postgres;
use crate::support::process::command;
use crate::support::stage::Stage;

/// Runs a comparison, and returns its exit code and whole output.
fn compared(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(stage).args(["batches", "compare"]).args(arguments).output().expect("the program");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn as_json(stage: &Stage, selected: &str) -> Value {
    let (code, said) = compared(stage, &[selected, "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).expect("JSON")
}

/// Returns the findings of each case of a batch.
fn findings(comparison: &Value, batch: &str) -> Vec<String> {
    let of_batch = |case: &&Value| case["batch_id"] == batch;
    let words = |case: &Value| {
        let findings = case["findings"].as_array().expect("findings");
        findings.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    comparison["cases"].as_array().expect("cases").iter().filter(of_batch).map(words).collect()
}

/// Returns a batch whose cases are remembered.
fn remembered(id: &str, count: usize) -> Value {
    let mut batch = batch("acme", id, count);
    batch["source"] = json!({"key": format!("SHOP-{id}")});
    batch
}

/// Creates a case with the tag of a batch, as a person does who copies one.
async fn create_copy(stage: &Stage, name: &str, batch: &str) {
    let config = &stage.config.testmo;
    let origin = AddressPolicy::new(config).check(&stage.testmo.origin("acme")).expect("a listed origin");
    let client = Client::new(config, Clock::system()).expect("a client");
    let access = Access { origin, key: SecretString::from(key_of("acme")) };
    let tag = batch_tag(&batch.parse().expect("a key"));
    let body = json!({"cases": [{"name": name, "folder_id": 1, "tags": [tag]}]}).to_string();
    client.create_cases(&access, 1, body, vec![false]).await.end.expect("a case");
}

/// What people do with the cases 1 to 6 of a batch of which the first has the id 1, and a page of other cases.
async fn touched(mut stage: Stage, filter: TagsFilter) {
    stage.account("acme").change_settings(|settings| settings.tags_filter = filter);
    stage.start_worker();
    stage.publish(&remembered("b-1", 7)).await;
    stage.delivered("acme/b-1").await;
    // Not remembered, as its cases have no external ids.
    let mut nameless = batch("acme", "b-2", 120);
    for case in nameless["cases"].as_array_mut().expect("cases") {
        case.as_object_mut().expect("a case").remove("external_id");
    }
    stage.publish(&nameless).await;
    stage.delivered("acme/b-2").await;
    assert_eq!(findings(&as_json(&stage, "acme/b-1"), "b-1"), ["once"; 7]);

    let account = stage.account("acme");
    let folder = account.create_root_folder(1, "Elsewhere");
    let ann = Some(1);
    let at = Some(Time(1_893_456_000_000));
    let edit = |id: u64, change: &dyn Fn(&mut testmo_sim::model::Case)| {
        assert!(account.change_case(id, |case| {
            change(case);
            (case.updated_at, case.updated_by) = (at, ann);
        }));
    };
    edit(2, &|case| case.name = "Renamed".into());
    edit(3, &|case| case.folder_id = folder);
    // Edited, but not in anything that was written.
    edit(4, &|case| case.status_id = Some(1));
    assert!(account.delete_case(5));
    // A person copies a case with its tag.
    create_copy(&stage, "b-1 case 6", "acme/b-1").await;
    edit(8, &|case| case.estimate = Some(60));
    assert!(account.delete_case(127));

    let expected = ["once", "changed", "moved", "once", "missing", "twice", "once"];
    let of_batch = as_json(&stage, "acme/b-1");
    assert_eq!(findings(&of_batch, "b-1"), expected);
    let of_tenant = as_json(&stage, "acme");
    assert_eq!(findings(&of_tenant, "b-1"), expected);
    let of_other = findings(&of_tenant, "b-2");
    assert_eq!((of_other[0].as_str(), of_other[119].as_str()), ("maybe_changed", "missing"));
    assert!(of_other[1..119].iter().all(|finding| finding == "once"), "{of_other:?}");
    let case = |at: usize| &of_batch["cases"][at];
    assert_eq!(case(1)["changed_fields"], json!(["name"]));
    assert_eq!((&case(1)["edited_by"], &case(1)["edited_at"]), (&json!("Push Bot"), &json!("2030-01-01T00:00:00Z")));
    assert_eq!(case(2)["folder_now"], json!(folder));
    assert_eq!(case(5)["others"][0]["testmo_id"], json!(128));

    let (code, table) = compared(&stage, &["acme"]);
    assert_eq!(code, Some(0), "{table}");
    for words in ["127 cases: 2 missing, 1 twice, 1 moved, 1 changed, 1 maybe_changed, 121 once", "also as 128"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let (_, csv) = compared(&stage, &["acme", "--format", "csv"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 128, "{csv}");
    assert!(rows[2].starts_with("b-1,TC-2,2,Renamed,changed,name,,Push Bot,2030-01-01T00:00:00Z,,,http"), "{csv}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_done_with_cases_is_found_over_a_file() {
    touched(Stage::with_tenants(&["acme"]).await, TagsFilter::Any).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_done_with_cases_is_found_over_a_database() {
    touched(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await, TagsFilter::Ignored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_needs_a_permit_and_a_pause_ends_the_reading() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    stage.delivered("acme/b-1").await;
    let lists = |stage: &Stage| {
        let requests = stage.account("acme").requests();
        requests.iter().filter(|request| request.path.contains("/cases?")).count()
    };
    let lane = |what| assert!(command(&stage).args(["lanes", what, "acme"]).status().expect("the program").success());
    lane("pause");
    let (code, said) = compared(&stage, &["acme"]);
    assert_eq!((code, lists(&stage)), (Some(1), 0), "{said}");
    assert!(said.contains("a person has paused requests") && said.contains("try again later"), "{said}");
    lane("resume");
    // A short pause of Testmo's is waited for, and everyone respects it.
    let limited = Fault::Status {
        status: 429,
        after_commit: false,
        retry_after: Some(testmo_sim::faults::RetryAfter::Seconds(1)),
        html: false,
        delay_ms: 0,
    };
    stage.account("acme").set_faults([Rule::always(limited).on(Method::Get, PathKind::Cases).times(1)]);
    let (code, said) = compared(&stage, &["acme"]);
    assert_eq!((code, lists(&stage)), (Some(0), 2), "{said}");
    assert!(said.contains("3 cases: 3 once"), "{said}");
    stage.account("acme").set_faults([Rule::always(Fault::status(500)).on(Method::Get, PathKind::Cases)]);
    let (code, said) = compared(&stage, &["acme"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Testmo could not be read"), "{said}");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    stage.account("acme").clear_faults();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_named() {
    let stage = Stage::with_tenants(&["acme"]).await;
    for (selected, code, words) in [
        ("acme", 1, "the ledger has no cases of acme to compare"),
        ("acme/b-1", 1, "the ledger has no cases of acme/b-1 to compare"),
        ("acne", 1, "there is no connection of tenant acne"),
        ("a b", 2, "write a tenant such as acme"),
    ] {
        let (exit, said) = compared(&stage, &[selected]);
        assert_eq!(exit, Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
    stage.end().await;
}
