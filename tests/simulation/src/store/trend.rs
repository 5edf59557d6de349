//! Keeps the trend. What workers add to it decides nothing, so that no call of theirs fails or takes time here.

use async_trait::async_trait;
use testmo_courier::store::trend::{Counts, TrendStep, Width};
use testmo_courier::store::{StoreError, TrendStore};

use super::StoreOf;
use super::tables::Tables;

impl Tables {
    fn add_to_trend(&mut self, at: i64, counts: Counts) {
        for width in Width::ALL {
            let step = self.trend.entry((width, width.begin_of(at))).or_default();
            *step = step.and(counts);
        }
    }

    fn trend_since(&self, width: Width, since: i64) -> Vec<TrendStep> {
        let steps = self.trend.range((width, since)..=(width, i64::MAX));
        steps.map(|((_, began_at), counts)| TrendStep { began_at: *began_at, counts: *counts }).collect()
    }

    fn forget_trend(&mut self, now: i64) -> u64 {
        let before = self.trend.len();
        self.trend.retain(|(width, began_at), _| *began_at >= now - width.kept_ms());
        (before - self.trend.len()) as u64
    }
}

#[async_trait]
impl TrendStore for StoreOf {
    async fn add_to_trend(&self, at: i64, counts: Counts) -> Result<(), StoreError> {
        self.store.at_once(|tables, _| tables.add_to_trend(at, counts));
        Ok(())
    }

    async fn trend(&self, width: Width, since: i64) -> Result<Vec<TrendStep>, StoreError> {
        Ok(self.store.at_once(|tables, _| tables.trend_since(width, since)))
    }

    async fn forget_trend(&self) -> Result<u64, StoreError> {
        Ok(self.store.at_once(|tables, now| tables.forget_trend(now)))
    }
}
