//! Gets batches into Testmo: finds their folder, reconciles, claims, sends, records, and decides what follows.

mod accepted;
mod answer_ids;
mod apply;
mod cause;
mod claim;
mod failure;
mod folder;
mod folder_cache;
mod folder_creation;
mod folder_list;
mod generation;
mod hold_back;
mod job;
mod look_up;
mod lost_fields;
mod match_rows;
mod next_step;
mod project_fields;
mod reads;
mod reconcile;
mod record;
mod refresh;
mod response_diff;
mod run;
mod send;
mod settle_time;
mod share;
mod state;
mod suspects;
mod unsent;
mod written;

pub(super) use self::hold_back::hold_back;
pub(super) use self::next_step::PAUSED;
pub(super) use self::run::deliver;
pub(super) use self::state::Delivery;
