//! `store copy`: moves the store to another place.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::backup::moving::move_store;
use testmo_courier::app::backup::place;
use testmo_courier::config::{Config, Sources, load};

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::open::configuration;
use super::super::output::Output;
use super::counts;

const EXAMPLES: &str = "\
Stop every worker first. The new store has to be empty or missing; both are compared at the end, and workers refuse the former
one from then on. Then set store.url to the new place and start the workers: nothing is looked up, and no key is entered again.
If the command is interrupted, run it again.

Examples:
  testmo-courier store copy --to postgres://courier@db:5432/courier --to-password-file /etc/testmo-courier/db-password
  testmo-courier store copy --to sqlite:/var/lib/testmo-courier/courier.db --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The new place, as in store.url: sqlite:FILE, or postgres://USER@HOST:5432/DATABASE
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file with the password for the new place
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Go on without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let from = configuration(files)?;
    let to = target(Sources::of_process(files.to_vec()), &arguments)?;
    out.line(format!("The store is moved from {} to {}.", place(&from), place(&to)))?;
    if !arguments.yes && !confirm(out)? {
        return Err(Failure::finding("Cancelled; nothing was moved.", "Type yes, or add --yes, to go on."));
    }
    let moved = move_store(&from, &to, actor, arguments.because.as_deref()).await?;
    out.line(format!("Moved {} rows; both stores have the same.", counts::total(&moved.tables)))?;
    counts::show(out, &moved.tables)?;
    out.line(format!(
        "Set store.url to {} and start the workers. Workers refuse {}, which is kept as it was.",
        moved.to, moved.from
    ))
}

/// Returns the configuration with another store: what names the present one does not count.
fn target(mut sources: Sources, arguments: &Arguments) -> Result<Config, Failure> {
    let password = arguments.to_password_file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let environment = &mut sources.environment;
    environment.retain(|name, _| !name.starts_with("DATABASE_URL"));
    for (name, value) in [
        ("COURIER_STORE__URL", arguments.to.clone()),
        ("COURIER_STORE__URL_FILE", String::new()),
        ("COURIER_STORE__PASSWORD", String::new()),
        ("COURIER_STORE__PASSWORD_FILE", password),
    ] {
        environment.insert(name.into(), value);
    }
    Ok(load(&sources)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_present_store_is_taken_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        let url = "postgres://courier@old:5432/courier";
        std::fs::write(&file, format!("[store]\nurl = \"{url}\"\npassword = \"former\"\n")).unwrap();
        for variable in ["DATABASE_URL", "COURIER_STORE__URL", "COURIER_STORE__PASSWORD"] {
            let environment = [(variable.to_owned(), url.to_owned())].into();
            let sources = Sources { files: vec![file.clone()], environment };
            let next = |to: &str| {
                let arguments = Arguments { to: to.into(), to_password_file: None, because: None, yes: true };
                target(sources.clone(), &arguments).unwrap().store.url
            };
            for to in ["sqlite:/var/lib/courier.db", "postgres://courier@new:5432/courier"] {
                assert_eq!(next(to), to, "{variable}");
            }
        }
    }
}
