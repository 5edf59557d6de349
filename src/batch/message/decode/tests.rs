//! Checks what a message is read as, and which faults are reported.

use serde_json::json;

use super::*;
use crate::batch::message::Priority;

fn minimal() -> Value {
    json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
           "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": " Sign in "}]})
}

fn decode_value(value: &Value) -> Result<Batch, Undecodable> {
    decode(&serde_json::to_vec(value).unwrap())
}

fn pointers(value: &Value) -> Vec<String> {
    match decode_value(value) {
        Ok(batch) => {
            let faulty: Vec<_> = batch.cases.iter().filter_map(|case| case.faulty.as_deref()).collect();
            assert!(!faulty.is_empty(), "decoded: {batch:?}");
            faulty.iter().flat_map(|faulty| &faulty.faults).map(|fault| fault.pointer.clone()).collect()
        }
        Err(e) => e.faults().iter().map(|f| f.pointer.clone()).collect(),
    }
}

#[test]
fn the_least_message_is_a_batch() {
    let batch = decode_value(&minimal()).unwrap();
    assert_eq!(batch.key.to_string(), "acme/b-1");
    assert_eq!(batch.cases[0].name, "Sign in");
    assert_eq!(batch.case_keys(), ["#1"]);
    assert_eq!(batch.folder, RequestedFolder::Tenant);
}

