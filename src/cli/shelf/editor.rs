//! Opens a person's editor.

use std::path::Path;
use std::process::Command;

use testmo_courier::config::Sources;

use super::super::confirm::can_ask;
use super::super::failure::Failure;

/// The variables that name a person's editor, the first one first.
const EDITORS: [&str; 2] = ["VISUAL", "EDITOR"];

/// The editor where no variable names one.
const USUAL: &str = "vi";

/// Returns the command of the editor.
pub(super) fn editor() -> Result<String, Failure> {
    let environment = Sources::of_process(Vec::new()).environment;
    let named = EDITORS.iter().filter_map(|name| environment.get(*name)).find(|command| !command.trim().is_empty());
    match named {
        Some(command) => Ok(command.clone()),
        None if can_ask() => Ok(USUAL.to_owned()),
        None => Err(Failure::usage(
            "cannot open an editor because this is not a terminal",
            "give the edited message with --file FILE, one change with --set FIELD=VALUE, or an editor in $EDITOR",
        )),
    }
}

/// Opens a file in the editor, and waits until the editor ends. The command may have options, as in shells.
pub(super) fn edit(editor: &str, file: &Path) -> Result<(), Failure> {
    let script = format!("{editor} \"$1\"");
    let ended = Command::new("sh").arg("-c").arg(script).arg("sh").arg(file).status();
    let kept = || format!("nothing was stored, and the draft is in {}", file.display());
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::finding(format!("the editor `{editor}` ended with {status}"), kept())),
        Err(error) => Err(Failure::finding(format!("the editor `{editor}` cannot be started ({error})"), kept())),
    }
}
