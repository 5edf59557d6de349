//! `replays list`: lists replays.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use testmo_courier::app::replays::{self, ReplayId, ReplayRow, ReplayState};
use testmo_courier::app::time::relative;
use testmo_courier::app::view::ReplayView;
use testmo_courier::app::{Store, store_now};

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::table::{Form, List, is_full, note, shortened};

/// How many characters of a reason a list shows; `show` has all of it.
const WHY_CHARACTERS: usize = 80;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only replays in this state
    #[arg(long, value_parser = states())]
    state: Option<ReplayState>,
    /// The maximum number of replays
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Only replays with lower numbers than this one: the next page
    #[arg(long, value_name = "REPLAY")]
    before: Option<ReplayId>,
    #[command(flatten)]
    form: Form,
}

fn states() -> impl TypedValueParser<Value = ReplayState> {
    PossibleValuesParser::new(ReplayState::ALL.map(ReplayState::name)).try_map(|name| name.parse::<ReplayState>())
}

pub(crate) async fn execute(arguments: &Arguments, store: &Store, out: &mut Output) -> Result<(), Failure> {
    let rows = replays::list(store, arguments.state, arguments.before, arguments.limit).await?;
    if arguments.form.json {
        out.json(&rows.iter().map(ReplayView::from).collect::<Vec<_>>())?;
    } else {
        table(&rows, store_now(store)).write(out, arguments.form.plain, "There is no replay.")?;
    }
    match rows.last().filter(|_| is_full(rows.len(), arguments.limit)) {
        Some(last) => note(&format!("there may be more: add --before {}", last.id)),
        None => Ok(()),
    }
}

fn table(rows: &[ReplayRow], now: i64) -> List {
    let mut list = List::new(&["replay", "state", "planned", "by", "selection", "why"]);
    for row in rows {
        let named = row.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        list.add(vec![
            row.id.to_string(),
            row.state.map_or("unknown", ReplayState::name).into(),
            relative(row.created_at, now),
            row.owner.clone(),
            format!("{}{named}", row.selection),
            shortened(row.why.as_deref().unwrap_or_default(), WHY_CHARACTERS),
        ]);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_replays_reads_like_this() {
        const NOW: i64 = 1_800_000_000_000;
        let row = |id, state, why: Option<&str>| ReplayRow {
            id: ReplayId(id),
            epoch: 3,
            state,
            name: (id == 7).then(|| "after the upgrade".into()),
            reason: None,
            selection: "--group c-5f3a09b2".into(),
            owner: "anna".into(),
            per_minute: None,
            most: None,
            unchanged_too: false,
            why: why.map(Into::into),
            summary: None,
            created_at: NOW - 600_000,
            started_at: None,
            ended_at: None,
        };
        let stopped = "c-5f3a09b2 at https://acme.testmo.net: one of the first batches, which are tried one at a time, \
                       failed again (case_refused)";
        let rows = [
            row(8, Some(ReplayState::Paused), Some(stopped)),
            row(7, Some(ReplayState::Done), None),
            row(6, None, None),
        ];
        insta::assert_snapshot!(table(&rows, NOW).columns().join("\n"));
    }
}
