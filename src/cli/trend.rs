//! `trend`: shows how many batches were delivered, failed and waited over the last hours or days.

use std::path::PathBuf;

use clap::Args;
use testmo_courier::app::time::absolute;
use testmo_courier::app::trend::{Span, trend};
use testmo_courier::app::view::TrendView;

use super::failure::Failure;
use super::open::{configuration, store};
use super::output::Output;
use super::table::{Form, List};

const EXAMPLES: &str = "\
Each row is half an hour of the last 24 hours or, with --days, a day of the last 30 days in UTC. Times in which no worker
ran are left out. `failed` counts how many times a batch came to need a person, and `waiting` is the largest number of batches
that waited on the shelf to be retried automatically. A worker adds what it has counted every five minutes.

Examples:
  testmo-courier trend
  testmo-courier trend --days
  testmo-courier trend --json";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The last 30 days in place of the last 24 hours
    #[arg(long, conflicts_with = "json")]
    days: bool,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn execute(arguments: &Arguments, files: &[PathBuf], out: &mut Output) -> Result<(), Failure> {
    let store = store(&configuration(files)?).await?;
    let found = trend(&store).await?;
    if arguments.form.json {
        return out.json(&TrendView::of(&found));
    }
    let span = if arguments.days { &found.days } else { &found.hours };
    let empty = if arguments.days {
        "No worker has counted anything in the last 30 days."
    } else {
        "No worker has counted anything in the last 24 hours."
    };
    list(span).write(out, arguments.form.plain, empty)
}

fn list(span: &Span) -> List {
    let mut list = List::new(&["from", "delivered", "failed", "waiting"]);
    for column in &span.columns {
        let Some(counts) = column.counts else { continue };
        let numbers = [counts.delivered, counts.failed, counts.waiting].map(|number| number.to_string());
        list.add([vec![absolute(column.began_at)], numbers.into()].concat());
    }
    list
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::trend::{Column, Counts};

    use super::*;

    #[test]
    fn only_times_in_which_a_worker_counted_are_shown() {
        let column = |began_at, counts| Column { began_at, counts };
        let counts = |delivered, failed, waiting| Some(Counts { delivered, failed, waiting });
        let columns = vec![
            column(1_799_996_400_000, counts(1_204, 3, 17)),
            column(1_799_998_200_000, None),
            column(1_800_000_000_000, counts(0, 0, 0)),
        ];
        insta::assert_snapshot!(list(&Span { column_ms: 1_800_000, columns }).columns().join("\n"));
    }
}
