//! Defines what taking back a case can mean.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::intent::Intent;

/// What a person has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoKind {
    /// What a batch did is taken back.
    Undo,
    /// What an undo did is taken back.
    Restore,
    /// Rows that requests created late are removed.
    Duplicates,
}

/// How cases are retired: at least one part is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// The state that a retired case gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_id: Option<u64>,
    /// The folder that a retired case is moved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_id: Option<u64>,
}

/// What a person wants done with cases that nobody touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct How {
    /// How they are retired, if the mapping says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// Whether they are deleted where that is safe.
    #[serde(default)]
    pub deletes: bool,
}

/// What is to be done with a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: it is as it is to be.
    Done,
    /// Nothing: it is left as it is.
    Leave(Left),
    /// It is changed or deleted.
    Write(Box<Intent>),
}

/// Why a case is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "what")]
pub enum Left {
    /// A person has edited these columns, or may have.
    Edited(Vec<String>),
    /// A person has moved it to another folder.
    Moved,
    /// A person has worked on it: it has results, links or comments that are not ours. What was seen.
    InUse(String),
    /// A later batch has written it.
    Later,
    /// It is not remembered what was written of it, and its row does not show that nobody edited it.
    NotRemembered,
    /// It is not in the project any more, or what is found there is not recognized as it.
    NotFound,
    /// Its former content is no longer kept.
    NotKept,
    /// A field that every request has to fill is not shown: its column.
    Unreadable(String),
    /// The mapping does not say how cases are retired, and it cannot be deleted safely.
    NoWay,
    /// Testmo refused the request. What it said.
    Refused(String),
    /// Its request had an unknown outcome when the batch was delivered, so it is not known whether it is in Testmo.
    Unclear,
    /// It is the only row of its case that is left.
    OnlyOne,
    /// It went to another account or project than the tenant's present one.
    Elsewhere,
    /// It was deleted, so that nothing can be brought back.
    Deleted,
}

impl Left {
    /// Returns whether a later try would leave it, too: it is left to people, or gone.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Edited(_) | Self::Moved | Self::InUse(_) | Self::NotFound | Self::Deleted => true,
            Self::Later
            | Self::NotRemembered
            | Self::NotKept
            | Self::Unreadable(_)
            | Self::NoWay
            | Self::Refused(_)
            | Self::Unclear
            | Self::OnlyOne
            | Self::Elsewhere => false,
        }
    }
}

impl UndoKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Undo, Self::Restore, Self::Duplicates];

    /// Returns the word that is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Restore => "restore",
            Self::Duplicates => "duplicates",
        }
    }
}

impl FromStr for UndoKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("`{text}` is no kind of an undo"))
    }
}

impl Retired {
    /// Returns the fields that a request sets, or `None` if no part is given.
    pub fn fields(&self) -> Option<Map<String, Value>> {
        let parts = [("state_id", self.state_id), ("folder_id", self.folder_id)];
        let fields: Map<String, Value> =
            parts.into_iter().filter_map(|(column, id)| Some((column.to_owned(), id?.into()))).collect();
        (!fields.is_empty()).then_some(fields)
    }
}

impl Left {
    /// Returns the word in events and on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Edited(_) => "edited",
            Self::Moved => "moved",
            Self::InUse(_) => "in_use",
            Self::Later => "later_batch",
            Self::NotRemembered => "not_remembered",
            Self::NotFound => "not_found",
            Self::NotKept => "former_content_not_kept",
            Self::Unreadable(_) => "cannot_be_updated",
            Self::NoWay => "no_retired_state",
            Self::Refused(_) => "refused",
            Self::Unclear => "unclear",
            Self::OnlyOne => "only_one",
            Self::Elsewhere => "elsewhere",
            Self::Deleted => "deleted",
        }
    }

    /// Returns the reason as a sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Edited(columns) if columns.is_empty() => "A person may have edited it.".into(),
            Self::Edited(columns) => format!("A person has edited {}, or may have.", columns.join(", ")),
            Self::Moved => "A person has moved it to another folder.".into(),
            Self::InUse(what) => format!("People work with it: {what}."),
            Self::Later => "A later batch has it, too: undo that one first.".into(),
            Self::NotRemembered => {
                "What was written of it is not remembered, and Testmo does not show that nobody edited it.".into()
            }
            Self::NotFound => "It is not found in the project, or what is found is not recognized as it.".into(),
            Self::NotKept => "What it was before is no longer kept.".into(),
            Self::Unreadable(column) => {
                format!("Every request has to fill {column}, and Testmo does not show what it holds.")
            }
            Self::NoWay => {
                "The mapping does not say how a case is retired: enter `retired` with a state or a folder.".into()
            }
            Self::Refused(said) => format!("Testmo refused to change it: {said}"),
            Self::Unclear => "It may be in Testmo: the outcome of its request is unknown.".into(),
            Self::Elsewhere => "It went to another account or project than the present one of the tenant.".into(),
            Self::Deleted => {
                "It was deleted: publish the batch again under another batch_id to have it created again.".into()
            }
            Self::OnlyOne => "The other row of this case is not found, so this one is kept.".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_has_a_word_and_a_sentence_of_its_own_and_is_read_back() {
        let all = [
            Left::Edited(vec!["name".into()]),
            Left::Moved,
            Left::InUse("1 comment".into()),
            Left::Later,
            Left::NotRemembered,
            Left::NotFound,
            Left::NotKept,
            Left::Unreadable("custom_a".into()),
            Left::NoWay,
            Left::Refused("no".into()),
            Left::Unclear,
            Left::OnlyOne,
            Left::Elsewhere,
            Left::Deleted,
        ];
        let words: BTreeSet<&str> = all.iter().map(Left::word).collect();
        let sentences: BTreeSet<String> = all.iter().map(Left::sentence).collect();
        assert_eq!((words.len(), sentences.len()), (all.len(), all.len()));
        for left in all {
            let text = serde_json::to_string(&left).unwrap();
            assert_eq!(serde_json::from_str::<Left>(&text).unwrap(), left, "{text}");
        }
    }

    #[test]
    fn a_way_to_retire_has_a_state_or_a_folder() {
        let fields = |state_id, folder_id| Retired { state_id, folder_id }.fields().map(Value::Object);
        assert_eq!(fields(Some(5), None), Some(json!({"state_id": 5})));
        assert_eq!(fields(Some(5), Some(7)), Some(json!({"state_id": 5, "folder_id": 7})));
        assert_eq!(fields(None, None), None);
    }

    #[test]
    fn a_kind_is_read_by_its_word() {
        for kind in UndoKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("do".parse::<UndoKind>().is_err());
    }
}
