//! Decodes the bytes of a message into a [`Batch`], or into every fault with its JSON pointer and remedy.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::batch::message::fault::{Fault, Faults};
use crate::batch::message::json::{Json, in_key_order, parse};
use crate::batch::message::reader::{Reader, whole};
use crate::batch::message::text::{is_blank, one_line};
use crate::batch::message::{
    Batch, Case, MAX_CASES, MAX_EXTERNAL_ID, MAX_FIELDS, MAX_FOLDERS, MAX_NAME, MAX_SOURCE, MAX_STEPS, MAX_TAGS,
    MAX_WORD, Priority, RequestedFolder, SCHEMA_VERSION, Script, Source, Step, TextFormat, key_by_position,
};
use crate::batch::{BatchId, BatchKey, TenantId};

/// The most faults that are listed for one message.
pub const MAX_FAULTS: usize = 100;
/// The most faults that are listed on one line.
const FAULTS_OF_DETAIL: usize = 10;

/// Why a message is not a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Undecodable {
    /// The bytes are not JSON.
    NotJson(Fault),
    /// The bytes are JSON but break the contract; the identity is kept if it could be read.
    Schema {
        /// Every fault found; with more than [`MAX_FAULTS`] the last one says how many are left out.
        faults: Vec<Fault>,
        /// The tenant and batch id in the message, if both are readable.
        key: Option<BatchKey>,
        /// The tenant in the message, if it is readable.
        tenant: Option<TenantId>,
    },
}

impl Undecodable {
    /// Returns the faults of either kind.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::NotJson(fault) => std::slice::from_ref(fault),
            Self::Schema { faults, .. } => faults,
        }
    }

    /// Returns the first faults on one line, for the shelf and the log.
    pub fn detail(&self) -> String {
        let faults = self.faults();
        let mut sentences: Vec<String> = faults.iter().take(FAULTS_OF_DETAIL).map(ToString::to_string).collect();
        if faults.len() > FAULTS_OF_DETAIL {
            sentences.push("and more".into());
        }
        sentences.join("; ")
    }
}

/// Reads and checks a message.
///
/// # Errors
/// With every fault of the message: repeated keys first, then in the order of the contract.
pub fn decode(bytes: &[u8]) -> Result<Batch, Undecodable> {
    decode_naming(bytes, MAX_FAULTS)
}

/// Reads and checks a message, and lists up to `most` faults.
///
/// # Errors
/// As [`decode`].
pub fn decode_naming(bytes: &[u8], most: usize) -> Result<Batch, Undecodable> {
    let mut faults = Faults::naming(most);
    let value = parse(bytes, &mut faults).map_err(Undecodable::NotJson)?;
    let (batch, key, tenant) = read_batch(&mut Reader::root(&value, &mut faults));
    match batch {
        Some(batch) if faults.is_empty() => Ok(batch),
        Some(_) | None => Err(Undecodable::Schema { faults: faults.list(), key, tenant }),
    }
}

fn read_batch(r: &mut Reader<'_>) -> (Option<Batch>, Option<BatchKey>, Option<TenantId>) {
    if !r.is_object() {
        let _: Option<()> =
            r.fault("is not a JSON object", "publish one JSON object with the keys that docs/publishing.md lists");
        return (None, None, None);
    }
    r.only_keys(&[
        "schema_version",
        "batch_id",
        "tenant_id",
        "generated_at",
        "source",
        "folder_path",
        "folder_id",
        "format",
        "cases",
    ]);
    let version = r.required("schema_version", |r| match r.value().as_number().and_then(whole) {
        Some(SCHEMA_VERSION) => Some(()),
        None if r.value().as_text().is_some() => r.fault("is a text", "send the number 1, without quotes"),
        Some(_) | None => r.fault("is not a schema version this worker reads", "send the number 1"),
    });
    let batch_id = r.required("batch_id", |r| {
        let text = r.text()?;
        BatchId::new(text).map_err(|e| r.fault_of(&e)).ok()
    });
    let tenant = r.required("tenant_id", |r| {
        let text = r.text()?;
        TenantId::new(text).map_err(|e| r.fault_of(&e)).ok()
    });
    let generated_at = r.required("generated_at", |r| {
        let text = r.text()?;
        match text.parse::<Timestamp>() {
            Ok(at) => Some(at.as_millisecond()),
            Err(_) => {
                r.fault("is not a time", "send an RFC 3339 time with its time zone, such as 2026-11-23T09:30:00Z")
            }
        }
    });
    let source = r.optional("source", read_source).unwrap_or_default();
    let folder = read_folder(r);
    let format = r.optional("format", read_format);
    let mut cases = r.required("cases", read_cases);
    cases.iter_mut().flatten().for_each(|case| case.format = case.format.or(format));
    let key = tenant.clone().zip(batch_id).map(|(tenant, batch)| BatchKey::new(tenant, batch));
    let batch = (|| {
        version?;
        Some(Batch { key: key.clone()?, generated_at: generated_at?, source, folder, cases: cases? })
    })();
    (batch, key, tenant)
}