fn many_fields(count: usize) -> Value {
    (0..count).map(|n| (format!("custom_{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_case_has_its_own_format_or_else_that_of_its_batch() {
    use TextFormat::{Markdown, Plain};
    for (of_batch, of_case, expected) in [
        (json!(null), json!(null), None),
        (json!("markdown"), json!(null), Some(Markdown)),
        (json!("markdown"), json!("plain"), Some(Plain)),
        (json!(null), json!("markdown"), Some(Markdown)),
    ] {
        let mut value = minimal();
        value["format"] = of_batch.clone();
        value["cases"][0]["format"] = of_case.clone();
        assert_eq!(decode_value(&value).unwrap().cases[0].format, expected, "{of_batch} {of_case}");
    }
}

#[test]
fn a_case_has_a_folder_of_its_own_in_the_same_form_as_its_batch() {
    let folder = |path: Value| {
        let mut value = minimal();
        value["folder_path"] = json!(["A"]);
        value["cases"][0]["folder_path"] = path;
        decode_value(&value).unwrap().cases[0].folder.clone()
    };
    assert_eq!(folder(json!(null)), None);
    assert_eq!(folder(json!([])), Some(RequestedFolder::Tenant));
    assert_eq!(folder(json!([" B "])), Some(RequestedFolder::Path(vec!["B".into()])));
    let mut value = minimal();
    value["cases"] = json!([{"name": "a", "folder_path": "B"}, {"name": "b", "folder_path": ["B", ""]},
                            {"name": "c", "folder_path": vec!["x"; MAX_FOLDERS + 1]}, {"name": "d"}]);
    assert_eq!(pointers(&value), ["/cases/0/folder_path", "/cases/1/folder_path/1", "/cases/2/folder_path"]);
}

#[test]
fn a_case_that_names_one_more_folder_than_the_cases_of_a_batch_may_name_is_refused() {
    let mut value = minimal();
    value["folder_path"] = json!(["of the batch"]);
    let path = |n: usize| json!({"name": "a", "folder_path": [format!("folder {}", n % 101)]});
    value["cases"] = (0..202).map(path).chain([json!({"name": "b"})]).collect();
    assert_eq!(pointers(&value), ["/cases/100/folder_path", "/cases/201/folder_path"]);
    let batch = decode_value(&value).unwrap();
    let faulty = batch.cases[100].faulty.as_deref().unwrap();
    assert_eq!(
        faulty.faults[0].to_string(),
        "/cases/100/folder_path (case #101) is one more folder than the 100 that the cases of a batch may name: \
         split the batch, so that each has fewer folders"
    );
}

#[test]
fn what_is_plain_is_read_however_it_is_written() {
    let mut value = minimal();
    value["folder_path"] = json!([]);
    value["cases"] = json!([{"name": "a", "priority": "Medium", "expected": "It works", "steps": ["Open", {"action": "Pay"}]},
                            {"name": "b", "priority": "Must have"}]);
    let text = format!("\u{feff}{value}");
    let batch = decode(text.as_bytes()).unwrap();
    assert_eq!(batch.folder, RequestedFolder::Tenant);
    let [first, second] = &batch.cases[..] else { panic!("{batch:?}") };
    assert_eq!(first.priority, Some(Urgency::Known(Priority::Normal)));
    assert_eq!(second.priority, Some(Urgency::Other("musthave".into())));
    let step = |action: &str| Step { action: action.into(), ..Step::default() };
    assert_eq!(first.script, Script::Steps(vec![step("Open"), step("Pay")]));
    assert_eq!(first.expected.as_deref(), Some("It works"));
}

#[test]
fn a_faulty_case_leaves_the_others_their_place_and_their_keys() {
    let mut value = minimal();
    value["cases"] =
        json!([{"name": "a"}, 7, {"name": "c", "external_id": "C", "steps": "x", "tags": ["t"]}, {"name": "d"}]);
    let batch = decode_value(&value).unwrap();
    assert_eq!(batch.case_keys(), ["#1", "#2", "C", "#4"]);
    let is_faulty: Vec<bool> = batch.cases.iter().map(|case| case.faulty.is_some()).collect();
    assert_eq!(is_faulty, [false, true, true, false]);
    assert_eq!((batch.cases[2].name.as_str(), batch.cases[2].tags.len()), ("c", 0));
    // A fault of the message rejects the message, and so does a fault in each case.
    value["schema_version"] = json!(2);
    assert_eq!(decode_value(&value).unwrap_err().faults().len(), 3);
    value["schema_version"] = json!(1);
    value["cases"] = json!([7, {"nam": "x"}]);
    assert!(decode_value(&value).is_err());
}

#[test]
fn a_repeated_key_in_a_case_is_a_fault_of_the_case() {
    let text = r#"{"schema_version": 1, "batch_id": "b", "tenant_id": "t", "generated_at": "2026-11-23T09:30:00Z",
                   "cases": [{"name": "a", "name": "b"}, {"name": "c"}]}"#;
    let batch = decode(text.as_bytes()).unwrap();
    assert_eq!(batch.cases[0].faulty.as_ref().unwrap().faults[0].pointer, "/cases/0/name");
    assert!(batch.cases[1].faulty.is_none());
}

#[test]
fn of_cases_with_the_same_id_the_first_keeps_it_and_every_key_is_unique() {
    let case = |id: &str| json!({"name": "a", "external_id": id});
    for (cases, keys, faulty) in [
        (vec![case("x"), case("x"), case("x"), case("y")], vec!["x", "#2", "#3", "y"], vec![1, 2]),
        (vec![case("#2"), json!({"name": "b"}), case("z")], vec!["#1", "#2", "z"], vec![0]),
        // The second is called by its position, which is the id of the third, which then is called by its own.
        (
            vec![case("x"), case("x"), case("#2"), case("#3"), case("y")],
            vec!["x", "#2", "#3", "#4", "y"],
            vec![1, 2, 3],
        ),
        (vec![case("#1"), case("#2")], vec!["#1", "#2"], vec![]),
    ] {
        let mut value = minimal();
        value["cases"] = json!(cases);
        let batch = decode_value(&value).unwrap();
        assert_eq!(batch.case_keys(), keys);
        let is_faulty = |index: &usize| batch.cases[*index].faulty.is_some();
        assert_eq!((0..keys.len()).filter(is_faulty).collect::<Vec<_>>(), faulty);
    }
}

#[test]
fn the_work_of_a_batch_depends_on_what_a_faulty_case_holds_and_on_no_sentence() {
    let print = |faulty: Value| {
        let mut value = minimal();
        value["cases"] = json!([{"name": "a"}, faulty]);
        let mut batch = decode_value(&value).unwrap();
        let before = crate::batch::fingerprint(&batch);
        batch.cases[1].faulty.as_mut().unwrap().faults[0].what = "is odd".into();
        assert_eq!(crate::batch::fingerprint(&batch), before);
        before
    };
    assert_eq!(print(json!({"a": 1, "b": 2})), print(json!({"b": 2, "a": 1})));
    assert_ne!(print(json!({"name": 5})), print(json!({"name": 6})));
}

#[test]
fn the_faults_of_a_thousand_cases_are_all_kept() {
    let mut value = minimal();
    value["cases"] = (0..MAX_CASES)
        .map(|n| if n == 0 { json!({"name": "a"}) } else { json!({"a": 1, "b": 2, "c": 3, "d": 4}) })
        .collect();
    let batch = decode_value(&value).unwrap();
    for case in &batch.cases[1..] {
        let faulty = case.faulty.as_ref().unwrap();
        assert_eq!((faulty.faults.len(), faulty.more), (3, 2));
    }
    assert_eq!(pointers(&value).len(), 3 * (MAX_CASES - 1));
}

#[test]
fn each_fault_is_named_by_its_pointer() {
    let table: Vec<(&str, Value, &str)> = vec![
        ("/schema_version", json!(2), "/schema_version"),
        ("/schema_version", json!("1"), "/schema_version"),
        ("/batch_id", json!("a b"), "/batch_id"),
        ("/tenant_id", json!(7), "/tenant_id"),
        ("/generated_at", json!("yesterday"), "/generated_at"),
        ("/source", json!("SHOP-1"), "/source"),
        ("/source", json!({"kee": "x"}), "/source/kee"),
        ("/folder_path", json!(["a", ""]), "/folder_path/1"),
        ("/folder_id", json!(0), "/folder_id"),
        ("/folder_id", json!(1e300), "/folder_id"),
        ("/cases", json!([]), "/cases"),
        ("/cases", json!([7]), "/cases/0"),
        ("/cases", json!([{}]), "/cases/0/name"),
        ("/cases", json!([{"name": "  "}]), "/cases/0/name"),
        ("/cases", json!([{"name": "a\u{0}b"}]), "/cases/0/name"),
        ("/cases", json!([{"name": "a", "priority": 5}]), "/cases/0/priority"),
        ("/cases", json!([{"name": "a", "tags": "x"}]), "/cases/0/tags"),
        ("/cases", json!([{"name": "a", "steps": [{}]}]), "/cases/0/steps/0/action"),
        ("/cases", json!([{"name": "a", "steps": [{"action": "b"}], "gherkin": "Feature: x"}]), "/cases/0/gherkin"),
        ("/cases", json!([{"name": "a", "fields": {" risk": 1}}]), "/cases/0/fields/ risk"),
        ("/cases", json!([{"name": "a", "fields": {"r\nk": 1}}]), "/cases/0/fields/r\u{fffd}k"),
        ("/cases", json!([{"name": "a", "fields": many_fields(501)}]), "/cases/0/fields"),
        ("/cases", json!([{"name": "a", "fields": {"": 1}}]), "/cases/0/fields/"),
        ("/cases", json!([{"name": "a", "fields": {" a/b~": 1}}]), "/cases/0/fields/ a~1b~0"),
        (
            "/cases",
            json!([{"name": "a", "external_id": "x"}, {"name": "b", "external_id": "x"}]),
            "/cases/1/external_id",
        ),
        ("/format", json!("html"), "/format"),
        ("/format", json!(1), "/format"),
        ("/cases", json!([{"name": "a", "format": "Markdown"}]), "/cases/0/format"),
        ("/extra", json!(1), "/extra"),
    ];
    for (at, wrong, pointer) in table {
        let mut value = minimal();
        value[&at[1..]] = wrong.clone();
        assert_eq!(pointers(&value), [pointer], "{at} = {wrong}");
    }
}

#[test]
fn a_fault_says_what_to_write_in_its_place() {
    let said = |at: &str, wrong: Value| {
        let mut value = minimal();
        value[at] = wrong;
        decode_value(&value).unwrap_err().detail()
    };
    assert_eq!(said("schema_version", json!("1")), "/schema_version is a text: send the number 1, without quotes");
    let twice = said("cases", json!([{"nam": "a", "external_id": "x"}, {"name": "b", "external_id": "x"}]));
    assert!(twice.contains("(case #2) is already used by case #1"), "{twice}");
}

#[test]
fn all_faults_are_named_at_once() {
    let value = json!({"schema_version": 9, "tenant_id": "acme", "cases": [{"nam": 1}, {"name": 5}]});
    assert_eq!(
        pointers(&value),
        ["/schema_version", "/batch_id", "/generated_at", "/cases/0/nam", "/cases/0/name", "/cases/1/name"]
    );
}

#[test]
fn what_could_be_read_of_a_broken_batch_is_kept() {
    let mut value = minimal();
    value["cases"] = json!([]);
    match decode_value(&value).unwrap_err() {
        Undecodable::Schema { key, .. } => assert_eq!(key.unwrap().to_string(), "acme/b-1"),
        Undecodable::NotJson(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn hostile_bytes_are_not_json() {
    let deep = "[".repeat(100_000);
    for bytes in [&b"{"[..], b"\xff\xfe", b"{\"a\":\"\\ud800\"}", b"1e999", deep.as_bytes(), b""] {
        assert!(matches!(decode(bytes), Err(Undecodable::NotJson(_))));
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        drop(decode(&bytes));
    }
}
