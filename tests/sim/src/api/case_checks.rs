//! Checks the standard fields of a case.

use serde_json::Value;

use super::checks::{array, id, integer, string};
use super::refusal::Refusal;
use crate::model::{Account, IssueWish, folded, is_tag};

/// Checks values against an account and collects the faults.
pub(crate) struct Checker<'a> {
    pub(crate) account: &'a Account,
    pub(crate) project_id: u64,
    pub(crate) refusal: Refusal,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(account: &'a Account, project_id: u64) -> Self {
        Self { account, project_id, refusal: Refusal::default() }
    }

    pub(crate) fn name(&mut self, key: &str, value: &Value) -> Option<String> {
        let name = super::checks::name(key, value, self.account.settings.name_max_chars, &mut self.refusal)?;
        if self.account.settings.trims_names { Some(name) } else { value.as_str().map(str::to_owned) }
    }

    /// Reads the id of a folder of this project.
    pub(crate) fn folder(&mut self, key: &str, value: &Value) -> Option<u64> {
        let id = id(key, value, &mut self.refusal)?;
        self.known(key, id, self.account.folders.get_in(self.project_id, id).is_some())
    }

    pub(crate) fn template(&mut self, key: &str, value: &Value) -> Option<u64> {
        let id = id(key, value, &mut self.refusal)?;
        self.known(key, id, self.account.template(id).is_some())
    }

    pub(crate) fn state(&mut self, key: &str, value: &Value) -> Option<u64> {
        let id = id(key, value, &mut self.refusal)?;
        self.known(key, id, self.account.state(id).is_some())
    }

    /// Reads an integer from 0; its unit is not documented. Null clears it.
    pub(crate) fn estimate(&mut self, key: &str, value: &Value) -> Option<i64> {
        if value.is_null() {
            return None;
        }
        let estimate = integer(key, value, &mut self.refusal)?;
        if estimate < 0 {
            self.refusal.add(key, format!("The {key} must be at least 0."));
        }
        Some(estimate)
    }

    /// Reads tag names, folded and sorted. A bad tag is reported for the whole list (recorded).
    pub(crate) fn tags(&mut self, key: &str, value: &Value) -> Vec<String> {
        let Some(values) = array(key, value, &mut self.refusal) else { return Vec::new() };
        let mut names = Vec::new();
        for (index, value) in values.iter().enumerate() {
            names.extend(string(&format!("{key}.{index}"), value, &mut self.refusal));
        }
        let settings = &self.account.settings;
        let most = settings.tag_max_chars;
        let is_accepted =
            |name: &&str| is_tag(name, most) || (settings.any_tag_characters && (1..=most).contains(&name.len()));
        if !names.iter().all(is_accepted) {
            let words = format!("The {key} field contains one or more invalid tag names.");
            self.refusal.add(key, words);
        }
        folded(&names, settings.lowers_tags)
    }

    /// Checks that a list is empty, because no automation case exists here.
    pub(crate) fn automation_links(&mut self, key: &str, value: &Value) {
        let links = array(key, value, &mut self.refusal).map_or(0, Vec::len);
        for index in 0..links {
            let key = format!("{key}.{index}");
            self.refusal.add(&key, format!("The selected {key} is invalid."));
        }
    }

    /// Reads issue ids, or objects that name an issue of a connected tracker.
    pub(crate) fn issues(&mut self, key: &str, value: &Value) -> Vec<IssueWish> {
        let Some(values) = array(key, value, &mut self.refusal) else { return Vec::new() };
        let entries = values.iter().enumerate();
        let wish = |(index, value)| self.issue(&format!("{key}.{index}"), value);
        entries.filter_map(wish).collect()
    }

    fn issue(&mut self, key: &str, value: &Value) -> Option<IssueWish> {
        if !value.is_object() {
            let id = id(key, value, &mut self.refusal)?;
            let known = self.known(key, id, self.account.issue(id).is_some())?;
            return Some(IssueWish::Known(known));
        }
        let display_id = string(&format!("{key}.display_id"), &value["display_id"], &mut self.refusal)?;
        let integration_key = format!("{key}.integration_id");
        let integration_id = id(&integration_key, &value["integration_id"], &mut self.refusal)?;
        let connection_project_id = value["connection_project_id"].as_u64();
        let is_linked = self.account.integrations.iter().any(|integration| {
            integration.integration_id == integration_id
                && connection_project_id.is_none_or(|id| id == integration.connection_project_id)
        });
        self.known(&integration_key, integration_id, is_linked)?;
        let display_id = display_id.to_owned();
        Some(IssueWish::Named { display_id, integration_id, connection_project_id })
    }

    fn known(&mut self, key: &str, id: u64, exists: bool) -> Option<u64> {
        if !exists {
            self.refusal.add(key, format!("The selected {key} is invalid."));
        }
        exists.then_some(id)
    }
}
