//! Decodes the bytes of a message into a [`Batch`], or into every fault with its JSON pointer and remedy.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::batch::message::fault::{Fault, Faults, MOST_CASES};
use crate::batch::message::fingerprint::content_hash;
use crate::batch::message::json::{Json, in_key_order, parse};
use crate::batch::message::reader::{Reader, whole};
use crate::batch::message::repeat_fields::{read_on_repeat, read_replaced};
use crate::batch::message::text::is_blank;
use crate::batch::message::{
    Batch, Case, Faulty, MAX_CASE_FOLDERS, MAX_CASES, MAX_EXTERNAL_ID, MAX_FIELDS, MAX_FOLDERS, MAX_NAME, MAX_SOURCE,
    MAX_STEPS, MAX_TAGS, MAX_WORD, RequestedFolder, SCHEMA_VERSION, Script, Source, Step, TextFormat, Urgency,
    key_by_position,
};
use crate::batch::{BatchId, BatchKey, TenantId};

/// The most faults that are listed for one message.
pub const MAX_FAULTS: usize = 100;
const _: () = assert!(MAX_CASES == MOST_CASES, "every case of a batch keeps its faults");
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

/// A message as far as it could be read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The batch, unless nothing of it can be delivered; its faulty cases are marked.
    pub(super) batch: Option<Batch>,
    pub(super) key: Option<BatchKey>,
    pub(super) tenant: Option<TenantId>,
    /// Every fault, also those of cases; with many the last one says how many are left out.
    pub(super) faults: Vec<Fault>,
}

/// Reads and checks a message. Faults inside of a case refuse this case alone: it is marked as
/// [`faulty`](Case::faulty).
///
/// # Errors
/// With every fault of the message, if one is outside of cases or no case is without fault: repeated keys first, then
/// in the order of the contract.
pub fn decode(bytes: &[u8]) -> Result<Batch, Undecodable> {
    let Reading { batch, key, tenant, faults } = read(bytes, MAX_FAULTS).map_err(Undecodable::NotJson)?;
    batch.ok_or(Undecodable::Schema { faults, key, tenant })
}

/// Reads and checks a message, and lists up to `most` faults.
pub(super) fn read(bytes: &[u8], most: usize) -> Result<Reading, Fault> {
    let mut faults = Faults::naming(most);
    let value = parse(bytes, &mut faults)?;
    let (batch, key, tenant) = read_batch(&mut Reader::root(&value, &mut faults));
    let batch = batch.filter(|_| faults.are_of_cases()).map(|batch| mark_faulty(batch, &value, &faults));
    let batch = batch.filter(|batch| batch.cases.iter().any(|case| case.faulty.is_none()));
    Ok(Reading { batch, key, tenant, faults: faults.list() })
}

