//! Compares permits and overrides.

use std::sync::Arc;

use testmo_courier::store::AccountStore;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};

use super::{Both, Call, shown};

impl Both {
    /// Asks which accounts are paused, and for how long.
    pub(super) async fn pauses(&mut self) -> Call {
        let (accounts, now) = ([self.account(), self.account()].map(Arc::from), self.clock.now());
        let real = self.real.pauses(&accounts).await.expect("an answer");
        ("pauses", shown(&real), shown(&self.memory.pauses(&accounts, now)))
    }

    /// Asks for a permit.
    pub(super) async fn permit(&mut self) -> Call {
        let (account, lease, now) = (self.account(), self.wait(), self.clock.now());
        let tenant = self.rng.bool().then(|| self.tenant());
        let real = self.real.permit(&account, tenant.as_ref(), lease).await.expect("an answer");
        ("permit", shown(&real), shown(&self.memory.permit(&account, tenant.as_ref(), lease, now)))
    }

    /// Orders something for a lane.
    pub(super) async fn lane_override(&mut self) -> Call {
        let lane =
            if self.rng.bool() { LaneSelector::Tenant(self.tenant()) } else { LaneSelector::Account(self.account()) };
        let (paused, most) = (self.rng.u8(..3) == 0, self.one_of(&[None, None, Some(1), Some(2)]));
        let (order, now) = (LaneOverride { lane, paused, most }, self.clock.now());
        self.real.set_lane_override(&order).await.expect("stored");
        ("set_lane_override", shown(&()), shown(&self.memory.set_lane_override(&order, now)))
    }
}
