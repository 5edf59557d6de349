//! `config`: checks or shows the settings in force.

use std::path::PathBuf;

use clap::Subcommand;
use testmo_courier::app::{MasterKeyFile, StoreFile, master_key_file, store_file};
use testmo_courier::config::{self, Config};

use super::failure::Failure;
use super::open::configuration;
use super::output::{Colour, Output};
use super::settings;

const NOT_CHECKED: &str = "\
not checked: the broker (`testmo-courier topology check`), what is in the store and whether the master key belongs to it
             (`testmo-courier tenants list`), and Testmo (`testmo-courier tenants verify TENANT`)";

const CHECK_NOTES: &str = "\
Checks every setting, and whether this user can use the master key's file and the store's file. The output says what was
not checked. The exit code is 0 if nothing was found, 1 if a worker could not start with these files, and 2 if a setting
or the content of the master key's file is wrong.";

const SHOW_EXAMPLES: &str = "\
The output is a complete configuration file that you can edit. Passwords are shown as ***: replace them, or set the
addresses that contain them in the environment, such as AMQP_URL.

Examples:
  testmo-courier config show
  testmo-courier --config testmo-courier.toml config show";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the settings, the master key's file and the store's file, and print every error
    #[command(after_help = CHECK_NOTES)]
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
            let (store, key) = (store_file(&config), master_key_file(&config));
            show_master_key(&config, &key, &ok, out)?;
            show_store(&store, &ok, out)?;
            out.line(NOT_CHECKED)?;
            refuse_unusable(&config, store, key)
        }
        Command::Show => {
            let defaults = config::load(&config::Sources::default())?;
            out.text(&settings::annotated(config::DEFAULTS, &config, &defaults))
        }
    }
}

/// Says whether a worker could use the master key.
fn show_master_key(config: &Config, key: &MasterKeyFile, ok: &str, out: &mut Output) -> Result<(), Failure> {
    let file = config.keys.master_key_file.display();
    match key {
        MasterKeyFile::Usable { remedy: None } => out.line(format!("{ok} {file} holds a master key")),
        MasterKeyFile::Usable { remedy: Some(remedy) } => {
            let open = out.paint(Colour::Amber, "open:");
            out.line(format!("{open} other users of this machine can read or change {file}\n  run `{remedy}`"))
        }
        MasterKeyFile::Missing => {
            let missing = out.paint(Colour::Red, "missing:");
            out.line(format!("{missing} there is no master key at {file}"))
        }
        // Reported as the error that ends the command.
        MasterKeyFile::Unusable(_) => Ok(()),
    }
}

/// Says whether a worker could use the store's file.
fn show_store(store: &StoreFile, ok: &str, out: &mut Output) -> Result<(), Failure> {
    let missing = out.paint(Colour::Red, "missing:");
    match store {
        StoreFile::Usable(file) => {
            out.line(format!("{ok} this user can read and write the store's file {}", file.display()))
        }
        StoreFile::Server => out.line("not checked: the database of the store, which is on a server"),
        StoreFile::NoFolder { folder, .. } => {
            out.line(format!("{missing} the folder {} of the store does not exist", folder.display()))
        }
        StoreFile::Missing(file) => out.line(format!("{missing} there is no store at {}", file.display())),
        // Reported as the error that ends the command.
        StoreFile::FolderUnusable(_) => Ok(()),
        StoreFile::Unusable(file, error) => {
            let wrong = out.paint(Colour::Red, "unusable:");
            out.line(format!("{wrong} the store's file {} cannot be read and written ({error})", file.display()))
        }
    }
}

/// Ends with the first error that keeps a worker from starting, and its remedy.
fn refuse_unusable(config: &Config, store: StoreFile, key: MasterKeyFile) -> Result<(), Failure> {
    let no_key = matches!(key, MasterKeyFile::Missing);
    if let MasterKeyFile::Unusable(error) = key {
        return Err(error.into());
    }
    let key_file = config.keys.master_key_file.display();
    match store {
        StoreFile::NoFolder { folder, .. } => Err(Failure::finding(
            format!("the folder {} does not exist", folder.display()),
            "create the folder, then run `testmo-courier init`; or check store.url",
        )),
        StoreFile::FolderUnusable(error) => Err(error.into()),
        StoreFile::Unusable(file, error) => Err(Failure::finding(
            format!("{} cannot be read and written ({error})", file.display()),
            "run the command as the worker's user, make this user the owner of the file, or check store.url",
        )),
        StoreFile::Missing(_) if no_key => Err(Failure::finding(
            "there is neither a store nor a master key",
            "run `testmo-courier init`, which creates both; or check store.url and keys.master_key_file",
        )),
        StoreFile::Missing(file) => Err(Failure::finding(
            format!("there is no store at {}", file.display()),
            "put the store of this master key back, or check store.url; `testmo-courier init --new-store` creates an \
             empty store",
        )),
        StoreFile::Usable(_) if no_key => Err(Failure::finding(
            format!("there is no master key at {key_file}, and the store exists"),
            "restore the file that `testmo-courier init` created, or check keys.master_key_file",
        )),
        StoreFile::Server if no_key => Err(Failure::finding(
            format!("there is no master key at {key_file}"),
            "run `testmo-courier init`, or, if the store exists, restore the file that `init` created then",
        )),
        StoreFile::Usable(_) | StoreFile::Server => Ok(()),
    }
}
