//! `shelf groups`: shows what is on the shelf by its cause.

use clap::Args;
use testmo_courier::app::shelf::{self, Group, GroupFilter, ShelfState};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::GroupView;
use testmo_courier::app::{Reason, Store, TenantId, store_now};

use super::super::failure::Failure;
use super::super::output::{Output, visible};
use super::super::table::{counted, note, shortened, wrapped};
use super::super::tenant_hint::note_if_unknown;
use super::selection::{reasons, states};

/// How many tenants of a group are named.
const NAMED: usize = 5;

/// The width of a line of text.
const WIDTH: usize = 98;

/// How many characters are shown of what the details have in common.
const SHAPE_CHARACTERS: usize = 300;

const EXAMPLES: &str = "\
A group is everything that is on the shelf for one cause: the same reason, with a detail that differs only in names and
numbers. Its id stays the same and is the same in every store. All entries are counted. Groups with entries that wait for a
person come first, and of these the largest.

Examples:
  testmo-courier shelf groups
  testmo-courier shelf groups --tenant acme --state dead
  testmo-courier shelf note c-5f3a09b2 'the customer fixes the template'
  testmo-courier replay --group c-5f3a09b2";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only entries of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only entries with this reason, such as key_refused
    #[arg(long, value_parser = reasons(), hide_possible_values = true)]
    reason: Option<Reason>,
    /// Only entries in this state
    #[arg(long, value_parser = states())]
    state: Option<ShelfState>,
    /// The maximum number of groups; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let Arguments { tenant, reason, state, limit, json } = arguments;
    let filter = GroupFilter { tenant, reason, state };
    let mut groups = shelf::groups(store, &filter).await?;
    if groups.is_empty() {
        note_if_unknown(store, filter.tenant.as_ref()).await?;
    }
    let all = groups.len();
    groups.truncate(if limit == 0 { all } else { limit });
    if json {
        out.json(&groups.iter().map(GroupView::from).collect::<Vec<_>>())?;
    } else if groups.is_empty() {
        let is_filtered = filter != GroupFilter::default();
        return out.line(if is_filtered { "No matching entry is on the shelf." } else { "The shelf is empty." });
    } else {
        let texts: Vec<String> = groups.iter().map(|group| text(group, store_now(store))).collect();
        out.text(&texts.join("\n"))?;
        note("`testmo-courier shelf note GROUP TEXT` leaves a note for everybody who sees the group.")?;
    }
    if groups.len() < all { note(&format!("{} of {all} groups, --limit 0 for all", groups.len())) } else { Ok(()) }
}

/// Describes a group in a few lines.
fn text(group: &Group, now: i64) -> String {
    let reason = group.reason.map_or("a reason that this version does not know", |reason| reason.code());
    let mut states = Vec::new();
    states.extend((group.dead > 0).then(|| format!("{} for a person", group.dead)));
    states.extend((group.parked > 0).then(|| format!("{} automatically retried", group.parked)));
    let field = group.field.as_ref().map(|field| format!("  field {}", visible(field))).unwrap_or_default();
    let mut text = format!("{}  {reason}{field}\n", group.cause);
    let mut add = |line: String| {
        let lines = wrapped(&visible(&line), WIDTH);
        text.extend(lines.into_iter().map(|line| format!("  {line}\n")));
    };
    if !group.shape.is_empty() {
        add(shortened(&group.shape, SHAPE_CHARACTERS));
    }
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let entries = counted(whole(group.entries()), "entry", "entries");
    let cases = counted(whole(group.cases), "case", "cases");
    let uncounted = match group.uncounted {
        0 => String::new(),
        some => format!(" (of {some} entries not counted yet)"),
    };
    add(format!("{entries} with {cases}{uncounted}: {}; {}", states.join(", "), tenants(group)));
    add(format!("arrived from {} on, last shelved {}", relative(group.first_at, now), relative(group.last_at, now)));
    if let Some(reason) = group.reason {
        add(format!("{}: {}", reason.title(), reason.remedy()));
    }
    if let Some(note) = &group.note {
        add(format!("note by {}, {}: {}", note.actor, relative(note.at, now), note.text));
    }
    let commands = group.commands.iter().map(|command| format!("{}  # {}", command.line, command.purpose));
    text.extend(commands.map(|command| format!("  {}\n", visible(&command))));
    text
}

fn tenants(group: &Group) -> String {
    let named = group.tenants.iter().take(NAMED).map(|(tenant, count)| {
        let name = tenant.as_ref().map_or("tenant not known", |tenant| tenant.as_str());
        format!("{name} {count}")
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match group.tenants.len() {
        1 => named,
        all if all <= NAMED => format!("{all} tenants: {named}"),
        all => format!("{all} tenants: {named}, and {} more", all - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::Reason;
    use testmo_courier::app::shelf::{CauseId, CauseNote, Deed, ShelfCommand};

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn groups_read_like_this() {
        let group = |reason: Reason, shape: &str, dead, parked, tenants: &[(&str, u64)]| Group {
            cause: CauseId::of(reason.code(), Some(shape)),
            reason: Some(reason),
            shape: shape.into(),
            field: shape.contains("tags").then(|| "tags.#".into()),
            parked,
            dead,
            cases: 5 * (parked + dead),
            uncounted: if dead > 1_000 { 7 } else { 0 },
            tenants: tenants.iter().map(|(tenant, count)| (tenant.parse().ok(), *count)).collect(),
            first_at: NOW - 7_200_000,
            last_at: NOW - 60_000,
            note: shape.contains("tags").then(|| CauseNote {
                cause: CauseId::of(reason.code(), Some(shape)),
                text: "the customer fixes the template".into(),
                actor: "anna".into(),
                at: NOW - 600_000,
            }),
            commands: vec![ShelfCommand {
                line: "testmo-courier replay --group c-…".into(),
                purpose: "tries again",
                deed: Deed::Replay { unchanged_too: false },
            }],
        };
        let many: Vec<(String, u64)> = (1..8).map(|n| (format!("t-{n}"), 10 - n)).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|(tenant, count)| (tenant.as_str(), *count)).collect();
        let texts = [
            group(
                Reason::CaseRefused,
                "Testmo answered #: case #: tags.#: is too long",
                36,
                1,
                &[("acme", 30), ("birch", 7)],
            ),
            group(Reason::KeyRefused, "", 0, 1, &[("acme", 1)]),
            group(Reason::NotJson, "expected value at line # column #", 100_001, 0, &many),
        ];
        insta::assert_snapshot!(texts.map(|group| text(&group, NOW)).join("\n"));
        let json = GroupView::from(&group(Reason::CaseRefused, "case #: tags.#: is too long", 1, 0, &[("acme", 1)]));
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
