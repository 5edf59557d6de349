//! Probes a stand-in that violates each assumption, and checks what a probe leaves behind.

use serde_json::{Value, json};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::store::{AccountStore, Store, StoreHealth};
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, RetryAfter, Rule};
use testmo_sim::model::{CaseNames, CaseOrder, DateHeader, RichText, Role, Settings, TagsFilter};
use testmo_sim::{AccountHandle, Method, Request, Server};

use super::{Folder, KEY, with_testmo};

/// Creates cases as a person does: some of them in another folder, and one with a tag.
fn fill(acme: &AccountHandle, count: u64) {
    let other = acme.create_folder(1, 1, "Other");
    let cases: Vec<Value> = (1..=count)
        .map(|n| {
            let folder = if n % 5 == 0 { other } else { 1 };
            let tags = if n == 2 { vec!["login"] } else { vec![] };
            json!({"name": format!("s3cret case {n}"), "folder_id": folder, "tags": tags})
        })
        .collect();
    let mut request = Request::with_json(Method::Post, "/projects/1/cases", &json!({"cases": cases}));
    request.token = Some(KEY.into());
    let long_ago = testmo_sim::Time(1_700_000_000_000);
    let answer = acme.with(|station| station.account.handle(&request, long_ago));
    assert_eq!(answer.status, 201, "{answer:?}");
}

async fn ready() -> (Folder, Server, AccountHandle) {
    let (folder, server) = with_testmo().await;
    let acme = server.account("acme");
    fill(&acme, 20);
    folder.set(KEY, &[]).is(0, &["green"]);
    (folder, server, acme)
}

/// Probes, and returns what was found by the word of each assumption, and the rest.
fn probed(folder: &Folder, code: i32, more: &[&str]) -> (Value, Value) {
    let arguments = [&["tenants", "probe", "acme", "--json"], more].concat();
    let end = folder.courier(&arguments);
    end.is(code, &[]);
    assert!(!end.out.contains("s3cret case"), "{end:?}");
    let all: Value = serde_json::from_str(&end.out).expect("JSON");
    let findings = all["findings"].as_array().expect("findings").iter();
    let by_word = findings.map(|found| (found["assumption"].as_str().expect("a word").to_owned(), found.clone()));
    (by_word.collect::<serde_json::Map<_, _>>().into(), all)
}

