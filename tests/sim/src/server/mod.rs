//! Runs the stand-in as tasks of the current runtime, on its own port.

mod answer_body;
mod clock;
mod connections;
mod control;
mod control_body;
mod exchange;
mod handle;
mod shared;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

pub use control_body::{RoleWish, TokenWish};
pub use handle::AccountHandle;

use crate::world::{AccountSpec, SpecError};
use shared::Shared;

/// A running stand-in, which stops when this value is dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Server {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
    }

    /// Starts on this listener.
    pub fn on(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        shared.tasks.spawn(connections::accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, address })
    }

    /// Returns the address on which the stand-in listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL of an account, as a tenant enters it: `http://127.0.0.1:PORT/acme`.
    pub fn origin(&self, account: &str) -> String {
        format!("http://{}/{account}", self.address)
    }

    /// Returns the handle of an account, which creates, reads and disturbs it.
    pub fn account(&self, name: &str) -> AccountHandle {
        AccountHandle::new(Arc::clone(&self.shared), name)
    }

    /// Creates an account, or replaces the one with this name.
    pub fn create(&self, name: &str, spec: AccountSpec) -> Result<AccountHandle, SpecError> {
        let handle = self.account(name);
        handle.create(spec)?;
        Ok(handle)
    }

    /// Cuts all connections and waits until every task has ended.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
