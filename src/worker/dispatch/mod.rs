//! Decides who works on what, and when: lanes, work under way, and what becomes of each batch in hand.

mod background;
mod closed_accounts;
mod command;
mod dispatcher;
mod in_flight;
mod limits;
mod paused;
mod report;
mod set_aside;
mod shed;
mod work_tasks;

pub(super) use self::command::DispatcherCommand;
pub use self::command::View;
pub(super) use self::dispatcher::Dispatcher;
pub(super) use self::in_flight::AckTarget;
