//! `tenants list`: how do all connections stand?

use std::path::PathBuf;

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};
use testmo_courier::store::StoreHealth;
use testmo_courier::store::connections::{ConnectionRow, Verification};

use super::super::desk::{configuration, store};
use super::super::failure::Failure;
use super::super::moment::{both, day_of, expiry, rfc3339};
use super::super::out::Out;
use super::super::table::{Form, List, shortened};
use super::light::{Light, days_until_expiry, note};

/// So much of a note stands in the list; `show` has all of it.
const NOTE_CHARACTERS: usize = 100;

const EXAMPLES: &str = "\
green  the connection works
amber  it works, and its API key expires within 14 days
red    it was not seen to work since it was changed, or its API key has expired";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: Arguments, files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let (rows, now) = (store.connections().await?, store.now());
    if arguments.form.json {
        return out.json(&rows.iter().map(|row| object(row, now)).collect());
    }
    let list = table(&rows, now);
    if arguments.form.plain || rows.is_empty() {
        return list.write(
            out,
            arguments.form.plain,
            "No connection is entered yet: see `testmo-courier tenants set`.",
        );
    }
    let mut lines = list.columns().into_iter();
    out.line(lines.next().unwrap_or_default())?;
    // Coloured only now, because the columns are measured by their characters.
    rows.iter().zip(lines).try_for_each(|(row, line)| out.line(coloured(&line, Light::of(row, day_of(now)), out)))
}

fn coloured(line: &str, light: Light, out: &Out) -> String {
    match line.strip_prefix(light.name()) {
        Some(rest) => out.paint(light.colour(), light.name()) + rest,
        None => line.to_owned(),
    }
}

fn table(rows: &[ConnectionRow], now: i64) -> List {
    let today = day_of(now);
    let mut list =
        List::new(&["light", "tenant", "account", "project", "folder", "key expires", "last success", "note"]);
    for row in rows {
        let (project, folder) = names(row);
        list.add(vec![
            Light::of(row, today).name().into(),
            row.tenant.to_string(),
            row.origin.clone(),
            project,
            folder,
            row.expires_on.as_deref().map_or_else(|| "not known".into(), |day| expiry(day, today)),
            row.last_success_at.map_or_else(|| "never".into(), |at| both(at, now)),
            shortened(&note(row, today), NOTE_CHARACTERS),
        ]);
    }
    list
}

/// Project and folder by id, with their names where they are known.
pub(super) fn names(row: &ConnectionRow) -> (String, String) {
    match &row.finding {
        Some(Verification::Works { project, folder, .. }) => {
            (format!("{} {project}", row.project), format!("{} {folder}", row.folder))
        }
        Some(Verification::Fails { .. }) | None => (row.project.to_string(), row.folder.to_string()),
    }
}

/// A connection for programs, without its key.
pub(super) fn object(row: &ConnectionRow, now: i64) -> Value {
    let today: Date = day_of(now);
    json!({
        "tenant_id": row.tenant.as_str(),
        "light": Light::of(row, today).name(),
        "note": note(row, today),
        "account": row.origin,
        "project_id": row.project,
        "folder_id": row.folder,
        "key_expires_on": row.expires_on,
        "key_days_left": days_until_expiry(row, today),
        "verified": row.is_verified(),
        "verified_at": row.verified_at.and_then(rfc3339),
        "checked_at": row.checked_at.and_then(rfc3339),
        "finding": row.finding,
        "last_success_at": row.last_success_at.and_then(rfc3339),
        "version": row.version,
        "mapping": row.mapping,
        "mapping_by_ids": row.resolved,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use testmo_courier::batch::Reason;
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
            last_success_at: works.then_some(NOW - 180_000),
            epoch: 1,
        }
    }

    fn rows() -> [ConnectionRow; 3] {
        let works =
            || Verification::Works { user: "Push Bot".into(), project: "Shop".into(), folder: "Root/Generated".into() };
        let detail = "asking who the key belongs to: 401 Unauthorized".to_owned();
        [
            row("acme", Some("2027-06-30"), works()),
            row("globex", Some("2027-01-20"), works()),
            row("initech", None, Verification::Fails { reason: Reason::KeyRefused, detail }),
        ]
    }

    #[test]
    fn the_list_of_connections_reads_like_this() {
        insta::assert_snapshot!(table(&rows(), NOW).columns().join("\n"));
    }

    #[test]
    fn programs_get_all_but_the_key() {
        let text = format!("{:#}", object(&rows()[0], NOW));
        assert!(!text.contains("never shown"));
        insta::assert_snapshot!(text);
    }
}
