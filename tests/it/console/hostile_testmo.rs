//! Shows texts that Testmo sends on every page that has any: none becomes markup, and a long one is cut.

use serde_json::{Value, json};
use testmo_courier::app::actor::Role;
use testmo_sim::Time;
use testmo_sim::model::{
    Field, FieldKind, State, default_fields, default_priorities, default_states, default_templates,
};
use testmo_sim::world::AccountSpec;

use super::browser::{Browser, Page};
use crate::api::support::{Api, both};
use crate::support::batches::{batch, key_of};
use crate::support::stage::LeftOver;

const EVIL: &str =
    "\"'><img src=x onerror=alert(1)></textarea></option><script>alert(2)</script>\u{202e}\u{1b}[2J\u{0}";
/// How long the texts are, in characters, and more than a page shows of one.
const LONG: usize = 10_000;
const MUCH: usize = 2_000;

/// Returns a text that Testmo sends.
fn evil() -> String {
    format!("{EVIL}{}", "x".repeat(LONG))
}

/// Returns the column of a field, which cases name.
fn column() -> String {
    format!("custom_{EVIL}")
}

/// Returns an account each of whose names is hostile; its further field is not required yet.
fn account(tenant: &str) -> AccountSpec {
    let mut spec = AccountSpec::with_one_folder(&key_of(tenant));
    spec.users[0].name = evil();
    spec.projects[0].name = evil();
    spec.projects[0].folders[0].name = evil();
    let (mut fields, mut templates) = (default_fields(default_priorities()), default_templates());
    let (id, kind) = (100, FieldKind::PlainText);
    fields.push(Field { id, column_name: column(), name: evil(), kind, options: Vec::new() });
    for template in &mut templates {
        template.name = evil();
        template.columns.push(column());
    }
    let states = default_states().into_iter().map(|state| State { name: evil(), ..state }).collect();
    AccountSpec { fields: Some(fields), templates: Some(templates), states: Some(states), ..spec }
}

/// Returns a batch whose cases have nothing but a name and an id.
fn plain(id: &str) -> Value {
    let mut batch = batch("acme", id, 3);
    for case in batch["cases"].as_array_mut().expect("cases") {
        case.as_object_mut().expect("a case").remove("steps");
    }
    batch["source"] = json!({"key": format!("SHOP-{id}")});
    batch
}

/// Checks that a page works, has no markup of others, and shows at most so much of one text.
#[track_caller]
fn harmless(page: &Page, most: usize) {
    let Page { path, status, text, .. } = page;
    assert!(*status < 500, "{path}: {status} {text}");
    for markup in ["<img src=x", "<script>", "onerror=alert(1)>", "\u{202e}", "\u{1b}", "\u{0}"] {
        assert!(!text.contains(markup), "{path} has {markup:?}: {text}");
    }
    assert!(!text.contains(&"x".repeat(most)), "{path} shows {most} characters of one text");
}

/// Prepares an account in which everything is hostile: a delivered batch of which a case was renamed, one with a missing case, and
/// one that was refused. Returns the entries of the last two.
async fn prepare(api: &mut Api) -> [String; 2] {
    let stage = &mut api.stage;
    stage.account("acme").create(account("acme")).expect("an account");
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    stage.start_worker();
    stage.publish(&plain("b-1")).await;
    stage.delivered("acme/b-1").await;
    let acme = stage.account("acme");
    let first = acme.cases()[0].id;
    assert!(acme.change_case(first, |case| {
        case.name = evil();
        (case.updated_at, case.updated_by) = (Some(Time(1_893_456_000_000)), Some(1));
    }));
    stage.publish_whole_and_rename(&plain("b-2"), &evil()).await;
    stage.event_of("acme/b-2").await;
    let missing = stage.shelf().await[0].id.to_string();
    acme.change_settings(|settings| settings.required_fields = vec![column()]);
    stage.publish(&plain("b-3")).await;
    stage.event_of("acme/b-3").await;
    let rows = stage.shelf().await;
    let refused = rows.iter().map(|row| row.id.to_string()).find(|id| *id != missing).expect("an entry");
    // No worker tries again what is shown.
    stage.all_sent().await;
    stage.stop_worker().await;
    [missing, refused]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_message_of_testmo_becomes_markup_or_fills_a_page() {
    for mut api in both(&["acme"]).await {
        let [missing, refused] = prepare(&mut api).await;
        let mut browser = Browser::logged_in(&api, "admin", Role::Admin, None).await;
        let origin = api.stage.testmo.origin("acme");
        let state = browser.get("/tenants/acme").is(200).field("state");
        let choose = [("state", state.as_str()), ("base_url", &origin), ("project_id", "1"), ("then", "choose")];
        let offered = browser.post("/tenants/acme/connection", &choose).is(200);
        harmless(&offered.says("What this key may see").says("&#60;script&#62;"), MUCH);
        let verified = browser.submit("/tenants/acme/verify", &[]);
        harmless(&verified.says("connected as").says("&#60;script&#62;alert(2)").says("\\u{202e}"), MUCH);
        let probed = browser.submit("/tenants/acme/probe", &[]);
        harmless(&probed.is(200).says("Probed: "), MUCH);
        let made = browser.post("/tenants/acme/links", &[("minutes", "5")]).is(200);
        let link = made.text.split("href=\"/t/").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
        let verify = format!("/t/{link}/verify");
        harmless(&browser.post(&verify, &[]).is(200).says("The connection works"), MUCH);
        for at in [
            "/".to_owned(),
            "/failures".into(),
            "/failures/entries".into(),
            format!("/entries/{missing}"),
            format!("/entries/{refused}"),
            format!("/entries/{missing}/candidates"),
            format!("/entries/{refused}/edit"),
            format!("/failures/discard?id={refused}"),
            "/tenants".into(),
            "/tenants/acme".into(),
            "/tenants/acme/mapping".into(),
            "/tenants/acme/probe".into(),
            "/tenants/acme/remove".into(),
            "/batches".into(),
            "/batches/acme/b-1".into(),
            "/batches/acme/b-1/compare".into(),
            "/batches/acme/b-1/undo".into(),
            "/batches/acme/b-2".into(),
            "/batches/acme/b-3".into(),
            "/lanes".into(),
            "/audit".into(),
            "/search?text=alert".into(),
            format!("/t/{link}"),
        ] {
            harmless(&browser.get(&at).is(200), MUCH);
        }
        browser.get(&format!("/entries/{refused}")).is(200).says("&#60;script&#62;");
        browser.get(&format!("/entries/{missing}/candidates")).is(200).says("&#60;script&#62;");
        browser.get("/batches/acme/b-1/compare").is(200).says("edited by").says("&#60;script&#62;");
        // A draft is edited, so its names are whole.
        harmless(&browser.get("/tenants/acme/mapping?draft=yes").is(200), LONG + 1);
        // A worker sends the events about the connection.
        let mut stage = api.end().await;
        stage.start_worker();
        stage.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}
