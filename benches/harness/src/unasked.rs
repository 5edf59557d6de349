//! Implements what no benchmark asks of its store.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::store::audit::AuditEntry;
use testmo_courier::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};
use testmo_courier::store::instances::StartRule;
use testmo_courier::store::replays::{
    EndedItem, NewItem, NewPart, NewReplay, ReplayChange, ReplayId, ReplayState, ReplayStep, RunningReplay, WaitingItem,
};
use testmo_courier::store::shelf::{ShelfId, Shelved};
use testmo_courier::store::trend::{Addition, TrendStep, Width};
use testmo_courier::store::{FolderStore, InstanceStore, ReplayStore, StoreError, TrendStore};

use crate::storeless::Storeless;

#[async_trait]
impl ReplayStore for Storeless {
    async fn lease_replays(
        &self,
        _: &str,
        _: Duration,
        _: u32,
        _: &[(ReplayId, i64)],
    ) -> Result<Vec<RunningReplay>, StoreError> {
        Ok(Vec::new())
    }

    async fn waiting_items(&self, _: ReplayId, _: u32, _: u32) -> Result<Vec<WaitingItem>, StoreError> {
        Ok(Vec::new())
    }

    async fn ended_items(&self, _: ReplayId, _: u32) -> Result<Vec<EndedItem>, StoreError> {
        Ok(Vec::new())
    }

    async fn end_lost_items(&self, _: ReplayId, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn advance(&self, _: ReplayStep) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn entry(&self, _: ShelfId) -> Result<Option<Shelved>, StoreError> {
        Ok(None)
    }

    async fn create_replay(&self, _: NewReplay, _: AuditEntry) -> Result<ReplayId, StoreError> {
        Err(StoreError::Closed)
    }

    async fn add_items(&self, _: ReplayId, _: &[NewPart], _: &[NewItem]) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn change_replay(&self, _: ReplayChange) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn replay_counts(&self) -> Result<Vec<(ReplayState, u64)>, StoreError> {
        Ok(Vec::new())
    }

    async fn stopped_replays(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget_replays(&self, _: Duration, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl FolderStore for Storeless {
    async fn claim_folder(&self, _: &NewFolder, _: &str, _: Duration) -> Result<FolderClaim, StoreError> {
        Ok(FolderClaim::Granted { created: Vec::new() })
    }

    async fn begin_folder_request(&self, _: &NewFolder, _: &str, _: &FolderLimits) -> Result<FolderPermit, StoreError> {
        Ok(FolderPermit::Granted)
    }

    async fn release_folder(&self, _: &NewFolder, _: &str, _: &FolderEnd) -> Result<(), StoreError> {
        Ok(())
    }

    async fn known_folder(&self, _: &NewFolder) -> Result<Option<KnownFolder>, StoreError> {
        Ok(None)
    }

    async fn forget_folder(&self, _: &NewFolder, _: u64) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl InstanceStore for Storeless {
    async fn begin_instance(&self, _name: &str, _run: &str) -> Result<StartRule, StoreError> {
        Ok(StartRule::default())
    }

    async fn end_instance(&self, _name: &str, _run: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn set_in_hand(&self, _name: &str, _run: &str, _hash: Option<&str>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn suspicions(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(BTreeSet::new())
    }

    async fn drop_suspicion(&self, _hash: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl TrendStore for Storeless {
    async fn add_to_trend(&self, _: &Addition) -> Result<(), StoreError> {
        Ok(())
    }

    async fn trend(&self, _width: Width, _since: i64) -> Result<Vec<TrendStep>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget_trend(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}
