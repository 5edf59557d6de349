//! Takes messages from the queues and from the shelf, as fast as there is room.

pub(super) mod consumer;
mod decompress;
mod settle;
pub(super) mod shelf_poller;
pub(super) mod undeliverable;
mod window;
