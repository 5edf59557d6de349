//! `tenants list`: lists the connections with their lights.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::connections::{self, ConnectionRow, Status, StatusLight, names, statuses};
use testmo_courier::app::store_now;
use testmo_courier::app::time::day_of;
use testmo_courier::app::view::ConnectionView;

use super::super::failure::Failure;
use super::super::open::{configuration, store};
use super::super::output::Output;
use super::super::table::{Form, List, shortened};
use super::super::time_format::{both, expiry};
use super::status_light::colour;

/// How many characters of a note the list shows; `show` has all of it.
const NOTE_CHARACTERS: usize = 100;

const EXAMPLES: &str = "\
green  the connection works, as far as it was tried
amber  the connection works, but Testmo refused the last request, the last change does not work, requests are paused,
       batches wait for more than an hour, or the API key expires within 14 days; the note says which
red    the connection has not worked since it was changed, or its API key has expired";

/// A connection with its state.
type Listed = (ConnectionRow, Status);

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let rows = connections::list(&store).await?;
    let (statuses, now) = (statuses(&store, &rows).await?, store_now(&store));
    let rows: Vec<Listed> = rows.into_iter().zip(statuses).collect();
    if arguments.form.json {
        return out.json(&rows.iter().map(|(row, status)| ConnectionView::of(row, status, now)).collect::<Vec<_>>());
    }
    let list = table(&rows, now);
    if arguments.form.plain || rows.is_empty() {
        return list.write(
            out,
            arguments.form.plain,
            "No connection is stored yet. Add one with `testmo-courier tenants set`.",
        );
    }
    let mut lines = list.columns().into_iter();
    out.line(lines.next().unwrap_or_default())?;
    // The columns are measured by their characters, so colours come last.
    rows.iter().zip(lines).try_for_each(|((_, status), line)| out.line(coloured(&line, status.light, out)))
}

fn coloured(line: &str, light: StatusLight, out: &Output) -> String {
    match line.strip_prefix(light.name()) {
        Some(rest) => out.paint(colour(light), light.name()) + rest,
        None => line.to_owned(),
    }
}

fn table(rows: &[Listed], now: i64) -> List {
    let today = day_of(now);
    let mut list =
        List::new(&["light", "tenant", "account", "project", "folder", "key expires", "last success", "note"]);
    for (row, status) in rows {
        let (project, folder) = names(row);
        list.add(vec![
            status.light.name().into(),
            row.tenant.to_string(),
            row.origin.clone(),
            project,
            folder,
            row.expires_on.as_deref().map_or_else(|| "not known".into(), |day| expiry(day, today)),
            row.last_success_at.map_or_else(|| "no batch yet".into(), |at| both(at, now)),
            shortened(&status.note(), NOTE_CHARACTERS),
        ]);
    }
    list
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::connections::{Circumstances, Verification};
    use testmo_courier::batch::render::mapping::Mapping;
    use testmo_courier::store::connections::SealedKey;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn row(tenant: &str, expires_on: Option<&str>, finding: Verification) -> ConnectionRow {
        let works = matches!(finding, Verification::Works { .. });
        ConnectionRow {
            tenant: tenant.parse().unwrap(),
            version: "0123456789abcdef".into(),
            origin: format!("https://{tenant}.testmo.net"),
            key: SealedKey { nonce: vec![1], ciphertext: b"never shown".to_vec(), bound_to: "never shown".into() },
            expires_on: expires_on.map(Into::into),
            project: 3,
            folder: 428,
            mapping: Mapping::default().into(),
            resolved: Some(Mapping::default()),
            verified_version: works.then(|| "0123456789abcdef".into()),
            verified_at: works.then_some(NOW - 86_400_000),
            checked_at: Some(NOW - 60_000),
            finding: Some(finding),
            fields: Default::default(),
            last_success_at: works.then_some(NOW - 180_000),
            refusal: None,
            successor: None,
            probe: None,
            epoch: 1,
        }
    }

    fn rows() -> Vec<Listed> {
        let works = || Verification::Works {
            user: "Push Bot".into(),
            project: "Shop".into(),
            folder: "Root/Generated".into(),
            not_there: vec![],
        };
        let detail = "reading the user of the API key: 401 Unauthorized".to_owned();
        let rows = [
            row("acme", Some("2027-06-30"), works()),
            row("globex", Some("2027-01-20"), works()),
            row("initech", None, Verification::Fails { reason: Reason::KeyRefused, detail }),
        ];
        rows.map(|row| (row.clone(), Status::of(&row, &Circumstances::default(), NOW))).into()
    }

    #[test]
    fn the_list_of_connections_reads_like_this() {
        insta::assert_snapshot!(table(&rows(), NOW).columns().join("\n"));
    }

    #[test]
    fn programs_get_all_but_the_key() {
        let text = serde_json::to_string_pretty(&ConnectionView::of(&rows()[0].0, &rows()[0].1, NOW)).unwrap();
        assert!(!text.contains("never shown"));
        insta::assert_snapshot!(text);
    }
}