fn read_source(r: &mut Reader<'_>) -> Option<Source> {
    if !r.expect_object() {
        return None;
    }
    r.only_keys(&["key", "title", "link", "generator"]);
    let mut text = |key| r.optional(key, |r| r.line(MAX_SOURCE));
    Some(Source { key: text("key"), title: text("title"), link: text("link"), generator: text("generator") })
}

fn read_folder(r: &mut Reader<'_>) -> RequestedFolder {
    let path = r.optional("folder_path", |r| {
        let form = format_args!("a list of 1 to {MAX_FOLDERS} folder names, the top folder first");
        let names = r.list(1, MAX_FOLDERS, form, |r| r.line(MAX_WORD))?;
        Some(RequestedFolder::Path(names))
    });
    let id = r.optional("folder_id", |r| r.positive().map(RequestedFolder::Id));
    match (path, id) {
        (Some(_), Some(_)) => {
            r.at("folder_id", |r| -> Option<()> {
                r.fault("cannot be combined with folder_path", "send one of folder_path and folder_id")
            });
            RequestedFolder::Tenant
        }
        (Some(wish), None) | (None, Some(wish)) => wish,
        (None, None) => RequestedFolder::Tenant,
    }
}

fn read_cases(r: &mut Reader<'_>) -> Option<Vec<Case>> {
    let cases = r.list(1, MAX_CASES, format_args!("a list of 1 to {MAX_CASES} cases"), read_case);
    if r.value().as_list().is_some_and(|items| items.len() <= MAX_CASES) {
        fault_repeated_keys(r);
    }
    cases
}

/// Checks the document, not the cases that could be read, so that a fault of one case hides no fault of another.
fn fault_repeated_keys(r: &mut Reader<'_>) {
    let items = r.value().as_list().unwrap_or_default();
    let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate().filter(|(_, item)| item.as_object().is_some()) {
        if external_id(item).is_none() {
            seen.insert(key_by_position(index).into(), index);
        }
    }
    for (index, item) in items.iter().enumerate() {
        let Some(id) = external_id(item).filter(|id| !id.is_empty()) else { continue };
        if let Some(first) = seen.get(&id) {
            r.at_index(index, |r| {
                r.at("external_id", |r| -> Option<()> {
                    r.fault(
                        format_args!("is already used by case #{}", first + 1),
                        "give each case of a batch its own id",
                    )
                })
            });
        } else {
            seen.insert(id, index);
        }
    }
}

fn external_id<'a>(case: &'a Json<'_>) -> Option<Cow<'a, str>> {
    case.get("external_id").and_then(Json::as_text).map(one_line)
}

