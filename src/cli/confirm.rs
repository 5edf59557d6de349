//! Asks on the terminal for confirmation before something that cannot be undone, and for the reason.

use std::io::{self, IsTerminal};

use super::failure::Failure;
use super::output::Output;

/// Asks whether to go on. Without a terminal the command needs `--yes`.
pub(crate) fn confirm(out: &mut Output) -> Result<bool, Failure> {
    if !can_ask() {
        return Err(Failure::usage(
            "cannot ask for confirmation because this is not a terminal",
            "add --yes to go on without confirmation",
        ));
    }
    out.text("Continue? Type yes: ")?;
    Ok(["y", "yes"].contains(&answer()?.to_ascii_lowercase().as_str()))
}

/// Asks whether to go on, unless the person has agreed beforehand with `--yes`; `kept` says what stays as it is otherwise.
pub(crate) fn agree(yes: bool, kept: &str, out: &mut Output) -> Result<(), Failure> {
    if yes || confirm(out)? {
        return Ok(());
    }
    Err(Failure::finding(format!("Cancelled; {kept}."), "Type yes, or add --yes, to go on."))
}

/// Returns whether there is a person to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks for the reason of what the command does.
pub(crate) fn ask_why(out: &mut Output) -> Result<String, Failure> {
    out.text("Why? The audit keeps your answer: ")?;
    answer()
}

fn answer() -> Result<String, Failure> {
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::from_output)?;
    Ok(answer.trim().to_owned())
}
