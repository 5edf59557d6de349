//! Checks what is found in a message, and what is not.

use serde_json::{Value, json};

use super::*;

fn hints(cases: Value) -> Vec<String> {
    let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
        "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "K"}, "cases": cases});
    let findings = lint(message.to_string().as_bytes());
    assert_eq!(findings.faults, []);
    let said = |found: &Finding| format!("{} {} {}", found.rule, found.fault.pointer, found.fault.what);
    findings.warnings.iter().map(said).collect()
}

#[test]
fn a_message_as_it_should_be_has_nothing_to_tell() {
    let case = json!({"external_id": "A", "name": "Enter <amount> & pay", "tags": ["smoke", "a_b-c"],
        "description": "If a < b, 2 * 3 ** 4, then x > y; C# and #1", "steps": [{"action": "Enter <url>"}]});
    assert_eq!(hints(json!([case, {"external_id": "B", "name": "b", "gherkin": "# x\nFeature: <b>"}])), [""; 0]);
}

#[test]
fn what_testmo_will_show_differently_is_reported() {
    let cases = json!([
        {"external_id": "A", "name": "Pay", "tags": ["Smoke Test", "→", "sqai-0123456789ab"], "steps": []},
        {"name": "Pay", "tags": ["Smoke Test"], "description": "Use <B>bold</B>", "preconditions": "a &amp; b",
         "fields": {"custom_note": "<p>x</p>", "custom_risk": 3},
         "steps": [{"action": " "}, {"action": "x", "data": "# Data", "expected": "**now**"}]},
    ]);
    assert_eq!(
        hints(cases),
        [
            "no-external-id /cases/1 has no external_id (1 of 2 cases); events call it #2",
            "equal-names /cases/0/name is also the name of #2",
            "tag-changed /cases/0/tags/0 `Smoke Test` is sent as `smoke-test`, here and in 1 more place",
            "tag-left-out /cases/0/tags/1 `→` is left out: no tag of Testmo can have the same meaning",
            "tag-left-out /cases/0/tags/2 `sqai-0123456789ab` is left out: it has the form of a batch tag",
            "no-script /cases/0 has neither steps nor gherkin",
            "blank-step /cases/1/steps/0/action is blank",
            "html /cases/1/description contains `<B>`, which Testmo shows as plain text",
            "html /cases/1/preconditions contains `&amp;`, which Testmo shows as plain text",
            "html /cases/1/fields/custom_note contains `<p>`, which Testmo shows as plain text",
            "markdown /cases/1/steps/1/data contains `# Data`, which Testmo shows as plain text",
            "markdown /cases/1/steps/1/expected contains `**now**`, which Testmo shows as plain text",
        ]
    );
}

#[test]
fn a_name_of_a_folder_with_a_slash_is_warned_of() {
    let found = |path: Value| {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme", "folder_path": path,
            "generated_at": "2026-11-23T09:30:00Z", "source": {"key": "K"},
            "cases": [{"external_id": "A", "name": "a", "gherkin": "x"}]});
        let found = lint(message.to_string().as_bytes());
        assert_eq!(found.faults, []);
        found.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(json!(["Shop", "Vouchers"])), [""; 0]);
    let said = found(json!(["Web", "Shop / Vouchers", "/Pay"]));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("/folder_path/1") && said[0].ends_with("[folder-slash]"), "{said:?}");
    assert!(said[0].contains("is \"Shop / Vouchers\", which becomes one folder"), "{said:?}");
    assert!(said[0].contains("[\"Shop\", \"Vouchers\"]; keep the name"), "{said:?}");
    assert!(said[1].contains("without the slash"), "{said:?}");
}

#[test]
fn a_message_above_the_default_limit_is_warned_of() {
    let case = |length| json!([{"external_id": "A", "name": "a", "gherkin": "g".repeat(length)}]);
    assert_eq!(hints(case(MOST_BYTES_BY_DEFAULT - 1_000)), [""; 0]);
    let found = hints(case(MOST_BYTES_BY_DEFAULT));
    assert!(found.len() == 1 && found[0].ends_with("bytes; by default a worker takes at most 8000000"), "{found:?}");
}

#[test]
fn names_and_priorities_are_checked() {
    let cases: Vec<Value> = (0..9)
        .map(|n| json!({"external_id": n.to_string(), "name": "Same", "gherkin": "x", "priority": "Someday"}))
        .collect();
    let found = hints(json!(cases));
    assert_eq!(found[0], "equal-names /cases/0/name is also the name of #2, #3, #4, #5, #6 and 3 more");
    assert_eq!(found[1], "unknown-priority /cases/0/priority `someday` is not a known word for a priority");
    assert_eq!(found.len(), 10);
    let name = |length: usize| json!([{"external_id": "A", "gherkin": "x", "name": "n".repeat(length)}]);
    assert_eq!(hints(name(512)), [""; 0]);
    assert_eq!(hints(name(513)), ["long-name /cases/0/name has 513 characters"]);
}

#[test]
fn a_message_whose_other_cases_would_be_delivered_says_so() {
    let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
        "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}, {"title": "b"}]});
    let findings = lint(message.to_string().as_bytes());
    assert_eq!((findings.cases, findings.warnings.len()), (1, 0));
    let rules: Vec<_> = findings.faults.iter().map(|found| (found.rule, found.fault.pointer.as_str())).collect();
    assert_eq!(rules, [("case-invalid", "/cases/1/title"), ("case-invalid", "/cases/1/name")]);
    assert!(findings.faults[0].fault.what.ends_with("did you mean `name`?"));
    assert_eq!(lint(b"{").faults[0].rule, "not-json");
    assert_eq!(lint(b"{}").faults[0].rule, "message-invalid");
}

#[test]
fn every_rule_is_documented() {
    let guide = include_str!("../../../../docs/publishing.md");
    for (rule, finds) in RULES {
        assert!(guide.contains(&format!("| `{rule}` | {finds} |")), "{rule}");
    }
}

#[test]
fn all_faults_are_named() {
    let cases: Vec<Value> = (0..1_000).map(|_| json!({})).collect();
    let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
        "generated_at": "2026-11-23T09:30:00Z", "cases": cases});
    let findings = lint(message.to_string().as_bytes());
    assert_eq!(findings.faults.len(), 1_000);
    assert_eq!(findings.key.unwrap().to_string(), "acme/b-1");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_search_for_markup_panic(text in "([<>/&#*`\\]( \n]|br|é|\\PC){0,40}") {
        element(&text);
        reference(&text);
    }
}
