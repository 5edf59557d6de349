//! The values in which what a probe of a connection found is kept: which assumptions about its Testmo hold.

use serde::{Deserialize, Serialize};

/// What the probes of a connection found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The version of the connection that was probed last. What was found says nothing of another version.
    pub version: String,
    /// When that was, in milliseconds on the store's clock.
    pub at: i64,
    /// When a probe of this version last created a case, likewise.
    #[serde(default)]
    pub created_at: Option<i64>,
    /// The case that a probe has left in Testmo, or may have.
    #[serde(default)]
    pub left: Option<LeftCase>,
    /// What was found about each assumption.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

impl Probe {
    /// Returns what was found not to be as assumed. A case that was created since the probe shows that the right to create
    /// cases was given meanwhile; both times are in milliseconds on the store's clock.
    pub fn not_as_assumed(&self, created_at: Option<i64>) -> impl Iterator<Item = &Finding> {
        let is_outdated = move |found: &&Finding| {
            found.assumption == Assumption::RightToCreate && created_at.is_some_and(|at| at > self.at)
        };
        self.findings.iter().filter(|found| found.result == Found::DoesNotHold).filter(move |found| !is_outdated(found))
    }
}

/// A case that a probe has left in Testmo, or may have left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftCase {
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// The id of the case, if it is known.
    pub case: Option<u64>,
    /// A part of its name, which no other case has.
    pub name: String,
    /// Why it was left.
    pub why: String,
}

/// What was found about one assumption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The assumption.
    pub assumption: Assumption,
    /// Whether it holds.
    pub result: Found,
    /// What was observed. It names no host, no person, no case and none of its texts.
    pub observed: String,
}

/// Whether an assumption holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It does.
    Holds,
    /// It does not.
    DoesNotHold,
    /// It could not be seen.
    NotSeen,
}

/// What is assumed of a Testmo, as far as its documentation leaves it uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assumption {
    /// Answers have a `Date` that is close to this machine's clock.
    DateHeader,
    /// The times of creation are UTC.
    CreatedAtUtc,
    /// Lists of cases can be sorted by id.
    SortAccepted,
    /// Lists of cases come in the order that is asked for.
    ListOrder,
    /// A page has as many rows as are asked for, and pages do not overlap.
    ListPages,
    /// `folder_id` lists the cases of this folder alone.
    FolderFilter,
    /// `tags` lists cases with this tag alone, and all of them.
    TagFilter,
    /// Several tags list cases with any of them.
    TagFilterAny,
    /// Lists show the tags of cases.
    TagsListed,
    /// Ids ascend in the order in which cases are created.
    IdsAscend,
    /// The templates can be listed.
    TemplatesListed,
    /// The states can be listed.
    StatesListed,
    /// The fields can be listed.
    FieldsListed,
    /// Each field has a column and a kind.
    FieldKinds,
    /// A 429 says in `Retry-After` for how long.
    RetryAfter,
    /// The key's user may create cases.
    RightToCreate,
    /// A new case is listed at once.
    ListedAtOnce,
    /// Names stay as they are, except for blanks at their ends.
    NamesKept,
    /// Blanks at the ends of names are removed.
    NameEndsTrimmed,
    /// Text is shown as it was written.
    TextKept,
    /// HTML stays as it is, except for `&`.
    MarkupKept,
    /// Tags of 32 characters are accepted.
    TagLength,
    /// Capitals in tags become small letters.
    TagCase,
    /// Tags with blanks or dots are refused.
    TagCharacters,
    /// The key's user may edit cases.
    RightToEdit,
    /// The key's user may delete cases.
    RightToDelete,
}

impl Assumption {
    /// Returns its stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::DateHeader => "date_header",
            Self::CreatedAtUtc => "created_at_utc",
            Self::SortAccepted => "sort_accepted",
            Self::ListOrder => "list_order",
            Self::ListPages => "list_pages",
            Self::FolderFilter => "folder_filter",
            Self::TagFilter => "tag_filter",
            Self::TagFilterAny => "tag_filter_any",
            Self::TagsListed => "tags_listed",
            Self::IdsAscend => "ids_ascend",
            Self::TemplatesListed => "templates_listed",
            Self::StatesListed => "states_listed",
            Self::FieldsListed => "fields_listed",
            Self::FieldKinds => "field_kinds",
            Self::RetryAfter => "retry_after",
            Self::RightToCreate => "right_to_create",
            Self::ListedAtOnce => "listed_at_once",
            Self::NamesKept => "names_kept",
            Self::NameEndsTrimmed => "name_ends_trimmed",
            Self::TextKept => "text_kept",
            Self::MarkupKept => "markup_kept",
            Self::TagLength => "tag_length",
            Self::TagCase => "tag_case",
            Self::TagCharacters => "tag_characters",
            Self::RightToEdit => "right_to_edit",
            Self::RightToDelete => "right_to_delete",
        }
    }
}

impl Probe {
    /// Returns what is known after a probe: its own findings, and those of an earlier probe of the same version about what
    /// it did not see itself.
    pub fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before.filter(|before| before.version == self.version) else { return self };
        let earlier = |found: &Finding| {
            let seen = before.findings.iter().find(|earlier| earlier.assumption == found.assumption);
            seen.filter(|earlier| found.result == Found::NotSeen && earlier.result != Found::NotSeen).cloned()
        };
        let findings = self.findings.into_iter().map(|found| earlier(&found).unwrap_or(found)).collect();
        Self { findings, created_at: self.created_at.or(before.created_at), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::json_of;

    fn probe(version: &str, result: Found, created_at: Option<i64>) -> Probe {
        let findings = vec![Finding { assumption: Assumption::ListOrder, result, observed: format!("{result:?}") }];
        Probe { version: version.into(), created_at, findings, ..Probe::default() }
    }

    #[test]
    fn what_a_probe_did_not_see_stays_as_an_earlier_one_of_the_same_version_saw_it() {
        let earlier = probe("v1", Found::DoesNotHold, Some(5));
        for (now, found, created_at) in [
            (probe("v1", Found::NotSeen, None), Found::DoesNotHold, Some(5)),
            (probe("v1", Found::Holds, Some(7)), Found::Holds, Some(7)),
            (probe("v2", Found::NotSeen, None), Found::NotSeen, None),
        ] {
            let after = now.after(Some(&earlier));
            assert_eq!((after.findings[0].result, after.created_at), (found, created_at));
        }
    }

    #[test]
    fn the_word_of_an_assumption_is_the_one_that_is_stored() {
        for assumption in [Assumption::DateHeader, Assumption::TagFilterAny, Assumption::RightToDelete] {
            assert_eq!(json_of(&assumption), format!("\"{}\"", assumption.code()));
        }
    }
}
