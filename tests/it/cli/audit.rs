//! Lists what people have changed by commands, and names the tenant that was probably meant.

use serde_json::Value;

use super::{End, KEY, with_testmo};

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_who_has_changed_what_and_why() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &["--as", "bert"]).is(0, &["green"]);
    let pause = ["lanes", "pause", "acme", "--because", "maintenance"];
    let mut command = folder.command(&pause);
    let paused: End = command.env("SUDO_USER", "carla").env("USER", "root").output().expect("its end").into();
    paused.is(0, &["acme is paused"]);
    folder.courier(&["audit"]).is(
        0,
        &[
            "lane.pause  lane acme",
            "by carla through the command line",
            "because: maintenance",
            "paused: no → yes",
            "connection.set  tenant acme",
            "by bert",
            "api_key: changed",
        ],
    );
    let page = |more: &[&str]| -> Value {
        let end = folder.courier(&[&["audit", "--json"], more].concat());
        end.is(0, &[]);
        serde_json::from_str(&end.out).expect("JSON")
    };
    let first = page(&["--limit", "1"]);
    assert_eq!(first["entries"][0]["action"], "lane.pause");
    let second = page(&["--after", &first["next_after"].to_string()]);
    assert_eq!((&second["entries"][0]["actor"], &second["next_after"]), (&Value::from("bert"), &Value::Null));
    let of_lane = page(&["--subject", "lane acme", "--since", "1h", "--tenant", "acme"]);
    assert_eq!(of_lane["entries"].as_array().map(Vec::len), Some(1));
    folder.courier(&["audit", "--limit", "1"]).is(0, &["There are more: --after"]);
    folder.courier(&["audit", "--plain"]).is(0, &["\tcarla\tcommand_line\tlane.pause\tlane acme\tmaintenance"]);
    folder.courier(&["audit", "--actor", "nobody"]).is(0, &["No person has changed anything"]);
    folder.courier(&["audit", "--after", "999"]).is(1, &["the audit has no entry 999", "--after"]);
    folder.courier(&["audit", "--action", "lane.eat"]).is(2, &["lane.eat", "lane.pause"]);
    folder.courier(&["lanes", "pause", "acme", "--as", ""]).is(2, &["--as"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_of_a_mistyped_tenant_names_the_one_that_was_meant() {
    let (folder, _server) = with_testmo().await;
    folder.set(KEY, &[]).is(0, &["green"]);
    for command in [
        &["shelf", "list"][..],
        &["shelf", "groups"],
        &["batches", "list"],
        &["audit"],
        &["replay"],
        &["shelf", "discard", "--because", "x"],
    ] {
        let said = folder.courier(&[command, &["--tenant", "acmee"]].concat());
        said.is(0, &["There is no connection of tenant acmee. Did you mean `acme`?"]);
        let right = folder.courier(&[command, &["--tenant", "acme"]].concat());
        assert!(!right.err.contains("Did you mean"), "{right:?}");
    }
    folder.courier(&["shelf", "note", "c-00000007", "x"]).is(1, &["nothing of group c-00000007", "shelf groups"]);
    folder.courier(&["shelf", "note", "c-00000007", "--remove"]).is(1, &["group c-00000007 has no note"]);
}
