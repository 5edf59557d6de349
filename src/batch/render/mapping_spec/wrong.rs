//! Says in words for people what is wrong with a mapping as it was written.

use serde_json::error::Category;

use crate::batch::message::not_valid;

/// The keys of a mapping, as docs/mapping.md lists them.
pub(super) const KEYS: &str = "template, template_id, gherkin_template, gherkin_template_id, state, state_id, format, steps, \
    preconditions, description, expected, gherkin, priority, origin_note, fixed, tags, rename_tags, batch_tag, estimate, \
    integration_id, connection_project_id, on_repeat, edits, retired, dropped";

/// Returns one sentence about an error of the parser, with the place that it was found at.
pub(super) fn described(path: &str, error: &serde_json::Error, is_empty: bool) -> String {
    if matches!(error.classify(), Category::Syntax | Category::Eof) {
        let fault = not_valid(error, is_empty);
        return format!("it {}: {}", fault.what, fault.remedy);
    }
    let said = error.to_string();
    // The place as the parser counts it is no help where the path names it.
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    let quoted = said.split('`').nth(1).unwrap_or_default();
    let of = |begin: &str| said.strip_prefix(begin).and_then(|rest| rest.split_once(", expected "));
    if said.starts_with("unknown field") {
        return match path.rsplit_once('.') {
            Some((above, _)) => {
                let keys = if above == "retired" { "state and folder" } else { "column, values and words" };
                format!("`{quoted}` is not a key of `{above}`: write {keys}")
            }
            None => format!("`{quoted}` is not a key of a mapping; the keys are {KEYS}"),
        };
    }
    if said.starts_with("duplicate field") {
        return format!("`{quoted}` is given twice, or also as `{quoted}_id`");
    }
    if said.starts_with("missing field") {
        return format!("`{path}` lacks `{quoted}`");
    }
    if let Some((found, expected)) = of("unknown variant ") {
        return format!("{found} in `{path}` is unknown: write {}", expected.trim_start_matches("one of "));
    }
    if let Some((found, expected)) = of("invalid type: ").or_else(|| of("invalid value: ")) {
        let expected = match expected {
            "a boolean" => "true or false",
            "a string" => "a text in double quotes",
            "u64" => "a whole number, without quotes",
            "a sequence" => "a list",
            "a map" | "struct MappingSpec" => "an object",
            "struct WrittenRetired" => "an object with state and folder",
            "struct WrittenPriority" => "an object with column and values",
            other => other,
        };
        let place = if path == "." { "a mapping" } else { &format!("`{path}`") };
        return format!("{place} has to be {expected}, not the {}", found.replacen("string ", "text ", 1));
    }
    format!("`{path}`: {said}")
}
