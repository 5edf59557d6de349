//! `tenants set`: enters or changes a connection, and prints whether it works.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use testmo_courier::app::actor::Actor;
use testmo_courier::app::connections::set::{ConnectionInput, Expiry, Force, Prepared, Saved, discard_change, prepare};
use testmo_courier::app::connections::{
    ConnectionRow, MappingSpec, Status, StatusLight, Verification, connection, names, status,
};
use testmo_courier::app::time::day_of;
use testmo_courier::app::view::SavedView;
use testmo_courier::app::{AppContext, TenantId, read_day, store_now};

use super::super::confirm::confirm;
use super::super::failure::{Failure, option};
use super::super::open::context;
use super::super::output::{Output, visible};
use super::super::time_format::{expiry, is_far};
use super::api_key::KeySource;
use super::report::{print_consequence, print_finding, print_unfilled};

const EXAMPLES: &str = "\
The command asks for the API key without showing it; the key is never given on the command line. For an existing
connection, options that are left out keep their values. A new base URL requires the API key to be entered again.

A connection that was verified stays in force until what is entered works, too. Options that follow a change which does
not work add to it; with --discard-change they start from the connection in force. Whether the key's user may create cases
is not tried.

Examples:
  testmo-courier tenants set acme --base-url https://acme.testmo.net --project 3 --folder 428
  testmo-courier tenants set acme --folder 430
  testmo-courier tenants set acme --folder 430 --dry-run
  testmo-courier tenants set acme --mapping mapping.json
  testmo-courier tenants set acme --discard-change --folder 431
  testmo-courier tenants set acme --new-api-key --expires 2027-06-30
  testmo-courier tenants set acme --api-key-stdin < key.txt";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    tenant: TenantId,
    /// The base URL of the Testmo instance, such as `https://acme.testmo.net`; any address copied from there will do
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The id of the project
    #[arg(long, value_name = "ID", value_parser = id)]
    project: Option<u64>,
    /// The id of the folder in the project
    #[arg(long, value_name = "ID", value_parser = id)]
    folder: Option<u64>,
    /// The day on which the API key expires
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "no_expiry", value_parser = day)]
    expires: Option<Date>,
    /// The API key does not expire, or its expiration day is unknown
    #[arg(long)]
    no_expiry: bool,
    /// A JSON file that says how cases become Testmo's fields
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    key: KeySource,
    /// Do not ask whether a day more than 5 years away is right
    #[arg(long)]
    yes: bool,
    /// Verify the connection and print the result, but save nothing
    #[arg(long)]
    dry_run: bool,
    /// Drop the last change, which is not in force because it does not work; other options then start from what is in force
    #[arg(long)]
    discard_change: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(
    arguments: Arguments,
    files: &[PathBuf],
    actor: &Actor,
    out: &mut Output,
) -> Result<(), Failure> {
    let context = context(files).await?;
    if arguments.only_discards() {
        return discard(&context, actor, &arguments.tenant, out).await;
    }
    let (dry_run, json, yes) = (arguments.dry_run, arguments.json, arguments.yes);
    let tenant = arguments.tenant.clone();
    let (input, source) = arguments.input()?;
    let prepared = prepare(&context, input).await?;
    if let Some(day) = prepared.entered_expiry().filter(|_| !yes) {
        ask_if_far(day, day_of(store_now(&context.store)), json, out)?;
    }
    if !json {
        print_unused_ids(&prepared, out)?;
        print_similar(&prepared, &tenant, out)?;
        print_carried(&prepared, out)?;
    }
    let key = prepared.key_needed().map(|needed| source.read(&needed.to_string())).transpose()?;
    let saved = if dry_run {
        prepared.try_out(&context, actor, key).await?
    } else {
        prepared.save(&context, actor, key).await?
    };
    let (status, now) = (status(&context.store, &saved.row).await?, store_now(&context.store));
    if json {
        out.json(&SavedView::of(&saved, &status, now))?;
    } else {
        print(&saved, &status, now, out)?;
    }
    let works = matches!(saved.finding, Verification::Works { .. }) && status.light != StatusLight::Red;
    if works { Ok(()) } else { Err(Failure::Printed) }
}

/// Asks whether a day is right that is so far away that the year is probably mistyped.
fn ask_if_far(day: Date, today: Date, json: bool, out: &mut Output) -> Result<(), Failure> {
    let day = day.to_string();
    if !is_far(&day, today) {
        return Ok(());
    }
    let what = format!("The API key would expire on {}.", expiry(&day, today));
    if json || !io::stdin().is_terminal() {
        return Err(Failure::usage(what, "check the year; add --yes if it is right"));
    }
    out.line(what)?;
    if confirm(out)? { Ok(()) } else { Err(Failure::finding("Cancelled; nothing was saved.", "enter another day")) }
}

/// Prints which ids a copied address names that are not used.
fn print_unused_ids(prepared: &Prepared, out: &mut Output) -> Result<(), Failure> {
    prepared.unused_ids().iter().try_for_each(|(part, named, used)| {
        let (option, what) = (option(*part), part.words());
        out.line(format_args!(
            "note: the address names {what} {named}, but {what} {used} is used. To use {named}, enter {option} {named}."
        ))
    })
}

/// Prints that a tenant which is new has almost the name of another one.
fn print_similar(prepared: &Prepared, tenant: &TenantId, out: &mut Output) -> Result<(), Failure> {
    let Some(similar) = prepared.similar() else { return Ok(()) };
    out.line(format_args!("note: {tenant} is new; there is also a tenant {similar}."))
}

