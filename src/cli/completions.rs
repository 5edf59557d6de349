//! `completions`: prints what has a shell complete commands and options.

use clap::{Args, Command, ValueEnum};
use clap_complete::aot::{Bash, Fish, Generator, Zsh, generate};

use super::failure::Failure;
use super::output::Output;

const EXAMPLES: &str = "\
The output is a script for the shell. Write it to a place from which the shell reads completions, and start a new shell.

Examples:
  testmo-courier completions bash > /etc/bash_completion.d/testmo-courier
  testmo-courier completions zsh > /usr/local/share/zsh/site-functions/_testmo-courier
  testmo-courier completions fish > ~/.config/fish/completions/testmo-courier.fish";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

/// A shell that completes commands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for the whole command line.
pub(super) fn execute(arguments: &Arguments, program: Command, out: &mut Output) -> Result<(), Failure> {
    out.text(&match arguments.shell {
        // The generator takes the hyphen in the program's name once for one and once for the start of a command.
        Shell::Bash => script(Bash, program).replace("testmo__subcmd__courier", "testmo__courier"),
        Shell::Zsh => script(Zsh, program),
        Shell::Fish => script(Fish, program),
    })
}

fn script(shell: impl Generator, mut program: Command) -> String {
    let mut script = Vec::new();
    generate(shell, &mut program, "testmo-courier", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