/// Reduces each faulty case to what names it, and why it is faulty.
fn mark_faulty(mut batch: Batch, message: &Json<'_>, faults: &Faults) -> Batch {
    let items = message.get("cases").and_then(Json::as_list).unwrap_or_default();
    for (index, (faults, more)) in faults.by_case() {
        let (Some(case), Some(item)) = (batch.cases.get_mut(index), items.get(index)) else { continue };
        let faulty = Faulty { faults, more, content: content_hash(&item.to_value()) };
        let bare = Case { external_id: case.external_id.take(), ..Case::named(std::mem::take(&mut case.name)) };
        *case = Case { faulty: Some(Box::new(faulty)), ..bare };
    }
    batch
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
        "on_repeat",
        "replaces",
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
        // A number of seconds is no time either, and its remedy is the same.
        let text = if r.value().as_text().is_some() { r.text()? } else { "" };
        match text.parse::<Timestamp>() {
            Ok(at) => Some(at.as_millisecond()),
            Err(_) => {
                r.fault("is not a time", "send an RFC 3339 time with its time zone, such as \"2026-11-23T09:30:00Z\"")
            }
        }
    });
    let source = r.optional("source", read_source).unwrap_or_default();
    let folder = read_folder(r);
    let format = r.optional("format", read_format);
    let on_repeat = r.optional("on_repeat", read_on_repeat);
    let replaces = r.optional("replaces", |r| read_replaced(r, batch_id.as_ref(), on_repeat));
    let mut cases = r.required("cases", read_cases);
    cases.iter_mut().flatten().for_each(|case| case.format = case.format.or(format));
    let key = tenant.clone().zip(batch_id).map(|(tenant, batch)| BatchKey::new(tenant, batch));
    let batch = (|| {
        version?;
        Some(Batch {
            key: key.clone()?,
            generated_at: generated_at?,
            source,
            folder,
            on_repeat,
            replaces,
            cases: cases?,
        })
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
    let path = r.optional("folder_path", read_path);
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

fn read_path(r: &mut Reader<'_>) -> Option<RequestedFolder> {
    let form = format_args!("a list of at most {MAX_FOLDERS} folder names, the top folder first");
    let names = r.list(0, MAX_FOLDERS, form, |r| r.line(MAX_WORD))?;
    Some(if names.is_empty() { RequestedFolder::Tenant } else { RequestedFolder::Path(names) })
}

fn read_cases(r: &mut Reader<'_>) -> Option<Vec<Case>> {
    let form = format_args!("a list of 1 to {MAX_CASES} cases");
    let mut cases = r.list(1, MAX_CASES, form, |r| Some(read_case(r)))?;
    refuse_repeated_keys(r, &mut cases);
    refuse_further_folders(r, &cases);
    Some(cases)
}

/// Records a fault for each case that names one more folder than the cases of a batch may name.
fn refuse_further_folders(r: &mut Reader<'_>, cases: &[Case]) {
    let mut named: HashSet<&RequestedFolder> = HashSet::new();
    for (index, case) in cases.iter().enumerate() {
        let Some(folder) = case.folder.as_ref().filter(|folder| !named.contains(folder)) else { continue };
        if named.len() < MAX_CASE_FOLDERS {
            named.insert(folder);
            continue;
        }
        r.at_index(index, |r| {
            r.at("folder_path", |r| -> Option<()> {
                let what =
                    format_args!("is one more folder than the {MAX_CASE_FOLDERS} that the cases of a batch may name");
                r.fault(what, "split the batch, so that each has fewer folders")
            })
        });
    }
}

/// Records a fault for each case whose external id is the key of another case, and has this case called by its
/// position. Of cases with the same id the first one keeps it.
fn refuse_repeated_keys(r: &mut Reader<'_>, cases: &mut [Case]) {
    let mut owners: HashMap<String, usize> = HashMap::with_capacity(cases.len());
    let mut refused: Vec<(usize, usize)> = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let Some(id) = &case.external_id else { continue };
        match owners.get(id) {
            Some(first) => refused.push((index, *first)),
            None => drop(owners.insert(id.clone(), index)),
        }
    }
    // A case that is called by its position may take the key of another case, which then is called by its own.
    let mut by_position: Vec<usize> = (0..cases.len()).filter(|index| cases[*index].external_id.is_none()).collect();
    by_position.extend(refused.iter().map(|(index, _)| *index));
    while let Some(index) = by_position.pop() {
        if let Some(other) = owners.remove(&key_by_position(index)).filter(|other| *other != index) {
            refused.push((other, index));
            by_position.push(other);
        }
    }
    refused.sort_unstable();
    for (index, first) in refused {
        cases[index].external_id = None;
        r.at_index(index, |r| {
            r.at("external_id", |r| -> Option<()> {
                let what = format_args!("is already used by case #{}", first + 1);
                r.fault(what, "give each case of a batch its own id")
            })
        });
    }
}

/// Reads what can be read of a case.
fn read_case(r: &mut Reader<'_>) -> Case {
    if !r.expect_object() {
        return Case::named(String::new());
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
        "expected",
        "format",
        "folder_path",
    ]);
    let external_id = r.optional("external_id", |r| r.exact_line(MAX_EXTERNAL_ID));
    let name = r.required("name", |r| r.line(MAX_NAME));
    let description = r.optional("description", |r| r.prose_if_any());
    let preconditions = r.optional("preconditions", |r| r.prose_if_any());
    let script = read_script(r);
    let priority = r.optional("priority", |r| r.line(MAX_WORD).map(|word| Urgency::of(&word)));
    let tags = r.optional("tags", |r| read_words(r, "tags"));
    let issues = r.optional("issues", |r| read_words(r, "issue ids"));
    let estimate_seconds = r.optional("estimate_seconds", |r| r.positive());
    let fields = r.optional("fields", read_fields);
    let expected = r.optional("expected", |r| r.prose_if_any());
    let format = r.optional("format", read_format);
    let folder = r.optional("folder_path", read_path);
    Case {
        external_id,
        name: name.unwrap_or_default(),
        description,
        preconditions,
        script,
        priority,
        tags: tags.unwrap_or_default(),
        issues: issues.unwrap_or_default(),
        estimate_seconds,
        fields: fields.unwrap_or_default(),
        expected,
        format,
        folder,
        faulty: None,
    }
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

/// Reads a step; a text is its action.
fn read_step(r: &mut Reader<'_>) -> Option<Step> {
    if r.value().as_text().is_some() {
        return Some(Step { action: r.prose()?, ..Step::default() });
    }
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
