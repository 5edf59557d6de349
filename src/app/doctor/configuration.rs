//! Decides what there is to say of the settings.

use super::finding::{Check, Finding};
use crate::config::ConfigError;

/// Decides about mistakes in the settings, and about variables that look like settings and are none.
pub(super) fn findings(mistakes: Option<&ConfigError>, ignored: &[String]) -> Vec<Finding> {
    let mistakes = mistakes.map_or(&[][..], |error| &error.0).iter().map(|mistake| {
        Finding::error(Check::Configuration, mistake, "Correct the setting where it is made.")
            .with("testmo-courier config check")
    });
    let ignored = (!ignored.is_empty()).then(|| {
        let sentence = format!("Variables that are no settings are ignored: {}.", ignored.join(", "));
        let remedy = "Remove or rename them: a setting is named COURIER_<SECTION>__<KEY>.";
        Finding::warning(Check::Configuration, sentence, remedy).with("testmo-courier config show")
    });
    mistakes.chain(ignored).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_is_an_error_and_what_is_ignored_a_warning() {
        assert_eq!(findings(None, &[]), []);
        let error = ConfigError(vec!["`a` is wrong".into(), "`b` is wrong".into()]);
        let found = findings(Some(&error), &["COURIER_X".into()]);
        let seen: Vec<_> = found.iter().map(|finding| (finding.severity.name(), finding.sentence.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("error", "`a` is wrong."),
                ("error", "`b` is wrong."),
                ("warning", "Variables that are no settings are ignored: COURIER_X.")
            ]
        );
    }
}
