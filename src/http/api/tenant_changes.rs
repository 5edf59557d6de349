//! Routes: enters, verifies and removes the connections of tenants.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::super::admin::problem::{Code, Problem};
use super::call::Call;
use super::etag::{Expected, tag};
use super::reply::Reply;
use super::route::{Access, Answer, Body, Kind, Parameter, Precondition, Route, Scope, Verb};
use crate::app::actor::Role;
use crate::app::connections::remove::{Removal, RemoveError, remove};
use crate::app::connections::set::{ConnectionInput, Expiry, clean_key, prepare};
use crate::app::connections::verify::verify;
use crate::app::connections::{MappingSpec, connection, status};
use crate::app::view::{SavedView, VerifiedView};
use crate::app::{read_day, store_now};

/// The largest id that every reader of JSON reads exactly.
pub(super) const LARGEST_ID: u64 = 9_007_199_254_740_991;

const DRY_RUN: Parameter = Parameter {
    name: "dry_run",
    about: "Verifies what was entered and returns the result, but saves nothing.",
    kind: Kind::Flag,
};

const PURGE: Parameter =
    Parameter { name: "purge", about: "Also discards the tenant's batches on the shelf.", kind: Kind::Flag };

pub(super) const REASON: Parameter =
    Parameter { name: "reason", about: "Why, for the audit.", kind: Kind::Text("the contract has ended") };

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "putTenant",
        verb: Verb::Put,
        path: "/api/v1/tenants/{tenant}",
        about: "Enters a tenant's connection, verifies it, and returns whether it works. One that does not work is saved, \
                too, but a connection that was verified before stays in force until the new one works.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        query: &[DRY_RUN],
        body: Body::Json(|g| g.subschema_for::<ConnectionBody>()),
        precondition: Precondition::Tenant,
        answers: &[
            (200, Answer::Json(|g| g.subschema_for::<SavedView>())),
            (201, Answer::Json(|g| g.subschema_for::<SavedView>())),
        ],
        refusals: &[409],
        handler: |call| Box::pin(put(call)),
        ..Route::CHANGE
    },
    Route {
        id: "verifyTenant",
        path: "/api/v1/tenants/{tenant}/verify",
        about: "Verifies a tenant's connection, which only reads from Testmo. A change that was not in force is put in \
                force if it works.",
        scope: Scope::Path,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<VerifiedView>()))],
        handler: |call| Box::pin(verify_one(call)),
        ..Route::CHANGE
    },
    Route {
        id: "deleteTenant",
        verb: Verb::Delete,
        path: "/api/v1/tenants/{tenant}",
        about: "Removes a tenant's connection. The records of its finished batches stay.",
        access: Access::Token(Role::Admin),
        scope: Scope::Path,
        query: &[PURGE, REASON],
        precondition: Precondition::Tenant,
        answers: &[(200, Answer::Json(|g| g.subschema_for::<RemovedView>()))],
        refusals: &[409],
        handler: |call| Box::pin(delete(call)),
        ..Route::CHANGE
    },
];

/// A connection as a person enters it: the fields of a settings page.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConnectionBody {
    /// The address of the Testmo instance, such as `https://acme.testmo.net`.
    base_url: String,
    /// The id of the project.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    project_id: u64,
    /// The id of the folder in the project.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    folder_id: u64,
    /// The API key, which is never returned. If it is left out, the stored one is kept; another base URL needs it again.
    #[serde(default)]
    api_key: Option<String>,
    /// The day on which the API key expires, such as 2027-12-31, or null if it does not or nobody knows. If it is left out,
    /// the stored day is kept with its key.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    api_key_expires_on: Option<Option<String>>,
    /// How cases become fields of Testmo; see docs/mapping.md. If it is left out, the stored one is kept.
    #[serde(default)]
    mapping: Option<Map<String, Value>>,
    /// Drops parts of a change that is not in force, in place of adding to them.
    #[serde(default)]
    discard_change: bool,
}

/// Reads a member that is there, so that null differs from a member that is left out.
fn given<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

