//! Words what there is to know of a connection for people who read pages.

use crate::app::Reason;

/// Returns remarks with the title of a reason in place of the code that a remark begins with.
pub(super) fn worded(remarks: &[String]) -> Vec<String> {
    remarks.iter().map(|remark| with_title(remark)).collect()
}

fn with_title(remark: &str) -> String {
    let Some((code, rest)) = remark.split_once(": ") else { return remark.to_owned() };
    match Reason::ALL.iter().find(|reason| reason.code() == code) {
        Some(reason) => format!("{}: {rest}", reason.title()),
        None => remark.to_owned(),
    }
}

/// Divides a remark into what is a command, between backticks, and what is not.
pub(super) fn parts(remark: &str) -> Vec<(bool, &str)> {
    if remark.matches('`').count() % 2 == 1 {
        return vec![(false, remark)];
    }
    let parts = remark.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part));
    parts.filter(|(_, part)| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_is_between_backticks() {
        assert_eq!(parts("1 waits: `a b`"), [(false, "1 waits: "), (true, "a b")]);
        assert_eq!(parts("`a` or `b`."), [(true, "a"), (false, " or "), (true, "b"), (false, ".")]);
        for whole in ["no command", "it`s one"] {
            assert_eq!(parts(whole), [(false, whole)]);
        }
    }

    #[test]
    fn a_remark_begins_with_a_title_in_place_of_a_code() {
        let remarks = ["key_refused: Testmo answered 401 Unauthorized", "Testmo: is slow", "expires today"];
        let worded = worded(&remarks.map(str::to_owned));
        assert_eq!(worded, ["API key refused: Testmo answered 401 Unauthorized", "Testmo: is slow", "expires today"]);
    }
}
