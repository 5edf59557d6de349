//! Shows what a plan comes to.

use testmo_courier::app::Store;
use testmo_courier::app::plural::counted;
use testmo_courier::app::replays::{self, Forecast, ItemFilter, Planned};

use super::super::failure::Failure;
use super::super::output::visible;

/// How many examples of what is not replayed are named.
const EXAMPLES: usize = 5;
/// How many entries are read to find them.
const READ: u32 = 1_000;

/// Describes a plan, with examples of what it does not try.
pub(crate) async fn plan_text(store: &Store, planned: &Planned) -> Result<String, Failure> {
    let mut text = summary_text(planned);
    let not_tried = planned.summary.batches - planned.summary.tried;
    let waiting = planned.summary.of(Forecast::NotYet);
    if not_tried == 0 && waiting == 0 {
        return Ok(text);
    }
    let items = replays::items(store, planned.id, &ItemFilter::default(), READ).await?;
    let first = items.iter().find(|item| item.forecast == Forecast::NotYet.name());
    if let Some(why) = first.and_then(|item| item.detail.as_ref()) {
        text.push_str(&format!("  for example, not yet because: {}\n", visible(why)));
    }
    let left = items.iter().filter(|item| item.outcome.is_some());
    let mut named = 0;
    for item in left.take(EXAMPLES) {
        named += 1;
        let why = item.detail.clone().unwrap_or_else(|| "every case is in Testmo; the entry can be discarded".into());
        let batch = match (&item.tenant, &item.batch) {
            (Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
            (_, None) | (None, _) => "without a known batch".into(),
        };
        text.push_str(&format!("  not replayed: {} {batch} ({}): {}\n", item.entry, item.reason, visible(&why)));
    }
    if not_tried > named {
        let all = format!("`testmo-courier replays show {} --batches` lists all", planned.id);
        text.push_str(&format!("  not replayed: {} more; {all}\n", not_tried - named));
    }
    Ok(text)
}

/// Describes what a plan comes to.
fn summary_text(planned: &Planned) -> String {
    let summary = &planned.summary;
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut text = format!(
        "Replay {}: {} of {} selected, {}, about {} in {}.\n",
        planned.id,
        counted(number(summary.tried), "batch", "batches"),
        summary.batches,
        counted(number(summary.cases), "case", "cases"),
        counted(number(summary.requests), "request", "requests"),
        duration(summary.seconds),
    );
    for count in &summary.forecasts {
        let meaning = count.forecast.parse().map_or("", meaning);
        let batches = counted(number(count.batches), "batch", "batches");
        let forecast = count.forecast.replace('_', " ").replace("testmo", "Testmo");
        text.push_str(&format!("  {batches}: {forecast} ({meaning})\n"));
    }
    text
}

fn meaning(forecast: Forecast) -> &'static str {
    match forecast {
        Forecast::Ready => "what is missing is created",
        Forecast::AlreadyInTestmo => "nothing is sent",
        Forecast::OutcomeUnknown => "reconciled before anything is sent",
        Forecast::RefusedAgain => "nothing has changed that this program can see",
        Forecast::NotYet => "the connection, the lane or Testmo does not allow it yet",
        Forecast::Impossible => "cannot be replayed",
    }
}

/// Writes a duration in the unit that fits.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 s".into(),
        2..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use testmo_courier::app::replays::{ForecastCount, PlanSummary, ReplayId};

    use super::*;

    #[test]
    fn a_plan_reads_like_this() {
        let forecasts = Forecast::ALL.into_iter().zip(1..).map(|(forecast, n)| ForecastCount {
            forecast: forecast.name().into(),
            batches: n,
            cases: n * 10,
        });
        let summary = PlanSummary {
            batches: 21,
            tried: 9,
            cases: 90,
            requests: 12,
            seconds: 200,
            parts: 2,
            forecasts: forecasts.collect(),
        };
        insta::assert_snapshot!(summary_text(&Planned { id: ReplayId(7), epoch: 2, summary }));
    }
}
