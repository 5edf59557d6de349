//! Defines the message that generators write, as types from which the schema is made.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::batch::message::{
    MAX_CASES, MAX_EXTERNAL_ID, MAX_FIELDS, MAX_FOLDERS, MAX_NAME, MAX_NUMBER, MAX_SOURCE, MAX_STEPS, MAX_TAGS,
    MAX_WORD, OnRepeat, SCHEMA_VERSION, TextFormat,
};
use crate::batch::{MAX_BATCH_ID, MAX_TENANT_ID};

/// A batch of generated test cases for one tenant.
///
/// The worker checks two rules that this schema cannot express: each external id is unique in a batch, and no object
/// repeats a key.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("if" = both("folder_path", json!("array"), "folder_id", json!("integer")), "then" = not_both("folder_path", "folder_id"))
)]
pub struct BatchMessage {
    /// The version of the contract.
    pub schema_version: Version,
    /// The id of the batch, unique for the tenant, such as a UUID. The cases of a batch are created once, even if the
    /// batch is published several times.
    pub batch_id: BatchIdText,
    /// The tenant that the cases belong to.
    pub tenant_id: TenantIdText,
    /// When the cases were generated.
    pub generated_at: Moment,
    /// The source of the cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<BatchSource>,
    /// Names of folders below the tenant's folder, the top folder first. Without names and `folder_id` the cases are created in the tenant's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = MAX_FOLDERS))]
    pub folder_path: Option<Vec<Line<MAX_WORD>>>,
    /// Instead of `folder_path`: the id of the tenant's folder or of a folder below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<Number>,
    /// The format of all texts of the batch; a case may name another. Without one, the tenant's mapping decides, and
    /// texts are plain text by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// What is done with cases that an earlier batch of the same `source.key` wrote with the same `external_id`. Without it,
    /// the tenant's mapping decides, and by default they are created again. docs/generations.md explains the choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_repeat: Option<OnRepeat>,
    /// The `batch_id` of an earlier batch of the tenant: the cases of this batch stand for those of it with the same
    /// `external_id`, whatever its `source.key` was. Without `on_repeat`, `update` counts then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<BatchIdText>,
    /// The test cases, in the order in which they are created in Testmo.
    #[schemars(extend("minItems" = 1, "maxItems" = MAX_CASES))]
    pub cases: Vec<BatchCase>,
}

/// The source of a batch; each part may be missing.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BatchSource {
    /// The key of the story or ticket, such as `SHOP-142`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Line<MAX_SOURCE>>,
    /// The title of the story or ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Line<MAX_SOURCE>>,
    /// The address of the story or ticket, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Line<MAX_SOURCE>>,
    /// The generator of the cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<Line<MAX_SOURCE>>,
}

/// One generated test case.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, extend("if" = steps_and_gherkin(), "then" = not_both("steps", "gherkin")))]
pub struct BatchCase {
    /// The generator's own id of the case, returned in events; unique in the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExactLine<MAX_EXTERNAL_ID>>,
    /// The name of the case, as shown in lists; leading and trailing whitespace is removed.
    pub name: Line<MAX_NAME>,
    /// What the case is about, in the format of the case; blank lines separate paragraphs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The conditions that must hold before the case is run, in the format of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Text>,
    /// The steps of the case, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = MAX_STEPS))]
    pub steps: Option<Vec<WrittenStep>>,
    /// Instead of `steps`: a feature in Gherkin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gherkin: Option<Text>,
    /// The urgency of the case: `critical`, `high`, `normal`, `low`, or another word that docs/publishing.md or the
    /// tenant's mapping lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Line<MAX_WORD>>,
    /// Tags; sent in lower case and Latin letters, with `-` in place of blanks and punctuation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = MAX_TAGS))]
    pub tags: Option<Vec<Line<MAX_WORD>>>,
    /// Display ids of issues, such as `SHOP-142`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = MAX_TAGS))]
    pub issues: Option<Vec<Line<MAX_WORD>>>,
    /// How long a person takes to run the case, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_seconds: Option<Number>,
    /// Further custom fields by column or label, with the options of a list by name or id; they never override fields that
    /// the tenant's mapping fills. Texts of rich text fields and steps are in the format of the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = json!({"pattern": r"^[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$", "maxLength": MAX_WORD}), "maxProperties" = MAX_FIELDS))]
    pub fields: Option<Map<String, Value>>,
    /// The expected result of a case without steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Text>,
    /// The format of the texts of this case, if it is not the one of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// Names of folders below the tenant's folder for this case, the top folder first; without names it is the tenant's
    /// folder. Absent: the case goes to the folder of its batch. The cases of a batch may name up to 100 different paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = MAX_FOLDERS))]
    pub folder_path: Option<Vec<Line<MAX_WORD>>>,
}

/// A step; a text is its action.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum WrittenStep {
    /// The action alone.
    Action(Text),
    /// The step with its parts.
    Step(BatchStep),
}

/// One step of a case.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BatchStep {
    /// The action to carry out.
    pub action: Text,
    /// The data to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Text>,
    /// The expected result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Text>,
}

