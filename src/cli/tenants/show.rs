//! `tenants show`: shows one connection without its key.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::connections::probe::{Finding, consequence, sentence};
use testmo_courier::app::connections::{
    ConnectionRow, Status, Verification, connection, known_names, names, status, waiting,
};
use testmo_courier::app::lanes::Waiting;
use testmo_courier::app::shelf::ShelfCommand;
use testmo_courier::app::time::day_of;
use testmo_courier::app::view::ConnectionView;
use testmo_courier::app::{Reason, Store, TenantId, store_now};

use super::super::failure::Failure;
use super::super::open::{configuration, store};
use super::super::output::{Output, visible};
use super::super::table::facts;
use super::super::time_format::{both, expiry};
use super::report::{as_of, commands, refused};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The tenant whose connection this is
    tenant: TenantId,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let row = connection(&store, &arguments.tenant).await?;
    let status = status(&store, &row).await?;
    if arguments.json {
        return out.json(&ConnectionView::of(&row, &status, store_now(&store)));
    }
    let waiting = waiting(&store, &row.tenant).await?;
    out.text(&described(&row, &status, &waiting, &store))?;
    let mut mappings = vec![("mapping", serde_json::to_string_pretty(&row.mapping))];
    match &row.resolved {
        Some(resolved) if row.mapping != resolved.clone().into() => {
            mappings.push(("resolved mapping", serde_json::to_string_pretty(resolved)));
        }
        Some(_) | None => {}
    }
    for (heading, mapping) in mappings {
        out.line(format_args!("\n{heading}"))?;
        mapping.unwrap_or_default().lines().try_for_each(|line| out.line(visible(line)))?;
    }
    Ok(())
}

fn described(row: &ConnectionRow, status: &Status, waiting: &Waiting, store: &Store) -> String {
    let now = store_now(store);
    let today = day_of(now);
    let at = |time: Option<i64>| time.map_or_else(|| "never".into(), |at| both(at, now));
    let (project, folder) = names(row);
    let mut lines = vec![
        ("tenant", row.tenant.to_string()),
        ("light", status.light.name().into()),
        ("account", row.origin.clone()),
        ("project", project),
        ("folder", folder),
        ("names", known_names(row).as_of.map(|at| as_of(at, now)).unwrap_or_default()),
        ("kept in", row.source.as_ref().map(|source| format!("file {}", source.file)).unwrap_or_default()),
        ("key", "stored encrypted".into()),
        ("key expires", row.expires_on.as_deref().map_or_else(|| "not known".into(), |day| expiry(day, today))),
        ("verified", at(row.verified_at)),
        ("last checked", at(row.checked_at)),
        ("last success", row.last_success_at.map_or_else(|| "no batch yet".into(), |at| both(at, now))),
        ("waiting", format!("{}{} on the shelf", if waiting.is_more { "more than " } else { "" }, waiting.batches)),
    ];
    lines.splice(2..2, status.remarks.iter().map(|remark| ("note", remark.clone())));
    match &row.finding {
        Some(Verification::Works { user, .. }) => {
            lines.push(("connected as", user.clone()));
            let of = |reason: Reason| [("cause", reason.cause().into()), ("remedy", reason.remedy().into())];
            lines.extend(refused(row).into_iter().flat_map(of));
        }
        Some(Verification::Fails { reason, .. }) => {
            lines.extend([("cause", reason.cause().into()), ("remedy", reason.remedy().into())]);
            let named = |command: ShelfCommand| ("command", format!("{}  # {}", command.line, command.purpose));
            lines.extend(commands(row).into_iter().map(named));
        }
        None => {}
    }
    if let Some(next) = &row.successor {
        let changed: Vec<String> = next.differences(row).iter().map(ToString::to_string).collect();
        lines.push(("last change", format!("not in force: {}", changed.join(", "))));
        lines.push(("drop it", format!("testmo-courier tenants set {} --discard-change", row.tenant)));
        lines.push((
            "verified again",
            next.recheck_at.map_or_else(|| "once it is corrected".into(), |at| both(at, now)),
        ));
    }
    if let Some(probe) = row.probed() {
        lines.push(("probed", both(probe.at, now)));
        let wrong = probe.not_as_assumed(row.last_success_at);
        lines.extend(wrong.map(|found| {
            let Finding { assumption, observed, .. } = found;
            ("not as assumed", format!("{}: {observed}. {}", sentence(*assumption), consequence(*assumption)))
        }));
    }
    lines.retain(|(_, value)| !value.is_empty());
    facts(&lines)
}