/// What was removed.
#[derive(Debug, Serialize, JsonSchema)]
struct RemovedView {
    tenant_id: String,
    /// How many entries of the shelf were discarded.
    discarded_entries: usize,
}

impl ConnectionBody {
    fn input(self, call: &Call) -> Result<(ConnectionInput, Option<SecretString>), Problem> {
        let wrong = |pointer: &str, why: String| Problem::new(Code::InvalidBody, why).at(pointer);
        for (pointer, id) in [("/project_id", self.project_id), ("/folder_id", self.folder_id)] {
            if !(1..=LARGEST_ID).contains(&id) {
                return Err(wrong(pointer, format!("`{id}` is not an id. Write the number that Testmo shows.")));
            }
        }
        let expires = match self.api_key_expires_on {
            None => Expiry::Kept,
            Some(None) => Expiry::None,
            Some(Some(day)) => Expiry::On(read_day(&day).map_err(|why| wrong("/api_key_expires_on", why))?),
        };
        let read = |mapping: Map<String, Value>| {
            let text = Value::Object(mapping).to_string();
            MappingSpec::from_json(&text).map_err(|why| wrong("/mapping", why))
        };
        if self.api_key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return Err(wrong("/api_key", "The API key is empty. Leave it out to keep the stored one.".into()));
        }
        let key = self.api_key.map(|key| clean_key(&key));
        let input = ConnectionInput {
            tenant: call.tenant()?,
            base_url: Some(self.base_url),
            project: Some(self.project_id),
            folder: Some(self.folder_id),
            expires,
            mapping: self.mapping.map(read).transpose()?,
            new_api_key: key.is_some(),
            discard_change: self.discard_change,
            source: None,
        };
        Ok((input, key))
    }
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let expected = Expected::of(&call.headers)?;
    let (input, key) = call.json::<ConnectionBody>()?.input(&call)?;
    let (context, store) = (call.context(), call.store());
    let prepared = prepare(context, input).await?;
    expected.check(prepared.stored())?;
    let is_new = prepared.stored().is_none();
    let is_tried = call.flag("dry_run");
    let saved = if is_tried {
        prepared.try_out(context, call.actor(), key).await?
    } else {
        prepared.save(context, call.actor(), key).await?
    };
    let status = status(store, &saved.row).await?;
    let reply =
        Reply::json(if is_new && !is_tried { 201 } else { 200 }, &SavedView::of(&saved, &status, store_now(store)))?;
    Ok(if is_tried { reply } else { reply.tagged(&tag(&saved.row)) })
}

async fn verify_one(call: Call) -> Result<Reply, Problem> {
    let (context, tenant) = (call.context(), call.tenant()?);
    connection(call.store(), &tenant).await?;
    let verified = verify(context, call.actor(), &context.client()?, &tenant).await?;
    let verified = verified.ok_or_else(|| Problem::not_found("There is no connection any more."))?;
    let status = status(call.store(), &verified.row).await?;
    Reply::json(200, &VerifiedView::of(&verified, &status, store_now(call.store())))
}

/// Why a tenant is not removed.
enum Kept {
    Refused(RemoveError),
    Unexpected(Problem),
}

impl From<RemoveError> for Kept {
    fn from(error: RemoveError) -> Self {
        Self::Refused(error)
    }
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let expected = Expected::of(&call.headers)?;
    let tenant = call.tenant()?;
    let check = async |removal: &Removal| {
        expected.check(Some(&removal.connection)).map_err(Kept::Unexpected)?;
        Ok(true)
    };
    let reason = call.query.get("reason").map(String::as_str);
    let end = remove(
        (call.store(), &call.context().config.tenants),
        call.actor(),
        &tenant,
        call.flag("purge"),
        reason,
        check,
    )
    .await;
    if let Some(error) = end.pause_error {
        tracing::warn!(%error, %tenant, "the pause of a tenant that was not removed could not be ended; it ends in 10 minutes");
    }
    match end.result {
        Ok(discarded_entries) => Reply::json(200, &RemovedView { tenant_id: tenant.to_string(), discarded_entries }),
        Err(Kept::Refused(error)) => Err(error.into()),
        Err(Kept::Unexpected(problem)) => Err(problem),
    }
}
