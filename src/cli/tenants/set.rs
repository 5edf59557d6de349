//! `tenants set`: enters or changes a connection, and prints whether it works.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use testmo_courier::app::connections::MappingSpec;
use testmo_courier::app::connections::set::{ConnectionInput, Expiry, prepare};
use testmo_courier::app::time::day_of;
use testmo_courier::app::{TenantId, store_now};

use super::super::failure::Failure;
use super::super::open::context;
use super::super::output::Output;
use super::super::time_format::expiry;
use super::api_key::KeySource;
use super::verify::{print_consequence, print_finding, print_unfilled};

const EXAMPLES: &str = "\
The command asks for the API key without showing it; the key is never given on the command line. For an existing
connection, options that are left out keep their values. A new base URL requires the API key to be entered again.

Examples:
  testmo-courier tenants set acme --base-url https://acme.testmo.net --project 3 --folder 428
  testmo-courier tenants set acme --folder 430
  testmo-courier tenants set acme --mapping mapping.json
  testmo-courier tenants set acme --new-api-key --expires 2027-06-30
  testmo-courier tenants set acme --api-key-stdin < key.txt";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    tenant: TenantId,
    /// The base URL of the Testmo instance, such as `https://acme.testmo.net`
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The id of the project
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    project: Option<u64>,
    /// The id of the folder in the project
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    folder: Option<u64>,
    /// The day on which the API key expires
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "no_expiry")]
    expires: Option<Date>,
    /// The API key does not expire, or its expiration day is unknown
    #[arg(long)]
    no_expiry: bool,
    /// A JSON file that says how cases become Testmo's fields
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    key: KeySource,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let context = context(files).await?;
    let (input, source) = arguments.input()?;
    let prepared = prepare(&context, input).await?;
    let key = prepared.key_needed().map(|needed| source.read(&needed.to_string())).transpose()?;
    let saved = prepared.save(&context, key).await?;
    let works = print_finding(&saved.row.tenant, &saved.finding, out)?;
    print_unfilled(&saved.unfilled, out)?;
    if let Some(day) = &saved.row.expires_on {
        let today = day_of(store_now(&context.store));
        out.line(format_args!("       the API key expires on {}", expiry(day, today)))?;
    }
    if saved.replaces_key {
        out.line("       Revoke API keys that are no longer used: in Testmo's user profile, or in the Admin panel.")?;
    }
    if works {
        return Ok(());
    }
    print_consequence(&context.store, &saved.row.tenant, &saved.finding, "Saved, but not working yet. ", out).await?;
    Err(Failure::Printed)
}

impl Arguments {
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
        };
        Ok((input, self.key))
    }
}

fn mapping(file: &Path) -> Result<MappingSpec, Failure> {
    let wrong = |why: String| Failure::usage(format!("the mapping in {} cannot be used", file.display()), why);
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    MappingSpec::from_json(&text).map_err(wrong)
}
