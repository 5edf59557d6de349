//! Compares the limits in the documentation with those in the code.

use testmo_courier::batch::message::{
    MAX_CASES, MAX_EXTERNAL_ID, MAX_FIELDS, MAX_FOLDERS, MAX_NAME, MAX_SOURCE, MAX_STEPS, MAX_TAGS, MAX_WORD,
};

/// Writes a number as the documentation does.
fn grouped(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

#[test]
fn the_guide_for_generators_states_every_limit() {
    let guide = include_str!("../../../docs/publishing.md");
    let [word, tags] = [MAX_WORD, MAX_TAGS].map(grouped);
    for (key, limit) in [
        ("source", format!("at most {} characters", grouped(MAX_SOURCE))),
        ("folder_path", format!("at most {} of at most {word} characters", grouped(MAX_FOLDERS))),
        ("cases", format!("1 to {} cases", grouped(MAX_CASES))),
        ("name", format!("1 to {} characters", grouped(MAX_NAME))),
        ("external_id", format!("at most {} characters", grouped(MAX_EXTERNAL_ID))),
        ("steps", format!("at most {} of", grouped(MAX_STEPS))),
        ("priority", format!("at most {word} characters")),
        ("tags", format!("at most {tags} of at most {word} characters")),
        ("issues", format!("at most {tags} display ids such as `SHOP-142`, of at most {word} characters")),
        ("fields", format!("at most {} further custom fields", grouped(MAX_FIELDS))),
    ] {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        assert!(row.is_some_and(|row| row.contains(&limit)), "{key}: {limit}: {row:?}");
    }
}
