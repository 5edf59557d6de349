//! Checks, previews and publishes messages, and prints schemas.

use testmo_sim::Method;

use super::{Folder, KEY, with_testmo};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_is_not_published_and_every_fault_is_named() {
    let folder = Folder::empty();
    let batch = include_str!("../../demo/batches/09-repeated-external-id.json");
    let told = ["standard input: 1 fault", "/cases/2/external_id", "nothing was published"];
    folder.courier_reading(batch, &["publish", "-"]).is(1, &told);
    folder.courier(&["publish", "none.json"]).is(2, &["none.json cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_can_be_checked_where_there_is_nothing_else() {
    let folder = Folder::empty();
    let head = r#"{"source":{"key":"K"},"schema_version":1,"batch_id":"b","tenant_id":"t","generated_at":"2026-11-23T09:30:00Z""#;
    let fine = format!(r#"{head},"cases":[{{"external_id":"A","name":"a","gherkin":"Feature: a"}}]}}"#);
    let odd = format!(r#"{head},"cases":[{{"name":"<b>a</b>","tags":["Smoke Test"]}}]}}"#);
    let broken = format!(r#"{head},"cases":[{{"name":""}},{{"nam":1}}]}}"#);
    for (name, text) in [("fine.json", &fine), ("odd.json", &odd), ("broken.json", &broken)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
        .courier(&["lint", "fine.json", "odd.json"])
        .is(0, &["fine.json: fine", "odd.json: 4 warnings", "`smoke-test`"]);
    let told = [
        "broken.json: 3 faults",
        "[case-invalid]",
        "/cases/0/name",
        "/cases/1/nam ",
        "/cases/1/name",
        "→ send 1 to 1000",
    ];
    folder.courier(&["lint", "fine.json", "broken.json"]).is(1, &told);
    folder.courier_reading("{", &["lint", "-"]).is(1, &["standard input: 1 fault", "is not valid JSON: it ends"]);
    folder.courier(&["lint", "none.json"]).is(2, &["none.json cannot be read"]);
    let end = folder.courier(&["lint", "--json", "odd.json", "broken.json"]);
    let told: serde_json::Value = serde_json::from_str(&end.out).unwrap();
    assert_eq!(end.code, Some(1));
    assert_eq!((&told[0]["batch"], told[0]["warnings"].as_array().map(Vec::len)), (&"t/b".into(), Some(4)));
    assert_eq!(told[1]["faults"][0]["pointer"], "/cases/0/name");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_are_printed_as_they_are_committed() {
    let folder = Folder::empty();
    for (name, file) in [
        ("batch --strict", include_str!("../../../docs/schemas/batch.strict.schema.json")),
        ("batch", include_str!("../../../docs/schemas/batch.schema.json")),
        ("events", include_str!("../../../docs/schemas/events.schema.json")),
        ("asyncapi", include_str!("../../../docs/schemas/asyncapi.json")),
    ] {
        let words: Vec<&str> = ["schema"].into_iter().chain(name.split(' ')).collect();
        assert_eq!(folder.courier(&words).out, file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_a_batch_would_become_and_sends_nothing() {
    let (folder, server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    let asked = server.account("acme").requests().len();
    let batch = r#"{"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "generated_at": "2026-11-23T09:30:00Z",
        "folder_path": ["Checkout"], "cases": [{"name": "Pay", "steps": [{"action": "Open <it>", "expected": "Seen"}],
        "tags": ["Smoke Test"], "issues": ["A-1"]}, {"name": "Leave"}]}"#;
    let shown = folder.courier_reading(batch, &["tenants", "preview", "acme", "-"]);
    let parts =
        ["below it Checkout", "1: 2 cases (", "1. <p>Open &lt;it&gt;</p>", "expected  <p>Seen</p>", "case 2 of 2"];
    shown.is(0, &parts);
    shown.is(0, &["\"Smoke Test\" is sent as smoke-test", "issues: the mapping names no integration_id"]);
    assert_eq!(server.account("acme").requests().len(), asked);

    let slash = batch.replace("Checkout", "Shop/Checkout");
    folder
        .courier_reading(&slash, &["tenants", "preview", "acme", "-"])
        .is(0, &["becomes one folder of this name", "[\"Shop\", \"Checkout\"]", "[folder-slash]"]);

    let online =
        folder.courier_reading(batch, &["tenants", "preview", "acme", "-", "--online", "--json", "--case", "2"]);
    online.is(0, &["will be created: Checkout", "\"position\": 2"]);
    assert!(!online.out.contains("\"position\": 1"), "{online:?}");
    let requests = server.account("acme").requests();
    assert!(requests[asked..].iter().all(|request| request.method == Method::Get), "{requests:?}");
    folder.courier_reading(batch, &["tenants", "preview", "acme", "-", "--case", "3"]).is(2, &["from 1 to 2"]);
    folder.courier_reading("{", &["tenants", "preview", "acme", "-"]).is(1, &["is not a batch"]);

    let faulty = batch.replace(r#"{"name": "Leave"}"#, r#"{"nam": "Leave"}"#);
    let shown = folder.courier_reading(&faulty, &["tenants", "preview", "acme", "-"]);
    shown
        .is(0, &["1: 1 case (", "refuse these cases", "case 2  #2", "/cases/1/name  is missing", "case 1 of 2", "Pay"]);
    let only = |case| folder.courier_reading(&faulty, &["tenants", "preview", "acme", "-", "--json", "--case", case]);
    let shown: serde_json::Value = serde_json::from_str(&only("2").out).unwrap();
    assert_eq!((&shown["cases"], &shown["faulty"][0]["position"]), (&serde_json::json!([]), &2.into()));
    let shown: serde_json::Value = serde_json::from_str(&only("1").out).unwrap();
    assert_eq!((&shown["cases"][0]["position"], &shown["faulty"]), (&1.into(), &serde_json::json!([])));
}
