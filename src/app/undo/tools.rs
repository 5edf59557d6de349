//! What an undo works with.

use crate::app::AppContext;
use crate::config;
use crate::store::UndoStorage;
use crate::tenants::Tenants;
use crate::testmo::Client;

/// The store, the connections in it, and the way to Testmo.
#[derive(Clone, Copy, Debug)]
pub struct Tools<'a> {
    /// Where batches and undos are kept.
    pub store: &'a dyn UndoStorage,
    /// The tenants' connections.
    pub tenants: &'a Tenants,
    /// Sends requests.
    pub client: &'a Client,
    /// How long requests take, and may take effect.
    pub config: &'a config::Testmo,
}

impl<'a> Tools<'a> {
    /// Takes them from where use cases have them.
    pub fn of(context: &'a AppContext, client: &'a Client) -> Self {
        Self { store: &context.store, tenants: &context.tenants, client, config: &context.config.testmo }
    }
}
