//! `config`: checks or shows the settings in force.

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::{MasterKeyFile, master_key_file};
use testmo_courier::config::{self, Config};

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::settings;

const NOT_CHECKED: &str = "\
not checked: the broker (`testmo-courier topology check`), the store and whether the master key belongs to it
             (`testmo-courier tenants list`), and Testmo (`testmo-courier tenants verify TENANT`)";

const SHOW_EXAMPLES: &str = "\
The output is a complete configuration file that you can edit. Passwords are shown as ***: replace them, or set the
addresses that contain them in the environment, such as AMQP_URL.

Examples:
  testmo-courier config show
  testmo-courier --config testmo-courier.toml config show";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings and the master key's file, and print every error
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
            let ok = out.paint(Colour::Green, "ok:");
            out.line(format!("{ok} every setting is valid"))?;
            check_master_key(&config, &ok, out)?;
            out.line(NOT_CHECKED)
        }
        Command::Show => {
            let defaults = config::load(&config::Sources::default())?;
            out.text(&settings::annotated(config::DEFAULTS, &config, &defaults))
        }
    }
}

/// Says whether a worker could use the master key.
fn check_master_key(config: &Config, ok: &str, out: &mut Output) -> Result<(), Failure> {
    let file = config.keys.master_key_file.display();
    match master_key_file(config) {
        MasterKeyFile::Usable { remedy: None } => out.line(format!("{ok} {file} holds a master key")),
        MasterKeyFile::Usable { remedy: Some(remedy) } => {
            let open = out.paint(Colour::Amber, "open:");
            out.line(format!("{open} other users of this machine can read or change {file}\n  run `{remedy}`"))
        }
        MasterKeyFile::Missing => {
            let missing = out.paint(Colour::Amber, "missing:");
            out.line(format!("{missing} there is no master key at {file} yet\n  run `testmo-courier init`"))
        }
        MasterKeyFile::Unusable(error) => Err(error.into()),
    }
}
