//! `tenants list`: lists the connections with their lights.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::connections::{self, ConnectionRow, Status, StatusLight, known_names, names, statuses};
use testmo_courier::app::store_now;
use testmo_courier::app::time::{day_of, relative};
use testmo_courier::app::view::ConnectionView;

use super::super::failure::Failure;
use super::super::open::{configuration, store};
use super::super::output::{Output, visible};
use super::super::table::{Form, List, shortened, wrapped};
use super::super::time_format::{both, expiry};
use super::report::{as_of, commands};
use super::status_light::colour;

/// How many characters of a note the list shows people; `show`, --plain and --json have all of it.
const NOTE_CHARACTERS: usize = 260;
/// How many characters of a name the list shows people.
const NAME_CHARACTERS: usize = 24;
/// How wide the lines of a note are.
const WIDTH: usize = 100;
/// Under which column the lines of a note begin.
const INDENT: &str = "       ";

const EXAMPLES: &str = "\
green  the connection works, as far as it was tried
amber  the connection works, but Testmo refused the last request, the last change does not work, requests are paused,
       batches wait for more than an hour, the last verification was not completed, or the API key expires within 14
       days; the note says which
red    the connection has not worked since it was changed, or its API key has expired

A long note ends with …; `tenants show TENANT`, --plain and --json have all of it.";

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
    if arguments.form.plain || rows.is_empty() {
        let otherwise = "No connection is stored yet. Add one with `testmo-courier tenants set`.";
        return for_scripts(&rows, now).write(out, arguments.form.plain, otherwise);
    }
    let mut lines = for_people(&rows, now).columns().into_iter();
    out.line(lines.next().unwrap_or_default())?;
    rows.iter().zip(lines).try_for_each(|((row, status), line)| {
        // The columns are measured by their characters, so colours come last.
        out.line(coloured(&line, status.light, out))?;
        note_lines(row, status, now).iter().try_for_each(|line| out.line(line))
    })
}

fn coloured(line: &str, light: StatusLight, out: &Output) -> String {
    match line.strip_prefix(light.name()) {
        Some(rest) => out.paint(colour(light), light.name()) + rest,
        None => line.to_owned(),
    }
}

/// Lays out the connections with everything that is known, each on one line.
fn for_scripts(rows: &[Listed], now: i64) -> List {
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
            status.note(),
        ]);
    }
    list
}

/// Lays out the connections in columns for a window of 100 characters; the notes have lines of their own.
fn for_people(rows: &[Listed], now: i64) -> List {
    let mut list = List::new(&["light", "tenant", "account", "project", "folder", "key expires", "last success"]);
    for (row, status) in rows {
        let (project, folder) = names(row);
        list.add(vec![
            status.light.name().into(),
            row.tenant.to_string(),
            row.origin.trim_start_matches("https://").to_owned(),
            shortened(&project, NAME_CHARACTERS),
            shortened(&folder, NAME_CHARACTERS),
            row.expires_on.clone().unwrap_or_else(|| "not known".into()),
            row.last_success_at.map_or_else(|| "no batch yet".into(), |at| relative(at, now)),
        ]);
    }
    list
}

/// Writes what there is to know of a connection below its line.
fn note_lines(row: &ConnectionRow, status: &Status, now: i64) -> Vec<String> {
    let mut parts = status.remarks.clone();
    parts.extend(known_names(row).as_of.map(|at| format!("the names of project and folder are {}", as_of(at, now))));
    let note = parts.join("; ");
    let shown = shortened(&note, NOTE_CHARACTERS);
    let mut lines = wrapped(&visible(&shown), WIDTH - INDENT.len());
    lines.extend(commands(row).into_iter().map(|command| format!("→ {}", command.line)));
    if shown != note {
        lines.push(format!("→ testmo-courier tenants show {}", row.tenant));
    }
    lines.into_iter().map(|line| INDENT.to_owned() + &line).collect()
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::connections::{Circumstances, Verification};
    use testmo_courier::batch::render::mapping::Mapping;
    use testmo_courier::store::connections::{SealedKey, Seen, SeenNames};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn row(tenant: &str, expires_on: Option<&str>, finding: Verification) -> ConnectionRow {
        let works = matches!(finding, Verification::Works { .. });
        ConnectionRow {
            tenant: tenant.parse().unwrap(),
            version: "0123456789abcdef".into(),
            origin: format!("https://{tenant}.testmo.net"),
            key: SealedKey {
                nonce: vec![1],
                ciphertext: b"never shown".to_vec(),
                bound_to: "never shown".into(),
                key_id: String::new(),
            },
            expires_on: expires_on.map(Into::into),
            project: 3,
            folder: 428,
            mapping: Mapping::default().into(),
            resolved: Some(Mapping::default()),
            verified_version: works.then(|| "0123456789abcdef".into()),
            verified_at: works.then_some(NOW - 86_400_000),
            checked_at: Some(NOW - 60_000),
            finding: Some(finding),
            seen: Default::default(),
            fields: Default::default(),
            last_success_at: works.then_some(NOW - 180_000),
            refusal: None,
            successor: None,
            probe: None,
            source: None,
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
        let seen = SeenNames {
            project_id: 3,
            folder_id: 428,
            project: "Shop".into(),
            folder: "Root/Generated".into(),
            at: NOW - 86_400_000,
        };
        let failing = row("initech", None, Verification::Fails { reason: Reason::KeyRefused, detail });
        let failing = ConnectionRow { seen: Seen { names: Some(seen), ..Seen::default() }, ..failing };
        let rows = [row("acme", Some("2027-06-30"), works()), row("globex", Some("2027-01-20"), works()), failing];
        rows.map(|row| (row.clone(), Status::of(&row, &Circumstances::default(), NOW))).into()
    }

    #[test]
    fn the_list_of_connections_reads_like_this() {
        let rows = rows();
        let lines = for_people(&rows, NOW).columns();
        let notes = rows.iter().map(|(row, status)| note_lines(row, status, NOW));
        let noted = lines[1..].iter().zip(notes).flat_map(|(line, notes)| std::iter::once(line.clone()).chain(notes));
        let text = std::iter::once(lines[0].clone()).chain(noted).collect::<Vec<_>>().join("\n");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn scripts_get_all_of_a_note_and_people_a_sign_that_there_is_more() {
        let long = "a very long detail ".repeat(40);
        let row = row("acme", None, Verification::Fails { reason: Reason::KeyRefused, detail: long.clone() });
        let status = Status::of(&row, &Circumstances::default(), NOW);
        let lines = note_lines(&row, &status, NOW);
        let [.., cut, fix, more] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(fix.ends_with("→ testmo-courier tenants set acme --new-api-key"), "{lines:?}");
        assert!(cut.ends_with('…') && more.ends_with("→ testmo-courier tenants show acme"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        let plain = for_scripts(&[(row, status)], NOW).columns().join("\n");
        assert!(plain.contains(long.trim_end()), "{plain}");
    }

    #[test]
    fn programs_get_all_but_the_key() {
        let text = serde_json::to_string_pretty(&ConnectionView::of(&rows()[0].0, &rows()[0].1, NOW)).unwrap();
        assert!(!text.contains("never shown"));
        insta::assert_snapshot!(text);
    }
}
