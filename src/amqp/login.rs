//! Has the next connection to the broker be opened with another password.

use tokio::sync::watch;

use crate::config::Amqp;

/// The address at which a connection is opened the next time.
#[derive(Clone)]
pub struct Login(watch::Sender<String>);

impl Login {
    pub(super) fn of(config: &Amqp) -> Self {
        Self(watch::Sender::new(config.url.clone()))
    }

    /// Returns a login for no connection.
    pub(super) fn unused() -> Self {
        Self(watch::Sender::new(String::new()))
    }

    /// Sets the address, which differs in its password alone, for the next time; an open connection stays as it is.
    pub fn renew(&self, url: String) {
        self.0.send_replace(url);
    }

    /// Returns a configuration with the present address.
    pub(super) fn applied_to(&self, config: &Amqp) -> Amqp {
        Amqp { url: self.0.borrow().clone(), ..config.clone() }
    }
}
