//! Checks that an edit between the reading of a case and the request of an undo that changes it is reported with what was lost.

use std::process::Stdio;

use serde_json::{Value, json};
use testmo_courier::batch::event::OVERWRITTEN;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::model::HistoryForm;

use super::updated::generation;
use super::{arguments, case, changes};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::command;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_the_window_of_an_undo_is_reported_with_both_contents() {
    let on_file = Stage::on(Broker::shared(), &["acme"], &[]).await;
    for mut stage in [on_file, Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await] {
        stage.account("acme").change_settings(|settings| settings.history = HistoryForm::Fields);
        stage.start_worker();
        for (n, names) in [(1, ["a", "b", "c"]), (2, ["a2", "b", "c"])] {
            stage.publish(&generation(n, names)).await;
            stage.delivered(&format!("acme/g-{n}")).await;
        }
        let (acme, id) = (stage.account("acme"), case(&stage, "a2").id);
        let slow = Fault::Slow { ms: 1_000, commit: CommitTime::AfterDelay };
        acme.set_faults([Rule::always(slow).on(Method::Patch, PathKind::Cases).times(1)]);
        let mut undo = command(&stage);
        undo.args(arguments("undo", "acme/g-2")).stdout(Stdio::piped());
        let undo = undo.spawn().expect("the program");
        // The first one is that of the second generation.
        let sent = acme.requests_matching(|request| request.method == Method::Patch, 2).await;
        assert!(!sent[1].is_committed && acme.change_case(id, |case| case.name = "mine".into()));
        let output = tokio::task::spawn_blocking(move || undo.wait_with_output()).await.expect("an end");
        let undone: Value = serde_json::from_slice(&output.expect("its output").stdout).expect("a view");
        assert_eq!((changes(&undone), case(&stage, "a").id), (vec!["restored".to_owned()], id), "{undone}");
        stage.event_of("acme/g-2").await;

        let event = stage.event_of("acme/g-2").await;
        assert_eq!(event["type"], OVERWRITTEN, "{event}");
        let [edit] = &event["data"]["edits"].as_array().expect("edits")[..] else { panic!("{event}") };
        let both = json!([edit["testmo_id"], edit["certainty"], edit["fields"], edit["lost"], edit["written"]]);
        assert_eq!(both, json!([id, "overwritten", ["name"], "mine", "a"]), "{event}");
        stage.end().await;
    }
}
