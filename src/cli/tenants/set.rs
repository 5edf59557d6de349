//! `tenants set`: how is a connection entered or changed, so that it is known at once whether it works?

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use testmo_courier::batch::TenantId;
use testmo_courier::batch::render::mapping_spec::MappingSpec;
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::store::{ConnectionStore, StoreHealth};
use testmo_courier::tenants::{Entered, Examined};
use testmo_courier::testmo::{Access, Origin};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::moment::{day_of, days_left, expiry};
use super::super::out::Out;
use super::api_key::KeySource;
use super::verify::{tell, tell_unfilled, tell_what_follows};

const EXAMPLES: &str = "\
The API key is asked for without being shown; it is never given on the command line. Of a connection that is there
already, whatever is left out stays as it is; a new address always needs its key to be entered again.

Examples:
  testmo-courier tenants set acme --base-url https://acme.testmo.net --project 3 --folder 428
  testmo-courier tenants set acme --folder 430
  testmo-courier tenants set acme --mapping mapping.json
  testmo-courier tenants set acme --new-key --expires 2027-06-30
  testmo-courier tenants set acme --key-stdin < key.txt";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whose connection
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
    /// The API key does not expire, or it is not known when
    #[arg(long)]
    no_expiry: bool,
    /// A JSON file that says how cases become Testmo's fields
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    key: KeySource,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let desk = Desk::open(files).await?;
    let mut had = desk.store.connection(&arguments.tenant).await?;
    let today = day_of(desk.store.now());
    let place = Place::of(&arguments, had.as_ref())?;
    let mapping = mapping_of(arguments.mapping.as_deref(), had.as_ref())?;
    let origin = desk
        .tenants
        .policy()
        .check(&place.base_url)
        .map_err(|refused| Failure::usage(format!("{} is refused", place.base_url), refused))?;
    let expires_on = expiry_of(&arguments, had.as_ref(), today)?;
    let (access, key_is_new) = access_of(&arguments.key, &desk, had.as_ref(), origin)?;
    let Place { project, folder, .. } = place;
    let examined = desk.tenants.examine(&desk.client()?, &access, project, folder, &mapping).await?;
    let Examined { finding, mapping: known, unfilled, .. } = examined;
    let (is_change, checked_before) = (had.is_some(), had.as_ref().and_then(|row| row.checked_at));
    let entered = |had: Option<&ConnectionRow>| {
        // What its names stood for holds until Testmo says otherwise.
        let same = had.filter(|row| row.origin == access.origin.as_str() && row.project == project);
        let resolved = known.clone().or_else(|| same.filter(|row| row.mapping == mapping)?.resolved.clone());
        let (tenant, access) = (arguments.tenant.clone(), access.clone());
        Entered { tenant, access, expires_on: expires_on.clone(), project, folder, mapping: mapping.clone(), resolved }
    };
    let row = loop {
        let row = desk.tenants.enter(entered(had.as_ref()))?.judged(finding.clone(), desk.store.now());
        let row = match &had {
            // A worker has checked the same content since: that is the newer result.
            Some(ConnectionRow { verified_version, verified_at, checked_at, finding, .. })
                if had.as_ref().is_some_and(|had| had.version == row.version) && *checked_at != checked_before =>
            {
                let (verified_version, finding) = (verified_version.clone(), finding.clone());
                ConnectionRow { verified_version, verified_at: *verified_at, checked_at: *checked_at, finding, ..row }
            }
            Some(_) | None => row,
        };
        let row = ConnectionRow { epoch: had.as_ref().map_or(0, |row| row.epoch), ..row };
        if desk.store.set_connection(&row).await?.is_done() {
            break row;
        }
        let stored = desk.store.connection(&arguments.tenant).await?;
        had = Some(unchanged(stored, had.as_ref()).ok_or_else(|| changed(&arguments.tenant))?);
    };
    let finding = row.finding.clone().unwrap_or(finding);
    let works = tell(&row.tenant, &finding, out)?;
    tell_unfilled(&unfilled, out)?;
    if let Some(day) = &row.expires_on {
        out.line(format_args!("       the API key expires on {}", expiry(day, today)))?;
    }
    if key_is_new && is_change {
        out.line("       Revoke API keys that are no longer used: in Testmo's user profile, or in the Admin panel.")?;
    }
    if works {
        return Ok(());
    }
    tell_what_follows(&desk, &row.tenant, &finding, "Saved as not verified. ", out).await?;
    Err(Failure::Told)
}

