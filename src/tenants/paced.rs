//! May a connection be looked at now? The account's gate holds for looks as for pushes, and a look can close it.

use super::connection::Tenants;
use super::verify::{Examined, examine};
use crate::batch::Reason;
use crate::batch::written::WrittenMapping;
use crate::store::StoreError;
use crate::testmo::{Access, Client};

impl Tenants {
    /// Looks at a connection, and finds out what the names in its mapping stand for; asks nothing while the account
    /// wants to be left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn examine(
        &self,
        client: &Client,
        access: &Access,
        project: u64,
        folder: u64,
        written: &WrittenMapping,
    ) -> Result<Examined, StoreError> {
        let account = access.origin.as_str();
        if let Some(wait) = self.store().gate(account).await? {
            let seconds = wait.as_secs() + 1;
            let detail = format!("Testmo asked for a pause, and {seconds} s of it are left; it was not asked again");
            return Ok(Examined::failed(Reason::Throttled, detail));
        }
        let examined = examine(client, access, project, folder, written).await;
        if let Some(pause) = examined.pause {
            self.store().close_gate(account, pause).await?;
        }
        Ok(examined)
    }
}
