//! Checks what becomes of the custom fields that cases choose themselves, by what the tenant's project lists of them.

use serde_json::{Value, json};
use testmo_sim::model::{Field, FieldKind};

use crate::support::batches::batch;
use crate::support::process::command;
use crate::support::stage::Stage;

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

fn verify(stage: &Stage) {
    let verified = command(stage).args(["tenants", "verify", "acme"]).output().expect("an end");
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

fn with_fields(id: &str, fields: &Value) -> Value {
    let mut batch = batch("acme", id, 1);
    batch["cases"][0]["fields"] = fields.clone();
    batch
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
