//! Decides which tags a case has after a later generation: those of people stay.

use crate::batch::is_batch_tag;
use crate::batch::written::WrittenFields;

/// Returns the tags that a case is to have, or `None` if the generator's own tags are as they were, or if it is not known
/// which ones they were.
///
/// They are the tags that Testmo shows, without those that were written before, with those of now.
pub(super) fn tags_now(wanted: &[&str], written: &WrittenFields, shown: &[&str]) -> Option<Vec<String>> {
    let (of_batch, own): (Vec<&str>, Vec<&str>) = wanted.iter().partition(|tag| is_batch_tag(tag));
    let is_same = written.tag_count()? == own.len() && own.iter().all(|tag| written.has_tag(tag));
    if is_same {
        return None;
    }
    let of_people = shown.iter().filter(|tag| !written.has_tag(tag) && !written.is_batch_tag(tag));
    let mut tags: Vec<String> = of_people.chain(&own).chain(&of_batch).map(|tag| tag.to_lowercase()).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut present: Vec<String> = shown.iter().map(|tag| tag.to_lowercase()).collect();
    present.sort_unstable();
    (tags != present).then_some(tags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIRST: &str = "sqai-0123456789ab";
    const SECOND: &str = "sqai-ba9876543210";

    #[test]
    fn the_tags_of_people_stay_and_ours_are_exchanged() {
        let written = WrittenFields::of_entry(&json!({"name": "a", "tags": ["x", "y", FIRST]}).to_string(), 7);
        type Line<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>);
        let table: [Line<'_>; 6] = [
            (&["x", "y", SECOND], &["x", "y", FIRST], None),
            (&["Y", "x"], &["mine"], None),
            (&["x", "z", SECOND], &["x", "y", "mine", FIRST], Some(&["mine", SECOND, "x", "z"])),
            (&["x", SECOND], &["mine"], Some(&["mine", SECOND, "x"])),
            (&[], &["X", "Y", FIRST], Some(&[])),
            (&["x", "z"], &["x", "z"], None),
        ];
        for (wanted, shown, expected) in table {
            let expected = expected.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
            assert_eq!(tags_now(wanted, &written, shown), expected, "{wanted:?} {shown:?}");
        }
    }

    #[test]
    fn of_a_case_whose_tags_were_not_kept_none_is_changed() {
        let unknown = WrittenFields::from_bytes(Vec::new(), 2).unwrap();
        assert_eq!(tags_now(&["x"], &unknown, &["y"]), None);
    }
}
