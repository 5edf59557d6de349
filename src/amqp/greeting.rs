//! Reads what a broker says before anybody logs in: its certificate, its product and its version.

use std::io;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::tcp::OwnedTLSConfig;
use tokio::time::timeout;

use super::address::Address;
use super::certificates::certificates;
use super::dial::{Socket, certificate, dial};
use crate::config::Amqp;

/// What a client of AMQP 0-9-1 sends first.
const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// The type of a frame that holds a method, on channel 0.
const METHOD: [u8; 3] = [1, 0, 0];
/// The most bytes of the frame in which a broker introduces itself; RabbitMQ sends about 500.
const LONGEST: u32 = 64 * 1024;

/// How a broker introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Its name, for instance `RabbitMQ`.
    pub product: Option<String>,
    /// Its version, for instance `3.13.7`.
    pub version: Option<String>,
    /// The certificate of an `amqps` address, in DER.
    pub certificate: Option<Vec<u8>>,
}

/// Reads how the broker introduces itself, and disconnects. No user and no password is sent.
///
/// # Errors
/// When nothing answers within `amqp.connect_timeout`, TLS is not established, or it is no AMQP 0-9-1.
pub async fn greeting(config: &Amqp) -> io::Result<Greeting> {
    let address = Address::parse(&config.url).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let tls = certificates(config).map_err(|unusable| io::Error::other(unusable.cause))?;
    match timeout(config.connect_timeout, read(&address, &tls)).await {
        Ok(greeting) => greeting,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn read(address: &Address, tls: &OwnedTLSConfig) -> io::Result<Greeting> {
    let mut socket = dial(&address.uri(), tls).await?;
    let certificate = certificate(&socket).map(<[u8]>::to_vec);
    let frame = introduction(&mut socket).await?;
    Ok(Greeting { product: text(&frame, "product"), version: text(&frame, "version"), certificate })
}

/// Returns the frame in which the broker introduces itself.
async fn introduction(socket: &mut Socket) -> io::Result<Vec<u8>> {
    socket.write_all(HEADER).await?;
    socket.flush().await?;
    let (mut kind, mut length) = ([0; 3], [0; 4]);
    socket.read_exact(&mut kind).await?;
    socket.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length);
    if kind != METHOD || length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    socket.read_exact(&mut frame).await?;
    Ok(frame)
}

/// Returns a text of the table that introduces a server: a short string for its name, `S` for its type, and the text with
/// its length in four bytes.
fn text(frame: &[u8], name: &str) -> Option<String> {
    let length = u8::try_from(name.len()).ok()?;
    let key = [&[length], name.as_bytes(), b"S"].concat();
    let at = frame.windows(key.len()).position(|window| window == key)? + key.len();
    let (length, rest) = frame.get(at..)?.split_first_chunk::<4>()?;
    let value = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_from_the_table_by_its_name_and_a_cut_one_is_not() {
        let frame = b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x30\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8";
        assert_eq!(text(frame, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(text(frame, "version").as_deref(), Some("3.10.8"));
        assert_eq!(text(frame, "platform"), None);
        assert_eq!(text(&frame[..frame.len() - 1], "version"), None);
    }
}
