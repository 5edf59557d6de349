//! Reads and shows the form of a connection: the five fields of SQAI Suite's settings page, in its words and order.

use secrecy::{ExposeSecret, SecretString};

use super::super::admin::problem::{Code, Problem};
use super::fields::Fields;
use crate::app::connections::set::{ConnectionInput, Expiry, clean_key};
use crate::app::connections::{Choices, ConnectionRow, MappingSpec, state_tag};
use crate::app::{Reason, TenantId, read_day};

/// The names in the form.
pub(super) const NAMES: [&str; 9] =
    ["api_key", "expires_on", "base_url", "project_id", "folder_id", "state", "discard_change", "then", "mapping"];

/// The form as a page shows it. The API key is never shown again.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionForm {
    pub(super) expires_on: String,
    pub(super) base_url: String,
    pub(super) project: String,
    pub(super) folder: String,
    /// The word for the state that the form starts from; empty where nothing is stored.
    pub(super) state: String,
    /// Whether a key is kept.
    pub(super) has_key: bool,
    /// The field at fault, the cause, and the remedy.
    pub(super) wrong: Option<Wrong>,
    pub(super) choices: Choices,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) sentence: String,
    /// What Testmo, or the network, said.
    pub(super) detail: String,
    pub(super) remedy: String,
}

impl ConnectionForm {
    /// Shows what is stored: what was entered last, whether or not it is in force.
    pub(super) fn of(row: Option<&ConnectionRow>) -> Self {
        let Some(row) = row else { return Self::default() };
        let (origin, project, folder, expires_on) = match row.successor.as_deref() {
            Some(next) => (&next.origin, next.project, next.folder, &next.expires_on),
            None => (&row.origin, row.project, row.folder, &row.expires_on),
        };
        Self {
            expires_on: expires_on.clone().unwrap_or_default(),
            base_url: origin.clone(),
            project: project.to_string(),
            folder: folder.to_string(),
            state: state_tag(row),
            has_key: true,
            wrong: None,
            choices: Choices::default(),
        }
    }

    /// Shows what was entered.
    pub(super) fn entered(self, form: &Fields) -> Self {
        Self {
            expires_on: form.raw("expires_on").to_owned(),
            base_url: form.raw("base_url").to_owned(),
            project: form.raw("project_id").to_owned(),
            folder: form.raw("folder_id").to_owned(),
            ..self
        }
    }

    /// Adds what is wrong.
    pub(super) fn because(self, wrong: Wrong) -> Self {
        Self { wrong: Some(wrong), ..self }
    }

    /// Returns what is wrong with a field.
    pub(super) fn wrong_with(&self, field: &str) -> Option<&Wrong> {
        self.wrong.as_ref().filter(|wrong| wrong.field == field)
    }
}

/// Reads a number as Testmo shows it.
pub(super) fn id(form: &Fields, name: &'static str, what: &str) -> Result<Option<u64>, Wrong> {
    let Some(text) = form.text(name) else { return Ok(None) };
    let number = text.parse::<u64>().ok().filter(|id| (1..=i64::MAX.unsigned_abs()).contains(id));
    number.map(Some).ok_or_else(|| Wrong {
        field: name,
        sentence: format!("`{}` is not a {what}.", text.chars().take(60).collect::<String>()),
        detail: String::new(),
        remedy: "Write the number that Testmo shows in the address of the page.".into(),
    })
}

/// Reads a connection from a form.
pub(super) fn input(
    form: &Fields,
    tenant: TenantId,
    mapping: Option<MappingSpec>,
) -> Result<(ConnectionInput, Option<SecretString>), Wrong> {
    let key = form.text("api_key").map(clean_key).filter(|key| !key.expose_secret().is_empty());
    let expires = match form.text("expires_on") {
        None => Expiry::None,
        Some(day) => Expiry::On(read_day(day).map_err(|sentence| Wrong {
            field: "expires_on",
            sentence,
            detail: String::new(),
            remedy: "Write the last day on which the key works, or leave the field empty.".into(),
        })?),
    };
    let input = ConnectionInput {
        tenant,
        base_url: form.text("base_url").map(str::to_owned),
        project: id(form, "project_id", "project id")?,
        folder: id(form, "folder_id", "folder id")?,
        expires,
        mapping,
        new_api_key: key.is_some(),
        discard_change: false,
        source: None,
    };
    Ok((input, key))
}

/// Reads the project that a form names, if it is a number.
pub(super) fn project(form: &Fields) -> Option<u64> {
    id(form, "project_id", "project id").ok().flatten()
}

/// Returns the field at fault of a refused form; a problem that is not about a field is passed on.
pub(super) fn wrong_of(problem: Problem) -> Result<Wrong, Problem> {
    let field = match problem.place() {
        Some("/base_url") => "base_url",
        Some("/project_id") => "project_id",
        Some("/folder_id") => "folder_id",
        Some("/api_key") => "api_key",
        Some("/api_key_expires_on") => "expires_on",
        Some(_) | None => return Err(problem),
    };
    if !matches!(problem.code, Code::InvalidBody | Code::Refused) {
        return Err(problem);
    }
    let remedy = problem.what_to_do().unwrap_or_default().to_owned();
    Ok(Wrong { field, sentence: problem.detail().to_owned(), detail: String::new(), remedy })
}

/// Returns the field that a verification has found at fault.
pub(super) fn field_of(reason: Reason, detail: &str) -> &'static str {
    let is = |reasons: &[Reason]| reasons.contains(&reason);
    if is(&[Reason::KeyRefused, Reason::Forbidden]) {
        "api_key"
    } else if is(&[Reason::ConnectionRejected, Reason::FolderMissing])
        || reason == Reason::TargetMissing && detail.contains("has no folder")
    {
        "folder_id"
    } else if reason == Reason::TargetMissing {
        "project_id"
    } else {
        "base_url"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Fields {
        Fields::read(text.as_bytes(), &NAMES).unwrap()
    }

    #[test]
    fn a_form_is_read_and_a_wrong_field_is_named() {
        let acme = || "acme".parse().unwrap();
        let text = "api_key=+k+&expires_on=2031-01-02&base_url=acme.testmo.net&project_id=3&folder_id=428";
        let (read, key) = input(&form(text), acme(), None).unwrap();
        assert_eq!((read.project, read.folder, read.new_api_key), (Some(3), Some(428), true));
        assert_eq!(key.unwrap().expose_secret(), "k");
        let (kept, key) = input(&form("api_key=&expires_on="), acme(), None).unwrap();
        assert!(key.is_none() && !kept.new_api_key && kept.expires == Expiry::None && kept.base_url.is_none());
        for (text, field) in
            [("project_id=x", "project_id"), ("folder_id=0", "folder_id"), ("expires_on=1.2.", "expires_on")]
        {
            assert_eq!(input(&form(text), acme(), None).unwrap_err().field, field);
        }
    }

    #[test]
    fn each_cause_stands_beside_a_field_of_the_form() {
        for reason in Reason::ALL {
            assert!(NAMES.contains(&field_of(*reason, "")), "{reason}");
        }
        assert_eq!(field_of(Reason::TargetMissing, "project \"x\" has no folder 7"), "folder_id");
    }
}
