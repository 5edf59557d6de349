//! Sums up a plan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::batch::replay::Forecast;

/// What a plan comes to. It is kept with the replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanSummary {
    /// How many batches were selected.
    pub batches: u64,
    /// How many of them the replay tries.
    pub tried: u64,
    /// How many cases of these are missing in Testmo.
    pub cases: u64,
    /// How many create requests this is expected to take.
    pub requests: u64,
    /// How many seconds this is expected to take at the accounts' present rates, and at the rate that was asked for.
    pub seconds: u64,
    /// In how many parts, each of one cause at one account, the replay goes.
    pub parts: u64,
    /// How many batches of each forecast there are.
    pub forecasts: Vec<ForecastCount>,
}

/// How many batches have one forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastCount {
    /// The forecast, as its word.
    pub forecast: String,
    /// How many batches.
    pub batches: u64,
    /// How many of their cases are missing in Testmo.
    pub cases: u64,
}

/// Counts batches and cases by forecast.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Forecast, (u64, u64)>);

impl Counts {
    pub(super) fn add(&mut self, forecast: Forecast, cases: u64) {
        let (batches, all) = self.0.entry(forecast).or_default();
        *batches += 1;
        *all += cases;
    }

    pub(super) fn batches(&self) -> u64 {
        self.0.values().map(|(batches, _)| batches).sum()
    }

    /// Returns the batches and cases of what is tried.
    pub(super) fn tried(&self, unchanged_too: bool) -> (u64, u64) {
        let tried = self.0.iter().filter(|(forecast, _)| forecast.is_tried(unchanged_too));
        tried.fold((0, 0), |(batches, cases), (_, (more, of))| (batches + more, cases + of))
    }

    pub(super) fn into_counts(self) -> Vec<ForecastCount> {
        let count = |(forecast, (batches, cases)): (Forecast, (u64, u64))| {
            let forecast = forecast.name().to_owned();
            ForecastCount { forecast, batches, cases }
        };
        self.0.into_iter().map(count).collect()
    }
}

impl PlanSummary {
    /// Returns how many batches have a forecast.
    pub fn of(&self, forecast: Forecast) -> u64 {
        let count = self.forecasts.iter().find(|count| count.forecast == forecast.name());
        count.map_or(0, |count| count.batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_depends_on_whether_unchanged_batches_are() {
        let mut counts = Counts::default();
        counts.add(Forecast::Ready, 3);
        counts.add(Forecast::Ready, 2);
        counts.add(Forecast::RefusedAgain, 10);
        counts.add(Forecast::AlreadyInTestmo, 0);
        assert_eq!((counts.batches(), counts.tried(false), counts.tried(true)), (4, (2, 5), (3, 15)));
        let summary = PlanSummary { forecasts: counts.into_counts(), ..PlanSummary::default() };
        assert_eq!((summary.of(Forecast::Ready), summary.of(Forecast::NotYet)), (2, 0));
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<PlanSummary>(&json).unwrap(), summary);
    }
}
