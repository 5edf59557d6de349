use super::*;
use crate::target::wire::NewCases;

const SECOND: i64 = 1_000_000;

fn body(names: &[&str]) -> String {
    let cases: Vec<_> = names.iter().map(|n| serde_json::json!({"name": n, "folder_id": 1, "tags": ["T1"]})).collect();
    serde_json::json!({"cases": cases}).to_string()
}

fn world(manner: Manner) -> World {
    let mut world = World::default();
    world.reset(manner);
    world
}

/// Sends a create request, and returns the decision about it.
fn send(world: &mut World, account: &str, names: &[&str], now: i64) -> Admission {
    let text = body(names);
    let new: NewCases = serde_json::from_str(&text).unwrap();
    let admission = world.admit(account, Some(&new.cases), now);
    let status = match admission {
        Admission::Refused(_) => 429,
        Admission::KeyRefused => 401,
        Admission::Failed => 503,
        Admission::Served => {
            world.create(account, &new.cases, now);
            201
        }
    };
    let age = world.age();
    world.answered(status, age);
    admission
}

#[test]
fn a_bucket_starts_full_and_tells_when_there_is_a_next_token() {
    let bucket = Some(Bucket { capacity: 2.0, per_second: 0.25 });
    let mut world = world(Manner { bucket, ..Manner::default() });
    let fates: Vec<_> = (0..3).map(|n| send(&mut world, "a", &[&format!("{n}")], 0)).collect();
    assert_eq!(fates, [Admission::Served, Admission::Served, Admission::Refused(4)]);
    assert_eq!(send(&mut world, "a", &["3"], 3 * SECOND), Admission::Refused(1));
    assert_eq!(send(&mut world, "a", &["3"], 4 * SECOND), Admission::Served);
    assert_eq!(send(&mut world, "b", &["1"], 4 * SECOND), Admission::Served);
    let pauses: Vec<_> = world.refusals()["a"].iter().map(|refusal| (refusal.at, refusal.retry_after)).collect();
    assert_eq!(pauses, [(0, 4), (3 * SECOND, 1)]);
    assert!(!world.refusals().contains_key("b"));
}

#[test]
fn a_request_that_failed_is_carried_out_the_second_time() {
    let mut world = world(Manner { faults_percent: 100, ..Manner::default() });
    assert_eq!(send(&mut world, "a", &["x"], 0), Admission::Failed);
    assert_eq!(world.report().cases, 0);
    assert_eq!(send(&mut world, "a", &["x"], 1), Admission::Served);
    assert_eq!(world.report().cases, 1);
}

#[test]
fn the_share_of_faults_is_near_what_was_asked_for() {
    let mut world = world(Manner { faults_percent: 5, ..Manner::default() });
    let failed = (0..2_000).filter(|n| send(&mut world, "a", &[&format!("case {n}")], 0) == Admission::Failed).count();
    assert!((60..140).contains(&failed), "{failed} of 2000");
}

#[test]
fn a_name_that_comes_twice_in_an_account_is_counted() {
    let mut world = world(Manner::default());
    send(&mut world, "a", &["x", "y"], 5);
    send(&mut world, "b", &["x"], 6);
    send(&mut world, "a", &["y"], 7);
    let report = world.report();
    assert_eq!((report.cases, report.duplicates, report.creates), (4, 1, 3));
    assert_eq!((report.first_create, report.last_case, report.most_at_once), (Some(5), Some(7), 1));
    assert_eq!(report.answers, [(201, 3)].into());
}

#[test]
fn a_closed_account_is_refused_and_others_are_not() {
    let mut world = world(Manner { closed: [("a".to_owned(), 60)].into(), ..Manner::default() });
    assert_eq!(send(&mut world, "a", &["x"], 0), Admission::Refused(60));
    assert_eq!(send(&mut world, "b", &["x"], 0), Admission::Served);
}

#[test]
fn a_list_has_the_newest_first_with_tags_by_id() {
    let mut world = world(Manner::default());
    let names: Vec<String> = (0..150).map(|n| format!("case {n}")).collect();
    send(&mut world, "a", &names.iter().map(String::as_str).collect::<Vec<_>>(), 1_700_000_000 * SECOND);
    let page: serde_json::Value =
        serde_json::from_str(&world.list("a", &Wanted { folder: Some(1), page: 2, ..Wanted::default() }, 0)).unwrap();
    assert_eq!((&page["total"], &page["next_page"], &page["prev_page"]), (&150.into(), &().into(), &1.into()));
    assert_eq!(page["result"].as_array().unwrap().len(), 50);
    let row = &page["result"][0];
    assert_eq!((&row["name"], &row["tags"]), (&"case 49".into(), &serde_json::json!([1])));
    assert_eq!(row["created_at"], "2023-11-14 22:13:20.000000");
    assert_eq!(page["expands"]["tags"], serde_json::json!([{"id": 1, "name": "T1"}]));
}

#[test]
fn a_list_by_tags_has_what_carries_one_of_them() {
    let mut world = world(Manner::default());
    send(&mut world, "a", &["one", "two"], 0);
    let mut total = |tags: &[&'static str], folder| {
        let wanted = Wanted { folder, tags: Some(tags.to_vec()), page: 1 };
        let page: serde_json::Value = serde_json::from_str(&world.list("a", &wanted, 0)).unwrap();
        page["total"].as_u64().unwrap()
    };
    assert_eq!(total(&["T1"], Some(1)), 2);
    assert_eq!(total(&["other", "T1"], None), 2);
    assert_eq!((total(&["other"], Some(1)), total(&["T1"], Some(2))), (0, 0));
}

#[test]
fn a_revoked_key_is_refused_in_its_account_alone() {
    let mut world = world(Manner { revoked: ["a".to_owned()].into(), ..Manner::default() });
    assert_eq!(send(&mut world, "a", &["1"], 0), Admission::KeyRefused);
    assert_eq!(send(&mut world, "b", &["1"], 0), Admission::Served);
}
