//! Finds the present name of a command or flag that was renamed before the first release.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};

/// Former flags, each with its present name.
const FLAGS: [(&str, &str); 4] = [
    ("--no-colour", "--no-color"),
    ("--key-file", "--api-key-file"),
    ("--key-stdin", "--api-key-stdin"),
    ("--new-key", "--new-api-key"),
];

/// Former commands as two words, each with its present name.
const COMMANDS: [([&str; 2], &str); 1] = [(["lanes", "orders"], "lanes overrides")];

/// Returns the former and the present name of the flag or command that clap did not accept.
pub(super) fn present_name(error: &clap::Error, arguments: &[OsString]) -> Option<(String, &'static str)> {
    let unknown = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand].into_iter().find_map(|kind| {
        let Some(ContextValue::String(text)) = error.get(kind) else { return None };
        text.split('=').next()
    })?;
    if let Some((former, present)) = FLAGS.iter().find(|(former, _)| *former == unknown) {
        return Some(((*former).to_owned(), present));
    }
    let is_given = |words: &[&str; 2]| arguments.windows(2).any(|pair| pair == words.map(OsStr::new));
    let (former, present) = COMMANDS.iter().find(|(words, _)| words[1] == unknown && is_given(words))?;
    Some((former.join(" "), present))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn present(arguments: &[&str]) -> Option<(String, &'static str)> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        present_name(&Cli::try_parse_from(&arguments).unwrap_err(), &arguments)
    }

    #[test]
    fn every_former_flag_and_command_is_refused_with_its_present_name() {
        let help = Cli::command().render_long_help().to_string();
        for (former, name) in FLAGS {
            let renamed = present(&["testmo-courier", "tenants", "set", "acme", former]);
            assert_eq!(renamed, Some((former.to_owned(), name)));
            assert!(!help.contains(former));
        }
        assert_eq!(present(&["testmo-courier", "tenants", "set", "acme", "--key-file=k"]).unwrap().1, "--api-key-file");
        for (words, name) in COMMANDS {
            assert_eq!(present(&["testmo-courier", words[0], words[1]]), Some((words.join(" "), name)));
        }
    }

    #[test]
    fn other_mistakes_have_no_present_name() {
        assert_eq!(present(&["testmo-courier", "tenants", "set", "acme", "--keys"]), None);
        assert_eq!(present(&["testmo-courier", "batches", "orders"]), None);
        assert_eq!(present(&["testmo-courier", "tenants"]), None);
    }
}
