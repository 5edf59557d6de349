//! Asks for confirmation on the terminal before something that cannot be undone.

use std::io::{self, IsTerminal};

use super::failure::Failure;
use super::output::Output;

/// Asks whether to go on. Without a terminal the command needs `--yes`.
pub(crate) fn confirm(out: &mut Output) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "cannot ask for confirmation because this is not a terminal",
            "add --yes to go on without confirmation",
        ));
    }
    out.text("Continue? Type yes: ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::from_output)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
