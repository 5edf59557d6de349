//! Takes the address of the API and the console.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::failure::Failure;

/// Listens on `admin.listen`, before anything else starts, so that an address in use is a mistake that a person sees at once.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {address} ({error})"), "free the address, or change admin.listen")
    })
}
