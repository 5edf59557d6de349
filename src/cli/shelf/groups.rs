//! `shelf groups`: shows what is on the shelf by its cause.

use clap::Args;
use testmo_courier::app::shelf::{self, Group};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::GroupView;
use testmo_courier::app::{Store, store_now};

use super::super::failure::Failure;
use super::super::output::{Output, visible};
use super::super::table::{counted, shortened};

/// How many tenants of a group are named.
const NAMED: usize = 5;

/// How many characters are shown of what the details have in common.
const SHAPE_CHARACTERS: usize = 300;

const EXAMPLES: &str = "\
A group is everything that is on the shelf for one cause: the same reason, with a detail that differs only in names and
numbers. Its id stays the same and is the same in every store.

Examples:
  testmo-courier shelf groups
  testmo-courier shelf list --group c-5f3a09b2
  testmo-courier replay --group c-5f3a09b2";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn execute(arguments: Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let groups = shelf::groups(store).await?;
    if arguments.json {
        return out.json(&groups.iter().map(GroupView::from).collect::<Vec<_>>());
    }
    if groups.is_empty() {
        return out.line("The shelf is empty.");
    }
    let texts: Vec<String> = groups.iter().map(|group| text(group, store_now(store))).collect();
    out.text(&texts.join("\n"))
}

/// Describes a group in a few lines.
fn text(group: &Group, now: i64) -> String {
    let reason = group.reason.map_or("a reason that this version does not know", |reason| reason.code());
    let more = if group.is_all { "" } else { "more than " };
    let mut states = Vec::new();
    states.extend((group.dead > 0).then(|| format!("{} for a person", group.dead)));
    states.extend((group.parked > 0).then(|| format!("{} automatically retried", group.parked)));
    let mut text = format!("{}  {reason}\n", group.cause);
    let mut add = |line: String| text.push_str(&format!("  {}\n", visible(&line)));
    if !group.shape.is_empty() {
        add(shortened(&group.shape, SHAPE_CHARACTERS));
    }
    let uncounted = u64::from(!group.is_all);
    let entries = usize::try_from(group.entries() - uncounted).unwrap_or(usize::MAX);
    add(format!("{more}{}: {}; {}", counted(entries, "entry", "entries"), states.join(", "), tenants(group)));
    add(format!("arrived from {} on, last shelved {}", relative(group.first_at, now), relative(group.last_at, now)));
    if let Some(reason) = group.reason {
        add(format!("{}: {}", reason.title(), reason.remedy()));
    }
    add(format!("testmo-courier shelf list --group {}", group.cause));
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
    use testmo_courier::app::shelf::CauseId;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn groups_read_like_this() {
        let group = |reason: Reason, shape: &str, dead, parked, tenants: &[(&str, u64)]| Group {
            cause: CauseId::of(reason.code(), Some(shape)),
            reason: Some(reason),
            shape: shape.into(),
            parked,
            dead,
            tenants: tenants.iter().map(|(tenant, count)| (tenant.parse().ok(), *count)).collect(),
            first_at: NOW - 7_200_000,
            last_at: NOW - 60_000,
            is_all: dead < 100_001,
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
        let json = GroupView::from(&group(Reason::KeyRefused, "", 0, 1, &[("acme", 1)]));
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
