//! `attention`: shows what needs attention: causes, tenants that are not green, and pauses.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::attention::{Attention, Cause, attention};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::AttentionView;
use testmo_courier::app::{TenantId, store_now};

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::{Output, visible};
use super::table::{List, counted, shortened};
use super::tenant_hint::note_if_unknown;

/// How many characters are shown of what the details of a cause have in common.
const SHAPE_CHARACTERS: usize = 120;
/// How many characters are shown of what is known of a connection.
const NOTE_CHARACTERS: usize = 200;

const EXAMPLES: &str = "\
A cause is listed while batches with it go on only after somebody has acted: the people who run the generator, the tenant's
admin, support, or the people who run the worker. What is retried automatically is not listed. Tenants whose light is not green
and lanes that a person has paused are listed below the causes.

Examples:
  testmo-courier attention
  testmo-courier attention --tenant acme
  testmo-courier attention --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only what concerns this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let Arguments { tenant, json } = arguments;
    let found = attention(&store, tenant.as_ref()).await?;
    if found.is_empty() {
        note_if_unknown(&store, tenant.as_ref()).await?;
    }
    if *json { out.json(&AttentionView::of(&found)) } else { out.text(&text(&found, store_now(&store))) }
}

fn text(found: &Attention, now: i64) -> String {
    let mut lines: Vec<String> = found.causes.iter().flat_map(|cause| described(cause, now)).collect();
    if !found.connections.is_empty() {
        let tenants = counted(found.connections.len(), "tenant is", "tenants are");
        lines.push(format!("{tenants} not green (`testmo-courier tenants list` says what to do):"));
        let mut list = List::new(&["tenant", "light", "why"]);
        for (row, status) in &found.connections {
            let note = shortened(&status.note(), NOTE_CHARACTERS);
            list.add(vec![row.tenant.to_string(), status.light.name().into(), note]);
        }
        lines.extend(list.columns().into_iter().map(|line| format!("  {line}")));
    }
    if !found.paused.is_empty() {
        let lanes: Vec<String> = found.paused.iter().map(|lane| visible(lane.name()).into_owned()).collect();
        let lanes = lanes.join(", ");
        lines.push(format!("Paused by a person: {lanes}. `testmo-courier lanes resume LANE` ends a pause."));
    }
    if lines.is_empty() {
        lines.push("Nothing needs attention.".into());
    }
    let batches = usize::try_from(found.delivered.batches).unwrap_or(usize::MAX);
    let more = if found.delivered.is_all { "" } else { "more than " };
    let delivered = counted(batches, "batch was", "batches were");
    lines.push(format!("{} delivered within the last hour.", capitalized(&format!("{more}{delivered}"))));
    lines.join("\n") + "\n"
}

/// Describes a cause: who acts on what, and below it how much it is and what comes next.
fn described(cause: &Cause, now: i64) -> [String; 2] {
    let group = &cause.group;
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let reason = group.reason.map_or("another reason", |reason| reason.code());
    let shape = match shortened(&visible(&group.shape), SHAPE_CHARACTERS) {
        shape if shape.is_empty() => shape,
        shape => format!(" ({shape})"),
    };
    let extent = [
        counted(group.tenants.len(), "tenant", "tenants"),
        counted(whole(group.entries()), "batch", "batches"),
        counted(whole(group.cases), "case", "cases"),
    ];
    let uncounted = if group.uncounted > 0 { " or more" } else { "" };
    let since = relative(group.first_at, now);
    let next = cause.next().map(|command| format!("; next: {}", visible(&command.line))).unwrap_or_default();
    [
        format!("{} {} {reason}: {}{shape}", cause.who_acts.name(), group.cause, cause.sentence()),
        format!("  {}{uncounted}, since {since}{next}", extent.join(", ")),
    ]
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + characters.as_str()
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::attention::{DeliveredSince, Party};
    use testmo_courier::app::lanes::LaneSelector;
    use testmo_courier::app::shelf::{CauseId, Deed, Group, ShelfCommand};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn cause(reason: Option<Reason>, shape: &str, tenants: &[&str], entries: u64) -> Cause {
        let group = Group {
            cause: CauseId::of(reason.map_or("other", |reason| reason.code()), Some(shape)),
            reason,
            shape: shape.into(),
            field: None,
            parked: 0,
            dead: entries,
            cases: entries * 5,
            uncounted: u64::from(entries > 100),
            tenants: tenants.iter().map(|tenant| (tenant.parse().ok(), 1)).collect(),
            first_at: NOW - 7_200_000,
            last_at: NOW,
            note: None,
            commands: vec![ShelfCommand {
                line: "testmo-courier replay --group c-…".into(),
                purpose: "tries again",
                deed: Deed::Replay { unchanged_too: false },
            }],
        };
        Cause { who_acts: Party::of(reason), group }
    }

    #[test]
    fn what_needs_attention_reads_like_this() {
        let quiet = DeliveredSince { batches: 1, is_all: true };
        let nothing = Attention {
            causes: vec![],
            connections: vec![],
            paused: vec![],
            delivered: quiet,
            delivered_since: NOW - 3_600_000,
        };
        let causes = vec![
            cause(
                Some(Reason::CaseRefused),
                "Testmo answered #: case #: tags.#: is too\u{1b}[2J long",
                &["acme", "birch"],
                360,
            ),
            cause(Some(Reason::KeyRefused), "", &["acme"], 1),
            Cause { who_acts: Party::Operator, ..cause(None, "new", &["acme"], 2) },
        ];
        let paused = vec![LaneSelector::Account("https://acme.testmo.net".into())];
        let delivered = DeliveredSince { batches: 10_000, is_all: false };
        let much = Attention { causes, paused, delivered, ..nothing.clone() };
        insta::assert_snapshot!(format!("{}\n{}", text(&nothing, NOW), text(&much, NOW)));
        insta::assert_snapshot!(serde_json::to_string_pretty(&AttentionView::of(&much)).unwrap());
    }
}