/// Defines types of the contract whose JSON Schema says more than their JSON type.
macro_rules! forms {
    ($($(#[doc = $doc:literal])+ $name:ident $(<$most:ident>)? ($inner:ty): $schema:tt;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Serialize)]
        pub struct $name $(<const $most: usize>)? (pub $inner);

        impl $(<const $most: usize>)? JsonSchema for $name $(<$most>)? {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

/// The pattern of a time with its zone. February may have 29 days.
pub(super) const MOMENT: &str = concat!(
    "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))",
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
);
/// The pattern of a text with at least one visible character.
pub(super) const LINE: &str = r"^[\s\x01-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00]*$";
/// The pattern of such a text without control characters.
pub(super) const EXACT_LINE: &str = r"^\s*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// The pattern of any text. `[^\x00]` is any character but U+0000, including line breaks, in the regular expressions of every
/// common language.
pub(super) const TEXT: &str = r"^[^\x00]*$";

forms! {
    /// The version of the contract.
    Version(u64): {"const": SCHEMA_VERSION};
    /// A batch id.
    BatchIdText(String): {"type": "string", "minLength": 1, "maxLength": MAX_BATCH_ID, "pattern": "^[!-~]+$"};
    /// A tenant id.
    TenantIdText(String):
        {"type": "string", "minLength": 1, "maxLength": MAX_TENANT_ID, "pattern": "^[A-Za-z0-9._:@-]+$"};
    /// A time with its zone, as RFC 3339.
    Moment(String): {
        "type": "string",
        "format": "date-time",
        // For validators that do not check the format.
        "pattern": MOMENT,
    };
    /// A text with at least one visible character; control characters become blanks.
    Line<MOST>(String): {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST,
        "pattern": LINE,
    };
    /// A text without control characters that is returned exactly as it was sent.
    ExactLine<MOST>(String): {
        "type": "string",
        "minLength": 1,
        "maxLength": MOST,
        "pattern": EXACT_LINE,
    };
    /// A text of any length.
    Text(String): {"type": "string", "pattern": TEXT};
    /// A positive whole number.
    Number(u64): {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER};
}

/// Returns a schema of two keys that must not occur together in one object; `null` counts as absent. It stands in an `if`,
/// which code generators pass over; some make nothing of an object with a `not`.
fn both(one: &str, kind_of_one: Value, other: &str, kind_of_other: Value) -> Value {
    json!({
        "required": [one, other],
        "properties": {one: {"type": kind_of_one}, other: {"type": kind_of_other}},
    })
}

/// Returns a schema that no object of the contract matches, as it requires a key that none may have: the rule, which
/// validators print where it is broken.
fn not_both(one: &str, other: &str) -> Value {
    json!({"required": [format!("either {one} or {other}, not both")]})
}

/// Returns the schema of steps together with Gherkin; an empty list of steps and blank Gherkin count as absent.
fn steps_and_gherkin() -> Value {
    let mut together = both("steps", json!("array"), "gherkin", json!("string"));
    together["properties"]["steps"]["minItems"] = json!(1);
    together["properties"]["gherkin"]["pattern"] = json!(r"[^\s\x00-\x1f\x7f-\x9f]");
    together
}

/// Returns a batch in which every key is used.
pub fn batch_example() -> BatchMessage {
    fn line<const MOST: usize>(text: &str) -> Option<Line<MOST>> {
        Some(Line(text.into()))
    }
    let text = |text: &str| Some(Text(text.into()));
    let step = BatchStep {
        action: Text("Open the basket and choose the saved card".into()),
        data: text("4242 4242 4242 4242"),
        expected: text("The card ends in 4242"),
    };
    let by_steps = BatchCase {
        external_id: Some(ExactLine("TC-1".into())),
        name: Line("Pay with a saved card".into()),
        description: text("The card was saved with an earlier order."),
        preconditions: text("The customer is signed in."),
        steps: Some(vec![WrittenStep::Step(step)]),
        gherkin: None,
        priority: line("high"),
        tags: Some(line("checkout").into_iter().collect()),
        issues: Some(line("SHOP-142").into_iter().collect()),
        estimate_seconds: Some(Number(180)),
        fields: Some([("custom_risk".to_owned(), json!(3))].into_iter().collect()),
        expected: None,
        format: Some(TextFormat::Plain),
        folder_path: Some(["Checkout", "Cards"].map(|name| Line(name.into())).into()),
    };
    let by_gherkin = BatchCase {
        external_id: Some(ExactLine("TC-2".into())),
        name: Line("A card that has expired is refused".into()),
        description: None,
        preconditions: None,
        steps: None,
        gherkin: text(
            "Scenario: expired card\n  Given a saved card of last year\n  When I pay\n  Then I am told why not",
        ),
        priority: None,
        tags: None,
        issues: None,
        estimate_seconds: None,
        fields: None,
        expected: None,
        format: None,
        folder_path: None,
    };
    BatchMessage {
        schema_version: Version(SCHEMA_VERSION),
        batch_id: BatchIdText("shop-142-1".into()),
        tenant_id: TenantIdText("acme".into()),
        generated_at: Moment("2026-11-23T09:30:00Z".into()),
        source: Some(BatchSource {
            key: line("SHOP-142"),
            title: line("Pay with a saved card"),
            link: line("https://tickets.example/SHOP-142"),
            generator: line("casewright 3.2"),
        }),
        folder_path: Some(vec![Line("Checkout".into()), Line("Payment".into())]),
        folder_id: None,
        on_repeat: None,
        replaces: None,
        format: Some(TextFormat::Markdown),
        cases: vec![by_steps, by_gherkin],
    }
}