const WRITE: [&str; 3] = ["--write", "1", "--yes"];

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_reads_changes_nothing_and_one_that_writes_leaves_nothing_behind() {
    let (folder, _server, acme) = ready().await;
    let (found, all) = probed(&folder, 0, &[]);
    assert!(acme.requests().iter().all(|request| request.method == Method::Get));
    assert_eq!(found["right_to_create"]["result"], "not_seen");
    assert!(all["connection"]["note"].as_str().unwrap().contains("has not been tried"), "{all}");
    let before = acme.cases();
    let (found, all) = probed(&folder, 0, &[&WRITE[..], &["--out", "probe.json"]].concat());
    assert_eq!(acme.cases(), before, "nothing is left, and no folder was created");
    for (word, finding) in found.as_object().unwrap() {
        let expected = if word == "retry_after" { "not_seen" } else { "holds" };
        assert_eq!(finding["result"], expected, "{finding}");
    }
    assert!(all["connection"]["note"].as_str().unwrap().contains("was tried by a probe"), "{all}");
    let file = std::fs::read_to_string(folder.path().join("probe.json")).expect("a file");
    for secret in ["acme", "127.0.0.1", "s3cret", "Push Bot", "Shop", "Generated", "testmo_api"] {
        assert!(!file.contains(secret), "{secret} is in {file}");
    }
    assert!(file.contains("tag_filter_any"), "{file}");
    folder.courier(&["tenants", "probe", "acme", "--out", "probe.json"]).is(2, &["exists already"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme", "was tried by a probe"]);
    folder.courier(&["tenants", "show", "acme"]).is(0, &["probed"]);
    folder.courier(&["tenants", "probe", "acme"]).is(0, &["holds", "Lists of cases come in the order", "green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_assumption_that_the_stand_in_violates_is_found() {
    type Violate = fn(&mut Settings);
    let violations: [(&str, Violate); 21] = [
        // First, as a tag keeps the spelling in which it was created.
        ("tag_case", |s| s.lowers_tags = false),
        ("date_header", |s| s.date_header = DateHeader::Garbled),
        ("date_header", |s| s.date_header = DateHeader::Shifted(3_600_000)),
        ("created_at_utc", |s| s.created_at_shift_ms = -7_200_000),
        ("sort_accepted", |s| s.sorts_cases = false),
        ("list_order", |s| s.case_order = CaseOrder::OldestFirst),
        ("list_pages", |s| s.case_page_rows = Some(17)),
        ("folder_filter", |s| s.folder_filter = false),
        ("tag_filter", |s| s.tags_filter = TagsFilter::Ignored),
        ("tag_filter_any", |s| s.tags_filter = TagsFilter::All),
        ("templates_listed", |s| s.templates_route = false),
        ("states_listed", |s| s.states_route = false),
        ("fields_listed", |s| s.fields_route = false),
        ("field_kinds", |s| s.field_columns = false),
        ("listed_at_once", |s| s.case_list_lag_ms = 500),
        ("names_kept", |s| s.case_names = CaseNames::Folded),
        ("name_ends_trimmed", |s| s.trims_names = false),
        ("text_kept", |s| s.rich_text = RichText::EncodedTwice),
        ("markup_kept", |s| s.rich_text = RichText::WithoutScripts),
        ("tag_length", |s| s.tag_max_chars = 30),
        ("tag_characters", |s| s.any_tag_characters = true),
    ];
    let (folder, _server, acme) = ready().await;
    for (word, violate) in violations {
        acme.change_settings(|settings| {
            *settings = Settings::default();
            violate(settings);
        });
        let (found, all) = probed(&folder, 0, &WRITE);
        assert_eq!(found[word]["result"], "does_not_hold", "{word}: {found}");
        assert!(all["left_cases"].as_array().unwrap().is_empty(), "{word}: {all}");
        assert_eq!(acme.cases().len(), 20, "{word}: nothing is left");
    }
    folder.courier(&["tenants", "show", "acme"]).is(0, &["not as assumed", "Tags with blanks or dots are refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_do_not_ascend_are_noted_for_the_worker_as_well() {
    let (folder, _server, acme) = ready().await;
    acme.delete_case(7);
    acme.set_next_case_id(7);
    let (found, all) = probed(&folder, 0, &WRITE);
    assert_eq!(found["ids_ascend"]["result"], "does_not_hold", "{all}");
    assert_eq!(acme.cases().len(), 19);
    let url = format!("sqlite:{}", folder.path().join("testmo-courier.db").display());
    let environment = [("DATABASE_URL".to_owned(), url)].into();
    let config = load(&Sources { files: vec![], environment }).expect("settings");
    let store = Store::open(&config.store, false, Clock::system()).await.expect("a store");
    let account = folder.origin.as_deref().expect("an origin");
    assert!(store.throttle(account).await.expect("a store").ids_disordered);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_create_cases_turns_the_light_red_as_a_refused_batch_does() {
    let (folder, _server, acme) = ready().await;
    acme.set_role(1, Role::Read);
    let (found, all) = probed(&folder, 1, &WRITE);
    assert_eq!(found["right_to_create"]["result"], "does_not_hold", "{all}");
    assert_eq!(all["connection"]["light"], "red", "{all}");
    acme.set_role(1, Role::Write);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["amber  acme", "forbidden"]);
    let (_, all) = probed(&folder, 0, &WRITE);
    assert_eq!(all["connection"]["light"], "green", "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_create_request_has_an_unknown_outcome_deletes_nothing() {
    let (folder, _server, acme) = ready().await;
    acme.set_faults([Rule::always(Fault::Cut { at: CutAt::AfterCommit }).on(Method::Post, PathKind::Cases)]);
    let end = folder.courier(&["tenants", "probe", "acme", "--write", "1", "--yes"]);
    end.is(1, &["left: case 21 in folder 1 of project 1", "may have been carried out", "Delete this case in Testmo"]);
    assert!(acme.requests().iter().all(|request| request.method != Method::Delete), "nothing is deleted");
    assert_eq!(acme.cases().len(), 21);
    acme.clear_faults();
    folder.courier(&["tenants", "list"]).is(0, &["amber  acme", "a probe left case 21 in folder 1"]);
    folder.courier(&["tenants", "probe", "acme"]).is(1, &["left: case 21", "an earlier probe left it"]);
    acme.delete_case(21);
    folder.courier(&["tenants", "probe", "acme"]).is(0, &["green"]);
    folder.courier(&["tenants", "list"]).is(0, &["green  acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_case_that_the_list_shows_as_the_probes_own_is_deleted() {
    for violate in [
        // The answer names the case of somebody else.
        (|acme: &AccountHandle| {
            acme.set_faults([Rule::always(Fault::Ids { ids: vec![3] }).on(Method::Post, PathKind::Cases)]);
        }) as fn(&AccountHandle),
        // The list does not show the tag.
        |acme| acme.change_settings(|settings| settings.lists_tags = false),
        // The list does not show the case.
        |acme| acme.change_settings(|settings| settings.case_list_lag_ms = 3_600_000),
    ] {
        let (folder, _server, acme) = ready().await;
        violate(&acme);
        let end = folder.courier(&["tenants", "probe", "acme", "--write", "1", "--yes"]);
        end.is(1, &["left:", "folder 1 of project 1", "Nothing was deleted"]);
        assert!(!end.out.contains("case 3 "), "nobody is sent to delete another case: {end:?}");
        let changes = acme.requests().into_iter().filter(|request| request.method != Method::Get);
        assert_eq!(changes.map(|request| request.method).collect::<Vec<_>>(), [Method::Post]);
        assert_eq!(acme.cases().len(), 21);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_refused_or_lost_is_told_from_one_that_worked() {
    let on_delete = |fault| [Rule::always(fault).on(Method::Delete, PathKind::Cases)];
    let (folder, _server, acme) = ready().await;
    acme.set_faults(on_delete(Fault::status(503)));
    folder.courier(&["tenants", "probe", "acme", "--write", "1", "--yes"]).is(1, &["left: case 21", "503"]);
    acme.delete_case(21);
    acme.set_faults(on_delete(Fault::status_after_commit(503)));
    folder.courier(&["tenants", "probe", "acme", "--write", "1", "--yes"]).is(0, &["is not listed any more"]);
    assert_eq!(acme.cases().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_probe_is_explained_by_the_next_one() {
    let (folder, _server, acme) = ready().await;
    // The edit is held, so that the probe can be killed once the case exists.
    acme.set_faults([Rule::always(Fault::Held { commit: CommitTime::BeforeDelay }).on(Method::Patch, PathKind::Cases)]);
    let mut child = folder
        .command(&["tenants", "probe", "acme", "--write", "1", "--yes"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command starts");
    acme.requests_matching(|request| request.method == Method::Patch, 1).await;
    child.kill().expect("a kill");
    child.wait().expect("an end");
    acme.clear_faults();
    folder.courier(&["tenants", "list"]).is(0, &["amber  acme", "a probe may have left a case in folder 1"]);
    folder.courier(&["tenants", "probe", "acme"]).is(1, &["left: case 21 in folder 1 of project 1"]);
    // A further probe that writes deletes its own case alone.
    folder.courier(&["tenants", "probe", "acme", "--write", "1", "--yes"]).is(1, &["left: case 21"]);
    assert_eq!(acme.cases().len(), 21);
    acme.delete_case(21);
    folder.courier(&["tenants", "probe", "acme"]).is(0, &["green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_obeys_the_accounts_pause_and_asks_before_it_writes() {
    let (folder, _server, acme) = ready().await;
    let asked = acme.requests().len();
    folder.courier(&["tenants", "probe", "acme", "--write", "1"]).is(2, &["creates one case in folder 1", "--yes"]);
    folder.courier(&["tenants", "probe", "acme", "--yes"]).is(2, &["--write"]);
    assert_eq!(acme.requests().len(), asked, "nothing is sent before a person agreed");
    folder.courier(&["tenants", "probe", "acme", "--write", "99", "--yes"]).is(1, &["has no folder 99"]);
    let limited = |wait| Rule::always(Fault::throttled(wait)).on(Method::Get, PathKind::Cases).times(1);
    acme.set_faults([limited(Some(RetryAfter::Seconds(1)))]);
    let (found, _) = probed(&folder, 0, &[]);
    assert_eq!(found["retry_after"]["result"], "holds", "{found}");
    assert!(acme.requests().iter().all(|request| request.method == Method::Get));
    acme.revoke(1);
    folder
        .courier(&["tenants", "probe", "acme", "--write", "1", "--yes"])
        .is(1, &["red", "401", "Nothing else was tried"]);
}
