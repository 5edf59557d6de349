//! Checks what becomes of fields that cases name by their labels and fill with the names of options.

use serde_json::{Value, json};
use testmo_sim::model::{Choice, Field, FieldKind, FieldTypes};

use crate::support::batches::batch;
use crate::support::process::command;
use crate::support::stage::Stage;

/// Adds fields of every kind to acme's account, in each of its templates.
fn add_fields(stage: &Stage) {
    let choice = |(id, value): (i64, &str)| Choice { id, value: value.to_owned() };
    stage.account("acme").with(|station| {
        for (column, name, kind) in [
            ("custom_team", "Team", FieldKind::MultiSelect),
            ("custom_risk", "Risk", FieldKind::Dropdown),
            ("custom_automated", "Automated", FieldKind::Checkbox),
            ("custom_due", "Due", FieldKind::Date),
            ("custom_weight", "Weight", FieldKind::Number),
            ("custom_spec", "Spec", FieldKind::Link),
        ] {
            let options = match column {
                "custom_team" => vec![(11, "Payments"), (12, "Login")],
                "custom_risk" => vec![(21, "High"), (22, "Low")],
                _ => vec![],
            };
            let id = station.account.fields.len() as u64 + 1;
            let options = options.into_iter().map(choice).collect();
            station.account.fields.push(Field { id, column_name: column.into(), name: name.into(), kind, options });
            station.account.templates.iter_mut().for_each(|template| template.columns.push(column.into()));
        }
        station.account.settings.required_fields = vec!["custom_team".into()];
        station.account.settings.shows_required = true;
        station.account.settings.field_types = FieldTypes::Words;
    });
}

fn courier(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let end = command(stage).args(arguments).output().expect("an end");
    (end.status.code(), String::from_utf8_lossy(&end.stdout).into_owned() + &String::from_utf8_lossy(&end.stderr))
}

fn with_fields(id: &str, fields: &Value) -> Value {
    let mut batch = batch("acme", id, 1);
    batch["cases"][0]["fields"] = fields.clone();
    batch
}

fn filled() -> Value {
    json!({"Team": ["payments"], "custom_risk": "High", "automated": "yes", "Due": "1.12.2026", "Weight": "2.5",
           "Spec": "https://shop.example/?a=1&b=2"})
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_filled_by_label_and_with_the_names_of_options() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    add_fields(&stage);
    assert_eq!(courier(&stage, &["tenants", "verify", "acme"]).0, Some(0));
    stage.start_worker();
    stage.publish(&with_fields("b-1", &filled())).await;
    stage.delivered("acme/b-1").await;
    let case = &stage.account("acme").cases()[0];
    for (column, value) in [
        ("custom_team", json!([11])),
        ("custom_risk", json!(21)),
        ("custom_automated", json!(true)),
        ("custom_due", json!("2026-12-01")),
        ("custom_weight", json!(2.5)),
        ("custom_spec", json!("https://shop.example/?a=1&b=2")),
    ] {
        assert_eq!(case.custom[column], value, "{column}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drafted_mapping_is_entered_and_delivers() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    add_fields(&stage);
    assert_eq!(courier(&stage, &["tenants", "verify", "acme"]).0, Some(0));
    let (code, draft) = courier(&stage, &["tenants", "mapping", "draft", "acme"]);
    assert_eq!(code, Some(0), "{draft}");
    let entry = "// \"Team\": [\"Payments\"],";
    assert!(draft.contains(entry) && draft.contains("REQUIRED"), "{draft}");
    let file = stage.path("mapping.json");
    let set = ["tenants", "set", "acme", "--mapping", file.to_str().expect("a path")];
    std::fs::write(&file, &draft).expect("a file");
    let (code, end) = courier(&stage, &set);
    assert_eq!(code, Some(0), "{end}");
    std::fs::write(&file, draft.replace(entry, &entry[3..])).expect("a file");
    let (code, end) = courier(&stage, &set);
    assert_eq!(code, Some(0), "{end}");
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    assert_eq!(stage.account("acme").cases()[1].custom["custom_team"], json!([11]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_in_gherkin_uses_the_template_for_it() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    assert_eq!(courier(&stage, &["tenants", "verify", "acme"]).0, Some(0));
    stage.start_worker();
    let mut mixed = batch("acme", "b-1", 2);
    mixed["cases"][0] = json!({"name": "In Gherkin", "gherkin": "Feature: pay\n  Scenario: by card"});
    stage.publish(&mixed).await;
    stage.delivered("acme/b-1").await;
    let cases = stage.account("acme").cases();
    assert_eq!((cases[0].template_id, cases[1].template_id), (4, 2));
    assert!(cases[0].custom["custom_feature"].as_str().is_some_and(|text| text.contains("Scenario: by card")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_testmo_will_refuse_is_reported_before_it_is_published() {
    let stage = Stage::with_tenants(&["acme"]).await;
    add_fields(&stage);
    let file = stage.path("batch.json");
    let path = file.to_str().expect("a path");
    let lint = |fields: &Value, options: &[&str]| {
        std::fs::write(&file, with_fields("b-1", fields).to_string()).expect("a file");
        let (code, text) = courier(&stage, &[&["lint", "--tenant", "acme", path], options].concat());
        assert_eq!(code, Some(0), "{text}");
        text
    };
    let unread = lint(&filled(), &[]);
    assert!(unread.contains("fields are not known") && unread.contains("tenants verify acme"), "{unread}");
    assert_eq!(courier(&stage, &["tenants", "verify", "acme"]).0, Some(0));
    let requests = stage.account("acme").requests().len();
    let fine = lint(&filled(), &[]);
    assert!(fine.contains("for acme, whose fields were read") && fine.contains(": fine"), "{fine}");

    let wrong = json!({"Taem": ["Payments"], "custom_risk": "Hgih", "Automated": "maybe"});
    let text = lint(&wrong, &[]);
    for part in [
        "names no field of the project; did you mean \"Team\"?  [unknown-field]",
        "did you mean \"High\"?  [unknown-option]",
        "[wrong-field-value]",
        "4 findings",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let shown: Value = serde_json::from_str(&lint(&wrong, &["--json"])).expect("JSON");
    let rules: Vec<&str> = shown[0]["tenant"]["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|one| one["rule"].as_str())
        .collect();
    assert_eq!(rules, ["wrong-field-value", "unknown-field", "unknown-option", "missing-required-field"]);
    let preview = courier(&stage, &["tenants", "preview", "acme", path]).1;
    assert!(preview.contains("This Testmo will probably refuse:") && preview.contains("[unknown-option]"), "{preview}");
    assert_eq!(stage.account("acme").requests().len(), requests, "nothing is read from Testmo");
    stage.end().await;
}
