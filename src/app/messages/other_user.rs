//! Refuses to publish a batch for a tenant whose batches have to come from another user of the broker.

use super::message::Message;
use crate::amqp::user_of;
use crate::batch::TenantId;
use crate::config::{Amqp, TenantBinding};

/// A batch that workers would refuse, because another user of the broker has to publish it.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing was published: amqp.tenant_binding is user_id, so the broker's user `{tenant}` has to publish the batches of tenant \
     `{tenant}`, and the configured user is `{user}`"
)]
pub struct OtherUser {
    tenant: TenantId,
    user: String,
    user_setting: &'static str,
    password_setting: &'static str,
}

impl OtherUser {
    /// Returns what a person can do.
    pub fn remedy(&self) -> String {
        let Self { tenant, user_setting, password_setting, .. } = self;
        format!("run the command with the user `{tenant}` in {user_setting}, and its password in {password_setting}")
    }
}

/// Returns the user whose name a message has to carry, if tenants are bound to users.
///
/// # Errors
/// When the message is a batch of another tenant.
pub(super) fn user_for(config: &Amqp, message: &Message) -> Result<Option<String>, OtherUser> {
    if config.tenant_binding != TenantBinding::UserId {
        return Ok(None);
    }
    // An address that cannot be read is reported when the connection is opened.
    let Some(user) = user_of(config) else { return Ok(None) };
    match &message.key {
        Some(key) if key.tenant.as_str() != user => {
            let (user_setting, password_setting) = settings(config);
            Err(OtherUser { tenant: key.tenant.clone(), user, user_setting, password_setting })
        }
        Some(_) | None => Ok(Some(user)),
    }
}

/// Returns the variables that replace the user and the password where they are configured now; beside others, they would
/// contradict those.
fn settings(config: &Amqp) -> (&'static str, &'static str) {
    let written = &config.written;
    let address = if written.url_file.is_some() { "the file of COURIER_AMQP__URL_FILE" } else { "COURIER_AMQP__URL" };
    let user = if written.user.is_empty() { address } else { "COURIER_AMQP__USER" };
    let password = match (&written.password_file, written.has_password) {
        (Some(_), _) => "the file of COURIER_AMQP__PASSWORD_FILE",
        (None, true) => "COURIER_AMQP__PASSWORD",
        (None, false) => address,
    };
    (user, password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn config(environment: &[(&str, &str)]) -> Amqp {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(&Sources { environment, ..Sources::default() }).unwrap().amqp
    }

    fn message(tenant: &str) -> Message {
        let body = format!(
            r#"{{"schema_version":1,"batch_id":"b-1","tenant_id":"{tenant}","generated_at":"2026-11-23T09:30:00Z",
                "cases":[{{"name":"Log in"}}]}}"#
        );
        Message::of(body.into_bytes())
    }

    const BINDING: &str = "COURIER_AMQP__TENANT_BINDING";

    #[test]
    fn a_batch_carries_the_user_of_its_tenant_and_no_other() {
        let acme = config(&[(BINDING, "user_id"), ("AMQP_URL", "amqp://acme:hunter2@h")]);
        assert_eq!(user_for(&acme, &message("acme")).unwrap().as_deref(), Some("acme"));
        assert_eq!(user_for(&acme, &Message::of(b"{".to_vec())).unwrap().as_deref(), Some("acme"));
        let refused = user_for(&acme, &message("birch")).unwrap_err();
        let said = format!("{refused} {} {refused:?}", refused.remedy());
        assert!(
            said.contains("has to publish the batches of tenant `birch`, and the configured user is `acme`"),
            "{said}"
        );
        assert!(said.contains("the user `birch` in COURIER_AMQP__URL") && !said.contains("hunter2"), "{said}");
        for binding in ["none", "routing_key"] {
            let config = config(&[(BINDING, binding), ("AMQP_URL", "amqp://acme:hunter2@h")]);
            assert_eq!(user_for(&config, &message("birch")).unwrap(), None);
        }
        let escaped = config(&[(BINDING, "user_id"), ("AMQP_URL", "amqp://a%40b:x@h")]);
        assert_eq!(user_for(&escaped, &message("a@b")).unwrap().as_deref(), Some("a@b"));
    }

    #[test]
    fn the_remedy_names_the_settings_that_replace_those_in_force() {
        let own = [
            ("AMQP_URL", "amqp://h"),
            ("COURIER_AMQP__USER", "u"),
            ("COURIER_AMQP__PASSWORD", "p"),
            (BINDING, "user_id"),
        ];
        assert_eq!(settings(&config(&own)), ("COURIER_AMQP__USER", "COURIER_AMQP__PASSWORD"));
        let user_in_address = [("AMQP_URL", "amqp://u@h"), ("COURIER_AMQP__PASSWORD", "p")];
        assert_eq!(settings(&config(&user_in_address)), ("COURIER_AMQP__URL", "COURIER_AMQP__PASSWORD"));
        assert_eq!(settings(&config(&[])), ("COURIER_AMQP__URL", "COURIER_AMQP__URL"));
    }
}
