//! Starts the stand-in from a shell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Parser;
use testmo_sim::Server;
use testmo_sim::world::AccountSpec;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for Testmo's REST API, with faults to order.
///
/// Accounts are served below their name, http://ADDRESS/NAME/api/v1/..., and controlled below
/// http://ADDRESS/_sim/. There is no protection of any kind: keep it on the loopback address.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on; port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// A JSON object of accounts by name, in the form of PUT /_sim/accounts/{name}.
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,

    /// Allow an address that other machines can reach, as containers need it.
    #[arg(long)]
    allow_any_address: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is what a caller waits for on stdout")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.listen.ip().is_loopback() || arguments.allow_any_address,
        "{} can be reached by others; say --allow-any-address if that is meant",
        arguments.listen
    );
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let accounts = read_accounts(arguments.accounts)?;
    let listener = TcpListener::bind(arguments.listen).await;
    let server = Server::on(listener.with_context(|| format!("cannot listen on {}", arguments.listen))?)?;
    for (name, spec) in accounts {
        server.create(&name, spec).with_context(|| format!("account {name:?}"))?;
    }
    println!("listening http://{}", server.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    Ok(())
}

fn read_accounts(file: Option<PathBuf>) -> anyhow::Result<BTreeMap<String, AccountSpec>> {
    let Some(file) = file else { return Ok(BTreeMap::new()) };
    let text = std::fs::read_to_string(&file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot use {}", file.display()))
}
