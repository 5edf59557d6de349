//! Shows programs what a person has to act on.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::attention::{Attention, Cause};
use super::super::connections::{ConnectionRow, Status};
use super::super::lanes::LaneSelector;
use super::super::time::rfc3339;
use super::group::GroupView;

/// What a person has to act on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AttentionView {
    /// Causes with batches that go on only after somebody has acted, those with most batches first.
    groups: Vec<CauseView>,
    /// Connections whose light is not green, red ones first.
    connections: Vec<ConnectionAttentionView>,
    /// Lanes that a person has paused.
    paused: Vec<String>,
    delivered_lately: DeliveredLatelyView,
}

/// A cause, and who has to act on it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct CauseView {
    #[serde(flatten)]
    group: GroupView,
    /// What is wrong, in a sentence.
    sentence: &'static str,
    /// Who has to act: `generator`, `tenant`, `support` or `operator`.
    who_acts: &'static str,
    affected_tenants: usize,
    /// The next command.
    next_command: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ConnectionAttentionView {
    tenant_id: String,
    light: &'static str,
    note: String,
}

/// How many batches were delivered lately.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DeliveredLatelyView {
    batches: u64,
    since: Option<String>,
    /// Whether all are counted; otherwise these are the latest ones.
    is_complete: bool,
}

impl AttentionView {
    /// Shows what a person has to act on.
    pub fn of(attention: &Attention) -> Self {
        let connection = |(row, status): &(ConnectionRow, Status)| ConnectionAttentionView {
            tenant_id: row.tenant.to_string(),
            light: status.light.name(),
            note: status.note(),
        };
        Self {
            groups: attention.causes.iter().map(CauseView::of).collect(),
            connections: attention.connections.iter().map(connection).collect(),
            paused: attention.paused.iter().map(|lane: &LaneSelector| lane.name().to_owned()).collect(),
            delivered_lately: DeliveredLatelyView {
                batches: attention.delivered.batches,
                since: rfc3339(attention.delivered_since),
                is_complete: attention.delivered.is_all,
            },
        }
    }
}

impl CauseView {
    fn of(cause: &Cause) -> Self {
        Self {
            group: GroupView::from(&cause.group),
            sentence: cause.sentence(),
            who_acts: cause.who_acts.name(),
            affected_tenants: cause.group.tenants.len(),
            next_command: cause.next().map(|command| command.line.clone()),
        }
    }
}
