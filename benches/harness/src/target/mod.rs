//! Runs the target of the contestants' requests: a separate process that answers Testmo's calls, fast enough not to
//! limit a measurement, and takes orders on its standard input.
//!
//! An account is the part of the path before `/api/v1`; its first request creates it.

mod connection;
pub(crate) mod order;
mod wire;
mod world;

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::{JoinSet, LocalSet};

use self::connection::Shared;
use self::order::Order;
use self::world::World;

/// Serves until standard input ends; prints `ready PORT` first, then an answer for each order.
pub(crate) fn main() -> anyhow::Result<()> {
    // One thread is fast enough, and needs no locks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve()))
}

async fn serve() -> anyhow::Result<()> {
    let world = Shared::new(RefCell::new(World::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&format!("ready {}", listener.local_addr()?.port()))?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn_local(connection::serve(stream, Rc::clone(&world)));
            }
            Some(_) = connections.join_next() => {}
            line = orders.next_line() => match line? {
                None => return Ok(()),
                Some(line) => tell(&obey(&line, &world)?)?,
            },
        }
    }
}

fn obey(line: &str, world: &Shared) -> anyhow::Result<String> {
    let order: Order = serde_json::from_str(line).with_context(|| format!("an order, not {line}"))?;
    let mut world = world.borrow_mut();
    Ok(match order {
        Order::Reset(manner) => {
            world.reset(manner);
            "{}".to_owned()
        }
        Order::Report => serde_json::to_string(&world.report())?,
        Order::Refusals => serde_json::to_string(&world.refusals())?,
    })
}

fn tell(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}
