//! Does somebody really mean it? Asked on the terminal, before something cannot be taken back.

use std::io::{self, IsTerminal};

use super::failure::Failure;
use super::output::Output;

/// Asks whether to go on; where nobody can be asked, that has to be said with `--yes`.
pub(crate) fn confirm(out: &mut Output) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on", "give --yes to go on without being asked"));
    }
    out.text("Go on? Type yes: ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::from_output)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}