/// Prints what of the last change, which is not in force, is part of this one.
fn print_carried(prepared: &Prepared, out: &mut Output) -> Result<(), Failure> {
    if prepared.carried().is_empty() {
        return Ok(());
    }
    let carried: Vec<String> = prepared.carried().iter().map(ToString::to_string).collect();
    let carried = carried.join(", ");
    out.line(format_args!(
        "note: the last change is not in force, and these parts of it belong to this change, too: {}.",
        visible(&carried)
    ))?;
    out.line("      → To leave them out, run the command again with --discard-change.")
}

async fn discard(context: &AppContext, actor: &Actor, tenant: &TenantId, out: &mut Output) -> Result<(), Failure> {
    let row = connection(&context.store, tenant).await?;
    out.line(if discard_change(context, actor, &row).await? {
        "Dropped the last change; the connection in force stays as it is."
    } else {
        "Nothing was dropped: the last change is in force."
    })
}

fn print(saved: &Saved, status: &Status, now: i64, out: &mut Output) -> Result<(), Failure> {
    let Saved { row, force, finding, unfilled, .. } = saved;
    print_finding(row, status, finding, out)?;
    print_unfilled(unfilled, out)?;
    if let (Some(day), true) = (&row.expires_on, *force != Force::BesideVerified) {
        out.line(format_args!("       the API key expires on {}", expiry(day, day_of(now))))?;
    }
    if saved.dropped_expiry && *force == Force::InForce {
        out.line(
            "       The former key's expiration date does not apply to the new key: enter its own with --expires.",
        )?;
    }
    if saved.replaced_key && saved.is_saved {
        out.line("       Revoke API keys that are no longer used: in Testmo's user profile, or in the Admin panel.")?;
    }
    match force {
        Force::BesideVerified if saved.is_saved => print_beside(row, out)?,
        Force::Unverified if saved.is_saved => print_consequence(row, finding, "Saved, but not working yet. ", out)?,
        Force::InForce if saved.is_saved => print_consequence(row, finding, "", out)?,
        Force::InForce | Force::BesideVerified | Force::Unverified => {}
    }
    if saved.is_saved { Ok(()) } else { out.line("       Nothing was saved (--dry-run).") }
}

/// Prints which connection is used while the one that was entered is not.
fn print_beside(row: &ConnectionRow, out: &mut Output) -> Result<(), Failure> {
    let (tenant, (project, folder)) = (&row.tenant, names(row));
    let (project, folder) = (visible(&project).into_owned(), visible(&folder).into_owned());
    out.line(format_args!(
        "       Saved, but not in force: the connection that was verified before stays in force, and batches are sent to \
         project {project}, folder {folder}."
    ))?;
    out.line(format_args!(
        "       → Correct the change, or drop it with `testmo-courier tenants set {tenant} --discard-change`. A change \
         that works later is put in force by `testmo-courier tenants verify {tenant}`. Further options add to this change; \
         with --discard-change they replace it."
    ))
}

impl Arguments {
    /// Whether nothing is entered, so that the connection in force is not verified either.
    fn only_discards(&self) -> bool {
        let Self { base_url, project, folder, expires, no_expiry, mapping, key, dry_run, json, .. } = self;
        let enters = base_url.is_some() || project.is_some() || folder.is_some() || mapping.is_some();
        let enters = enters || expires.is_some() || *no_expiry || key.is_given();
        self.discard_change && !enters && !dry_run && !json
    }

    fn input(self) -> Result<(ConnectionInput, KeySource), Failure> {
        let expires = match self.expires {
            _ if self.no_expiry => Expiry::None,
            Some(day) => Expiry::On(day),
            None => Expiry::Kept,
        };
        let input = ConnectionInput {
            tenant: self.tenant,
            base_url: self.base_url,
            project: self.project,
            folder: self.folder,
            expires,
            mapping: self.mapping.as_deref().map(mapping).transpose()?,
            new_api_key: self.key.is_given(),
            discard_change: self.discard_change,
            source: None,
        };
        Ok((input, self.key))
    }
}

/// Reads the day on which a key expires, and answers to a word in its place with the flag that is meant.
fn day(text: &str) -> Result<Date, String> {
    if ["", "-", "never", "no", "none"].contains(&text.trim().to_ascii_lowercase().as_str()) {
        return Err("enter --no-expiry in its place if the key does not expire, or nobody knows when".into());
    }
    read_day(text)
}

/// Reads the id of a project or folder.
pub(super) fn id(text: &str) -> Result<u64, String> {
    let wanted = "write the number that Testmo shows in the address of its page, such as 428";
    text.trim().parse().ok().filter(|id| *id > 0).ok_or_else(|| wanted.to_owned())
}

fn mapping(file: &Path) -> Result<MappingSpec, Failure> {
    let wrong = |why: String| Failure::usage(format!("the mapping in {} cannot be used", file.display()), why);
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    MappingSpec::from_json(&text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_and_blanks_around_it_do_not_matter() {
        assert_eq!((id("428"), id(" 3 ")), (Ok(428), Ok(3)));
        for wrong in ["0", "-1", "Shop", "", "https://acme.testmo.net/projects/view/3"] {
            assert!(id(wrong).unwrap_err().contains("such as 428"), "{wrong}");
        }
    }

    #[test]
    fn a_word_in_place_of_a_day_is_answered_with_the_flag_that_is_meant() {
        for word in ["never", "None", " no ", "-", ""] {
            assert!(day(word).unwrap_err().contains("--no-expiry"), "{word}");
        }
        assert!(day("soon").unwrap_err().contains("2027-12-31"));
        assert_eq!(day("2027-12-31").unwrap().to_string(), "2027-12-31");
    }
}
