//! Keeps the trend. What workers add to it decides nothing, so that no call of theirs fails or takes time here.

use async_trait::async_trait;
use testmo_courier::store::trend::{Addition, TrendStep, Width};
use testmo_courier::store::{StoreError, TrendStore};

use super::StoreOf;
use super::tables::Tables;

impl Tables {
    fn add_to_trend(&mut self, addition: &Addition, now: i64) {
        let Addition { source, number, at, counts } = addition;
        let noted = self.trend_sources.get(source);
        if noted.is_some_and(|(noted, _)| noted >= number) {
            return;
        }
        self.trend_sources.insert(source.clone(), (*number, now));
        for width in Width::ALL {
            let step = self.trend.entry((width, width.begin_of(*at))).or_default();
            *step = step.and(*counts);
        }
    }

    fn trend_since(&self, width: Width, since: i64) -> Vec<TrendStep> {
        let steps = self.trend.range((width, since)..=(width, i64::MAX));
        steps.map(|((_, began_at), counts)| TrendStep { began_at: *began_at, counts: *counts }).collect()
    }

    fn forget_trend(&mut self, now: i64) -> u64 {
        let before = self.trend.len();
        self.trend.retain(|(width, began_at), _| *began_at >= now - width.kept_ms());
        self.trend_sources.retain(|_, (_, added_at)| *added_at >= now - Width::Coarse.kept_ms());
        (before - self.trend.len()) as u64
    }
}

#[async_trait]
impl TrendStore for StoreOf {
    async fn add_to_trend(&self, addition: &Addition) -> Result<(), StoreError> {
        self.store.at_once(|tables, now| tables.add_to_trend(addition, now));
        Ok(())
    }

    async fn trend(&self, width: Width, since: i64) -> Result<Vec<TrendStep>, StoreError> {
        Ok(self.store.at_once(|tables, _| tables.trend_since(width, since)))
    }

    async fn forget_trend(&self) -> Result<u64, StoreError> {
        Ok(self.store.at_once(|tables, now| tables.forget_trend(now)))
    }
}
