//! `config`: checks or shows the settings in force.

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::config;

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::settings;

const SHOW_EXAMPLES: &str = "\
The output is a complete configuration file that you can edit. Passwords are shown as ***: replace them, or set the
addresses that contain them in the environment, such as AMQP_URL.

Examples:
  testmo-courier config show
  testmo-courier --config testmo-courier.toml config show";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print `ok`, or every error in the settings
    Check,
    /// Print every setting with its value and meaning
    #[command(after_help = SHOW_EXAMPLES)]
    Show,
}

pub(super) fn execute(command: &Command, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let config = configuration(files)?;
    match command {
        Command::Check => {
            let ignored = config::Sources::of_process(Vec::new()).ignored();
            if !ignored.is_empty() {
                let names = ignored.join(", ");
                out.line(format!("ignored, because a setting is named COURIER_<SECTION>__<KEY>: {names}"))?;
            }
            out.line(out.paint(Colour::Green, "ok"))
        }
        Command::Show => {
            let defaults = config::load(&config::Sources::default())?;
            out.text(&settings::annotated(config::DEFAULTS, &config, &defaults))
        }
    }
}
