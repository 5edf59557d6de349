//! Checks what becomes of the custom fields that cases choose themselves, by what the tenant's project lists of them.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::ConnectionStore;
use testmo_courier::store::shelf::{ShelfState, ShelvedUntil};
use testmo_sim::Method;
use testmo_sim::model::{Field, FieldKind};

use crate::support::batches::{batch, tenant_id};
use crate::support::broker::Broker;
use crate::support::process::command;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Adds fields to acme's account, in its default template.
fn add(stage: &Stage, fields: &[(&str, FieldKind)]) {
    stage.account("acme").with(|station| {
        for (column, kind) in fields {
            let id = station.account.fields.len() as u64 + 1;
            let (column_name, name) = ((*column).to_owned(), (*column).to_owned());
            station.account.fields.push(Field { id, column_name, name, kind: *kind, options: vec![] });
            station.account.templates.iter_mut().for_each(|template| template.columns.push((*column).to_owned()));
        }
    });
}

/// Removes a field from acme's account, as a person does.
fn remove(stage: &Stage, column: &str) {
    stage.account("acme").with(|station| {
        station.account.fields.retain(|field| field.column_name != column);
        station.account.templates.iter_mut().for_each(|template| template.columns.retain(|own| own != column));
    });
}

fn verify(stage: &Stage) {
    let verified = command(stage).args(["tenants", "verify", "acme"]).output().expect("an end");
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

fn with_fields(id: &str, fields: &Value) -> Value {
    let mut batch = batch("acme", id, 1);
    batch["cases"][0]["fields"] = fields.clone();
    batch
}

async fn is_green(stage: &Stage) -> bool {
    let stored = stage.store.connection(&tenant_id("acme")).await.expect("a store");
    stored.expect("a connection").is_verified()
}

fn field_lists(stage: &Stage) -> usize {
    let requests = stage.account("acme").requests();
    requests.iter().filter(|request| request.method == Method::Get && request.path.contains("/fields")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_in_a_field_of_a_case_is_shown_as_it_was_written() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let kinds = [
        ("custom_note", FieldKind::RichText),
        ("custom_plain", FieldKind::PlainText),
        ("custom_more", FieldKind::Steps),
    ];
    add(&stage, &kinds);
    let text = "<script>a < b</script> & c";
    let fields = json!({"custom_note": text, "custom_plain": text, "custom_more": [{"text1": text}],
        "custom_description": text});
    // What the project has is not known yet; the mapping itself says what the description holds.
    stage.start_worker();
    stage.publish(&with_fields("b-1", &fields)).await;
    stage.delivered("acme/b-1").await;
    verify(&stage);
    // A worker remembers a connection for a moment.
    stage.stop_worker().await;
    stage.start_worker();
    stage.publish(&with_fields("b-2", &fields)).await;
    stage.delivered("acme/b-2").await;
    let html = "<p>&lt;script&gt;a &lt; b&lt;/script&gt; &amp; c</p>";
    let unknown = "&lt;script>a < b&lt;/script> & c";
    let cases = stage.account("acme").cases();
    let shown = |case: usize, column: &str| cases[case].custom[column].clone();
    for (case, note, plain) in [(0, unknown.replace("& c", "&amp; c").as_str(), unknown), (1, html, text)] {
        assert_eq!(shown(case, "custom_note"), note, "{case}");
        assert_eq!(shown(case, "custom_plain"), plain, "{case}");
        assert_eq!(shown(case, "custom_more")[0]["text1"], html, "{case}");
        assert_eq!(shown(case, "custom_description"), html, "{case}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_project_has_lost_is_the_connections_fault_and_blocks_no_other_batch() {
    let settings = [("COURIER_RETRY__SHELF_BACKOFF_MIN", "1s"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    add(&stage, &[("custom_risk", FieldKind::Number)]);
    verify(&stage);
    remove(&stage, "custom_risk");
    stage.start_worker();
    stage.publish(&with_fields("b-1", &json!({"custom_risk": 3}))).await;
    let failed = stage.event_of("acme").await;
    assert_eq!(failed["type"], "com.sqai-suite.testmo.connection.failed.v1");
    assert_eq!(failed["data"]["reason"], "connection_rejected");
    let detail = failed["data"]["detail"].as_str().unwrap();
    assert!(detail.contains("custom_risk: the project had this field before and no longer lists it"), "{detail}");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ConnectionRejected));
    assert!(!is_green(&stage).await);

    // Verifying only reads, and remembers that the field was there. Other batches arrive, and this one waits for a time.
    stage.publish(&batch("acme", "b-2", 2)).await;
    until(async || {
        let shelf = stage.shelf().await;
        if !is_green(&stage).await && shelf.iter().all(|row| !row.leased) {
            verify(&stage);
        }
        stage.account("acme").case_names().len() == 2
    })
    .await;
    until(async || {
        if !is_green(&stage).await {
            verify(&stage);
        }
        matches!(&stage.shelf().await[..], [row] if matches!(row.content.until, ShelvedUntil::After(_)))
    })
    .await;
    // The tenant knows of the field: another batch with it turns no light red, and a mistyped field is the case's own.
    stage.publish(&with_fields("b-3", &json!({"custom_risk": 4}))).await;
    stage.shelf_until(|shelf| shelf.len() == 2).await;
    stage.publish(&with_fields("b-4", &json!({"custom_rsik": 4}))).await;
    let refused = stage.event_of("acme/b-4").await;
    assert_eq!(refused["data"]["reason"], "all_refused");
    assert!(is_green(&stage).await);

    add(&stage, &[("custom_risk", FieldKind::Number)]);
    stage.delivered("acme/b-1").await;
    stage.delivered("acme/b-3").await;

    // A field that is gone when a person enters the connection again is not expected back.
    remove(&stage, "custom_risk");
    let entered = command(&stage).args(["tenants", "set", "acme", "--project", "1"]).output().expect("an end");
    assert_eq!(entered.status.code(), Some(0), "{entered:?}");
    // A worker remembers a connection for a moment.
    stage.stop_worker().await;
    stage.start_worker();
    stage.publish(&with_fields("b-5", &json!({"custom_risk": 4}))).await;
    assert_eq!(stage.event_of("acme/b-5").await["data"]["reason"], "all_refused");
    assert!(is_green(&stage).await);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_in_a_field_that_the_project_has_is_the_cases_fault() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    add(&stage, &[("custom_risk", FieldKind::Number)]);
    stage.start_worker();
    stage.publish(&with_fields("b-1", &json!({"custom_risk": 3}))).await;
    stage.delivered("acme/b-1").await;
    let before = field_lists(&stage);
    for id in ["b-2", "b-3"] {
        stage.publish(&with_fields(id, &json!({"custom_risk": "high"}))).await;
        assert_eq!(stage.event_of(&format!("acme/{id}")).await["data"]["reason"], "all_refused");
    }
    assert_eq!(field_lists(&stage), before + 1, "one list for both");
    // Without a list nothing tells a field from its value.
    stage.account("acme").change_settings(|settings| settings.fields_route = false);
    remove(&stage, "custom_risk");
    stage.stop_worker().await;
    stage.start_worker();
    stage.publish(&with_fields("b-4", &json!({"custom_risk": 3}))).await;
    assert_eq!(stage.event_of("acme/b-4").await["data"]["reason"], "all_refused");
    assert!(is_green(&stage).await);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
