//! `config`: checks or shows the settings in force.

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::config;

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::settings;

const SHOW_EXAMPLES: &str = "\
The output is a configuration file to begin one of your own with. Passwords are shown as ***: put them in again,
or give the addresses that hold them in the environment, as AMQP_URL.

Examples:
  testmo-courier config show
  testmo-courier --config testmo-courier.toml config show";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say `ok`, or everything that is wrong with the settings
    Check,
    /// Print every setting in force with its meaning
    #[command(after_help = SHOW_EXAMPLES)]
    Show,
}

pub(super) fn execute(command: &Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    match command {
        Command::Check => out.line(out.paint(Colour::Green, "ok")),
        Command::Show => {
            let defaults = config::load(&config::Sources::default())?;
            out.text(&settings::annotated(config::DEFAULTS, &config, &defaults))
        }
    }
}
