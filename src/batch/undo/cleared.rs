//! Decides by its row whether people work with a case, and whether deleting it loses nothing of theirs.

use serde_json::{Map, Value};

use crate::batch::compared::{Edited, edited};

/// Says what people do with a case beside its fields, as far as the row shows it; `None` if nothing.
pub(super) fn in_use(shown: &Map<String, Value>) -> Option<String> {
    let count = |column: &str| shown.get(column).and_then(Value::as_array).map_or(0, Vec::len);
    if shown.get("status_id").is_some_and(|status| !status.is_null()) {
        return Some("it has a result".into());
    }
    if ["has_automation", "has_automation_status"].iter().any(|column| is_true(shown.get(*column)))
        || count("automation_links") > 0
    {
        return Some("it is linked to automated tests".into());
    }
    match count("comments") {
        0 => None,
        1 => Some("it has a comment".into()),
        count => Some(format!("it has {count} comments")),
    }
}

/// Returns whether a case that nobody uses can be deleted without losing anything of people: its comments, its history and its
/// automation links are shown, and hold nothing but its creation, and its times show that it was never edited.
pub(super) fn can_be_deleted(shown: &Map<String, Value>, times: Times) -> bool {
    let at_most = |column: &str, most: usize| {
        shown.get(column).and_then(Value::as_array).is_some_and(|entries| entries.len() <= most)
    };
    times.is_never_edited() && at_most("comments", 0) && at_most("automation_links", 0) && at_most("history", 1)
}

/// When a case was created and edited, in milliseconds since 1970, as its row shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When it was created.
    pub created_at: Option<i64>,
    /// When it was edited last.
    pub updated_at: Option<i64>,
}

impl Times {
    /// Returns whether the row shows that the case was never edited.
    pub(super) fn is_never_edited(self) -> bool {
        self.created_at.is_some() && edited(self.created_at, self.updated_at, None) == Edited::No
    }
}

fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || value.as_u64().is_some_and(|number| number > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::written::fixture::object;

    #[test]
    fn results_links_and_comments_show_that_people_use_a_case() {
        for (shown, expected) in [
            (json!({"status_id": null, "has_automation": false, "comments": []}), None),
            (json!({"has_automation": 0}), None),
            (json!({"status_id": 3}), Some("it has a result")),
            (json!({"has_automation": true}), Some("it is linked to automated tests")),
            (json!({"has_automation_status": 1}), Some("it is linked to automated tests")),
            (json!({"automation_links": [4]}), Some("it is linked to automated tests")),
            (json!({"comments": [1]}), Some("it has a comment")),
            (json!({"comments": [1, 2]}), Some("it has 2 comments")),
        ] {
            assert_eq!(in_use(&object(shown.clone())).as_deref(), expected, "{shown}");
        }
    }

    #[test]
    fn a_case_is_deleted_only_if_everything_that_would_be_lost_is_shown_and_empty() {
        let never = Times { created_at: Some(5), updated_at: None };
        let empty = json!({"comments": [], "automation_links": [], "history": []});
        let of = |shown: Value, times| can_be_deleted(&object(shown), times);
        assert!(of(empty.clone(), never));
        assert!(of(json!({"comments": [], "automation_links": [], "history": [1]}), never), "its creation");
        for column in ["comments", "automation_links", "history"] {
            let mut missing = empty.clone();
            missing.as_object_mut().unwrap().remove(column);
            assert!(!of(missing.clone(), never), "{column} is not shown");
            missing[column] = json!(null);
            assert!(!of(missing, never), "{column} cannot be read");
        }
        assert!(!of(json!({"comments": [], "automation_links": [], "history": [1, 2]}), never));
        assert!(!of(json!({"comments": [3], "automation_links": [], "history": []}), never));
        for times in [Times { created_at: Some(5), updated_at: Some(6) }, Times::default()] {
            assert!(!of(empty.clone(), times), "{times:?}");
        }
        assert!(of(empty, Times { created_at: Some(5), updated_at: Some(5) }));
    }
}