/// The stored connection, if nobody has entered another one since it was read; what a worker found out about it
/// meanwhile is no reason to ask the person again.
fn unchanged(stored: Option<ConnectionRow>, had: Option<&ConnectionRow>) -> Option<ConnectionRow> {
    stored.filter(|stored| had.is_some_and(|had| stored.is_entered_as(had)))
}

fn changed(tenant: &TenantId) -> Failure {
    Failure::finding(
        format!("the connection of {tenant} was changed meanwhile, so nothing was saved"),
        format!("check it with `testmo-courier tenants show {tenant}`, then run the command again"),
    )
}

/// Where cases go.
struct Place {
    base_url: String,
    project: u64,
    folder: u64,
}

impl Place {
    fn of(arguments: &Arguments, had: Option<&ConnectionRow>) -> Result<Self, Failure> {
        let base_url = arguments.base_url.clone().or_else(|| had.map(|row| row.origin.clone()));
        let project = arguments.project.or(had.map(|row| row.project));
        let folder = arguments.folder.or(had.map(|row| row.folder));
        match (base_url, project, folder) {
            (Some(base_url), Some(project), Some(folder)) => Ok(Self { base_url, project, folder }),
            (base_url, project, folder) => {
                let lacking = [
                    ("--base-url", base_url.is_none()),
                    ("--project", project.is_none()),
                    ("--folder", folder.is_none()),
                ];
                let lacking: Vec<&str> = lacking.iter().filter(|(_, lacks)| *lacks).map(|(name, _)| *name).collect();
                Err(Failure::usage(
                    format!("{} is new and lacks {}", arguments.tenant, lacking.join(", ")),
                    "give them: Testmo shows the ids of project and folder in the address of the repository page",
                ))
            }
        }
    }
}

fn mapping_of(file: Option<&Path>, had: Option<&ConnectionRow>) -> Result<MappingSpec, Failure> {
    let Some(file) = file else { return Ok(had.map(|row| row.mapping.clone()).unwrap_or_default()) };
    let wrong = |why: String| Failure::usage(format!("the mapping in {} cannot be used", file.display()), why);
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    MappingSpec::from_json(&text).map_err(wrong)
}

/// The day on which the key expires; one that is past cannot be entered, nor kept for a new key.
fn expiry_of(arguments: &Arguments, had: Option<&ConnectionRow>, today: Date) -> Result<Option<String>, Failure> {
    let kept = had.and_then(|row| row.expires_on.clone());
    let (day, is_entered) = match arguments.expires {
        _ if arguments.no_expiry => return Ok(None),
        Some(day) => (Some(day.to_string()), true),
        None => (kept, arguments.key.is_given()),
    };
    let is_past = day.as_deref().and_then(|day| days_left(day, today)).is_some_and(|days| days < 0);
    match day {
        Some(day) if is_past && is_entered => Err(Failure::usage(
            format!("the API key would have expired already, on {day}"),
            "give the day on which it will expire with --expires YYYY-MM-DD, or --no-expiry",
        )),
        day => Ok(day),
    }
}

/// The way in, and whether its key was entered now. A kept key is only ever used for the address it was entered for.
fn access_of(
    source: &KeySource,
    desk: &Desk,
    had: Option<&ConnectionRow>,
    origin: Origin,
) -> Result<(Access, bool), Failure> {
    let moved = had.is_some_and(|row| row.origin != origin.as_str());
    match had {
        Some(row) if !moved && !source.is_given() => match desk.tenants.access(row) {
            Ok(access) => Ok((access, false)),
            Err((_, why)) => Err(Failure::finding(why, "give --new-key, --key-stdin or --key-file FILE")),
        },
        Some(_) if moved => {
            let key = source.read("changing the address means entering the API key again")?;
            Ok((Access { origin, key }, true))
        }
        Some(_) | None => Ok((Access { origin, key: source.read("the API key is needed")? }, true)),
    }
}