fn read_case(r: &mut Reader<'_>) -> Option<Case> {
    if !r.expect_object() {
        return None;
    }
    r.only_keys(&[
        "external_id",
        "name",
        "description",
        "preconditions",
        "steps",
        "gherkin",
        "priority",
        "tags",
        "issues",
        "estimate_seconds",
        "fields",
        "format",
    ]);
    let external_id = r.optional("external_id", |r| r.exact_line(MAX_EXTERNAL_ID));
    let name = r.required("name", |r| r.line(MAX_NAME));
    let description = r.optional("description", |r| r.prose_if_any());
    let preconditions = r.optional("preconditions", |r| r.prose_if_any());
    let script = read_script(r);
    let priority = r.optional("priority", |r| {
        let text = r.text()?;
        match Priority::ALL.into_iter().find(|p| p.name() == text) {
            Some(priority) => Some(priority),
            None => r.fault("is not a priority", "send critical, high, normal or low"),
        }
    });
    let tags = r.optional("tags", |r| read_words(r, "tags"));
    let issues = r.optional("issues", |r| read_words(r, "issue ids"));
    let estimate_seconds = r.optional("estimate_seconds", |r| r.positive());
    let fields = r.optional("fields", read_fields);
    let format = r.optional("format", read_format);
    Some(Case {
        external_id,
        name: name?,
        description,
        preconditions,
        script,
        priority,
        tags: tags.unwrap_or_default(),
        issues: issues.unwrap_or_default(),
        estimate_seconds,
        fields: fields.unwrap_or_default(),
        format,
    })
}

fn read_format(r: &mut Reader<'_>) -> Option<TextFormat> {
    let text = r.text()?;
    match TextFormat::ALL.into_iter().find(|format| format.name() == text) {
        Some(format) => Some(format),
        None => r.fault("is not a format", "send plain or markdown"),
    }
}

fn read_words(r: &mut Reader<'_>, what: &str) -> Option<Vec<String>> {
    r.list(0, MAX_TAGS, format_args!("a list of at most {MAX_TAGS} {what}"), |r| r.line(MAX_WORD))
}

fn read_script(r: &mut Reader<'_>) -> Script {
    let steps =
        r.optional("steps", |r| r.list(0, MAX_STEPS, format_args!("a list of at most {MAX_STEPS} steps"), read_step));
    let gherkin = r.optional("gherkin", |r| r.prose_if_any());
    match (steps, gherkin) {
        (Some(steps), Some(_)) if !steps.is_empty() => {
            r.at("gherkin", |r| -> Option<()> {
                r.fault("cannot be combined with steps", "send one of steps and gherkin")
            });
            Script::None
        }
        (_, Some(gherkin)) => Script::Gherkin(gherkin),
        (Some(steps), None) if !steps.is_empty() => Script::Steps(steps),
        (Some(_), None) | (None, None) => Script::None,
    }
}

fn read_step(r: &mut Reader<'_>) -> Option<Step> {
    if !r.expect_object() {
        return None;
    }
    r.only_keys(&["action", "data", "expected"]);
    let action = r.required("action", |r| r.prose());
    let data = r.optional("data", |r| r.prose_if_any());
    let expected = r.optional("expected", |r| r.prose_if_any());
    Some(Step { action: action?, data, expected })
}

fn read_fields(r: &mut Reader<'_>) -> Option<Map<String, Value>> {
    if !r.expect_object() {
        return None;
    }
    let fields = in_key_order(r.value().as_object()?);
    if fields.len() > MAX_FIELDS {
        r.fault::<()>("has too many fields", format_args!("send at most {MAX_FIELDS} fields"));
    }
    for key in fields.keys().filter(|key| !can_name_field(key)) {
        let remedy = "name fields by their column, such as custom_risk, or by their label, of at most 200 characters";
        r.fault_of_key(key, "cannot name a custom field", remedy);
    }
    Some(fields)
}

/// Returns whether a key can be the column or the label of a field: it begins with a visible character, has at most 200, and
/// no control characters.
fn can_name_field(key: &str) -> bool {
    let is_label = key.chars().next().is_some_and(|first| !is_blank(first)) && !key.chars().any(char::is_control);
    is_label && key.chars().count() <= MAX_WORD
}

/// Returns whether Testmo could have a custom field with this column name.
pub fn is_custom_column(name: &str) -> bool {
    name.strip_prefix("custom_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

#[cfg(test)]
mod tests;
