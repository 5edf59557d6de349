//! Tries whether the broker accepts messages of a size, without leaving one behind.

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use uuid::Uuid;

use super::call::{ACCESS_REFUSED, CallError, PRECONDITION_FAILED, limited};
use super::declare::short;
use super::link::Link;

/// Whether the broker accepts messages of a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeAccepted {
    /// It does.
    Yes,
    /// It does not; the broker's reply text.
    No(String),
    /// This user may not try it; the broker's reply text.
    Unknown(String),
}

/// Sends a message of so many bytes to a queue that does not exist. A broker that accepts the size returns the message as
/// unroutable and keeps nothing; another one closes the channel.
///
/// # Errors
/// When the connection fails.
pub async fn accepts(link: &Link, bytes: usize) -> Result<SizeAccepted, CallError> {
    let channel = link.confirm_channel().await?;
    let nowhere = format!("testmo-courier-doctor-{}", Uuid::new_v4());
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let body = vec![b' '; bytes];
    let sending = async {
        channel.basic_publish(short(""), short(&nowhere), options, &body, BasicProperties::default()).await?.await
    };
    match limited("basic.publish", link.rpc_timeout(), sending).await {
        Ok(_) => {
            limited("channel.close", link.rpc_timeout(), channel.close(200, short("OK"))).await?;
            Ok(SizeAccepted::Yes)
        }
        Err(error) => match error.channel_error() {
            Some((PRECONDITION_FAILED, text)) => Ok(SizeAccepted::No(text)),
            Some((ACCESS_REFUSED, text)) => Ok(SizeAccepted::Unknown(text)),
            Some(_) | None => Err(error),
        },
    }
}
