//! Reads what the file of a tenant says.

use std::path::PathBuf;

use jiff::civil::Date;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::super::super::day::read_day;
use super::super::set::clean_key;
use crate::batch::render::mapping_spec::MappingSpec;

/// What a file may say.
const MEMBERS: [&str; 7] =
    ["base_url", "project_id", "folder_id", "api_key", "api_key_file", "api_key_expires_on", "mapping"];

/// The form in which a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Toml,
    Json,
}

/// What the file of a tenant says.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) base_url: String,
    pub(super) project: u64,
    pub(super) folder: u64,
    pub(super) key: WrittenKey,
    pub(super) expires: Option<Date>,
    pub(super) mapping: MappingSpec,
}

/// Where the API key is.
#[derive(Debug)]
pub(super) enum WrittenKey {
    /// In the file itself.
    Here(SecretString),
    /// In a file of its own.
    InFile(PathBuf),
}

/// What is wrong with a file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{problem}")]
pub(super) struct FileFault {
    /// The place in the file, with what separates it from the problem; empty for the whole file.
    pub(super) place: String,
    pub(super) problem: String,
    pub(super) remedy: String,
}

impl FileFault {
    pub(super) fn whole(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: String::new(), problem: problem.into(), remedy: remedy.into() }
    }

    pub(super) fn of(member: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: format!("`{member}` "), problem: problem.into(), remedy: remedy.into() }
    }
}

/// Reads the text of a file.
pub(super) fn read(text: &str, form: Form) -> Result<Written, FileFault> {
    let members = match form {
        Form::Toml => of_toml(text)?,
        Form::Json => of_json(text)?,
    };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(FileFault::of(unknown, "is not known", format!("Use {}.", MEMBERS.join(", "))));
    }
    Ok(Written {
        base_url: text_of(&members, "base_url")?.ok_or_else(|| missing("base_url", "https://acme.testmo.net"))?,
        project: id(&members, "project_id")?,
        folder: id(&members, "folder_id")?,
        key: key(&members)?,
        expires: expires(&members)?,
        mapping: mapping(&members)?,
    })
}

fn missing(member: &str, example: &str) -> FileFault {
    FileFault::of(member, "is missing", format!("Add it, such as {example}."))
}

fn text_of(members: &Map<String, Value>, name: &str) -> Result<Option<String>, FileFault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(FileFault::of(name, "is no text", "Write it as a text in double quotes.")),
    }
}

fn id(members: &Map<String, Value>, name: &str) -> Result<u64, FileFault> {
    let Some(value) = members.get(name) else { return Err(missing(name, "428")) };
    let id = value.as_u64().filter(|id| (1..=i64::MAX.unsigned_abs()).contains(id));
    id.ok_or_else(|| FileFault::of(name, "is no id", "Write the number that Testmo shows in the address of the page."))
}

fn key(members: &Map<String, Value>) -> Result<WrittenKey, FileFault> {
    match (text_of(members, "api_key")?, text_of(members, "api_key_file")?) {
        (Some(key), None) => Ok(WrittenKey::Here(clean_key(&key))),
        (None, Some(file)) => Ok(WrittenKey::InFile(file.into())),
        (Some(_), Some(_)) => Err(FileFault::of("api_key_file", "is set beside `api_key`", "Leave one of them out.")),
        (None, None) => {
            let remedy = "Name the file with the API key as api_key_file, or write the key as api_key.";
            Err(FileFault::of("api_key_file", "is missing", remedy))
        }
    }
}

fn expires(members: &Map<String, Value>) -> Result<Option<Date>, FileFault> {
    let wrong = |why: String| FileFault::of("api_key_expires_on", "is no day", why);
    text_of(members, "api_key_expires_on")?.map(|day| read_day(&day).map_err(wrong)).transpose()
}

fn mapping(members: &Map<String, Value>) -> Result<MappingSpec, FileFault> {
    let wrong = |why: String| FileFault::of("mapping", "cannot be used", why);
    match members.get("mapping") {
        None | Some(Value::Null) => Ok(MappingSpec::default()),
        Some(written) => MappingSpec::from_json(&written.to_string()).map_err(wrong),
    }
}

fn of_json(text: &str) -> Result<Map<String, Value>, FileFault> {
    serde_json::from_str(text).map_err(|error| FileFault {
        place: format!("line {}, column {}: ", error.line(), error.column()),
        problem: "is no JSON object".into(),
        remedy: r#"Write an object, such as {"base_url": "https://acme.testmo.net"}."#.into(),
    })
}

fn of_toml(text: &str) -> Result<Map<String, Value>, FileFault> {
    let table: toml::Table = toml::from_str(text).map_err(|error| FileFault {
        place: error.span().map(|span| place(text, span.start)).unwrap_or_default(),
        problem: "is not valid TOML".into(),
        remedy: r#"Write one setting a line, each name once, such as base_url = "https://acme.testmo.net"."#.into(),
    })?;
    Ok(table.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// Returns the line and the column of a byte.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {}, column {column}: ", before.matches('\n').count() + 1)
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(name, value)| (name, json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const WHOLE: &str = r#"
        base_url = "https://acme.testmo.net"
        project_id = 3
        folder_id = 428
        api_key = " Bearer k "
        api_key_expires_on = 2027-06-30
        [mapping]
        tags = ["a"]
    "#;

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"base_url": "https://acme.testmo.net", "project_id": 3, "folder_id": 428, "api_key": "k",
            "api_key_expires_on": "2027-06-30", "mapping": {"tags": ["a"]}}"#;
        for (text, form) in [(WHOLE, Form::Toml), (json, Form::Json)] {
            let written = read(text, form).unwrap();
            let WrittenKey::Here(key) = &written.key else { panic!("{written:?}") };
            assert_eq!((written.base_url.as_str(), key.expose_secret()), ("https://acme.testmo.net", "k"));
            assert_eq!((written.project, written.folder, written.mapping.tags), (3, 428, vec!["a".to_owned()]));
            assert_eq!(written.expires, Some("2027-06-30".parse().unwrap()));
        }
    }

    #[test]
    fn a_fault_names_its_place_and_what_to_do_and_no_key() {
        let of = |text: &str, form| {
            let fault = read(text, form).unwrap_err();
            (fault.to_string(), fault.remedy)
        };
        let changed = |from: &str, to: &str| of(&WHOLE.replace(from, to), Form::Toml);
        for ((said, remedy), expected, what_to_do) in [
            (changed("project_id = 3", "project_id = hunter"), "line 3, column ", "one setting a line"),
            (changed("project_id = 3", "project_id = 0"), "`project_id` is no id", "number that Testmo shows"),
            (changed("folder_id = 428", ""), "`folder_id` is missing", "such as 428"),
            (changed("base_url =", "url ="), "`url` is not known", "Use base_url, "),
            (changed("api_key =", "api_key_file = \"x\"\napi_key ="), "`api_key_file` is set beside", "one of them"),
            (changed("api_key =", "#"), "`api_key_file` is missing", "Name the file"),
            (changed("2027-06-30", "\"soon\""), "`api_key_expires_on` is no day", "2027-12-31"),
            (changed("tags = [\"a\"]", "tag = 1"), "`mapping` cannot be used", "tags"),
            (of("{\"base_url\": hunter}", Form::Json), "line 1, column ", "Write an object"),
            (of("[]", Form::Json), "is no JSON object", "Write an object"),
        ] {
            assert!(said.contains(expected), "{said}: {expected}");
            assert!(remedy.contains(what_to_do), "{remedy}: {what_to_do}");
            assert!(!said.contains("hunter") && !remedy.contains("hunter"), "{said}: {remedy}");
        }
    }
}
