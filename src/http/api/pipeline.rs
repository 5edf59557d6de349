//! Checks a request step by step, carries it out, and answers it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body as RequestBody, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::admin::named::{Named, path_of};
use super::super::admin::problem::{Code, Problem};
use super::super::admin::scope::authorize;
use super::call::Call;
use super::query;
use super::reply::Reply;
use super::route::{Access, Body, Route, Verb};
use super::state::Api;
use crate::app::access::{Answered, BeginRequest, Caller, RepeatableRequest, authenticate, open_link};
use crate::app::actor::{Actor, Face, Role};
use crate::guard::{guarded, may_panic};

/// How long a request waits for others before it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the body of a request may take.
const LONGEST_BODY: Duration = Duration::from_secs(30);
/// How long reading may take.
const LONGEST_READ: Duration = Duration::from_secs(30);
/// How long a change is waited for; it asks Testmo, and goes on after that.
const LONGEST_CHANGE: Duration = Duration::from_secs(120);
/// The most bytes of a body that is no message.
const SMALL: usize = 256 * 1024;
/// The header by which a request can be repeated.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most characters of its value.
const LONGEST_KEY: usize = 255;
/// The largest answer that is kept for the case that the request is repeated, in bytes.
const LARGEST_KEPT: usize = 4_000_000;

/// Answers a request for a route.
pub(super) async fn answer(api: Arc<Api>, route: &'static Route, request: Request) -> Response {
    match take(api, route, request).await {
        Ok(reply) => reply.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn take(api: Arc<Api>, route: &'static Route, mut request: Request) -> Result<Reply, Problem> {
    api.shared.hosts.check(request.headers())?;
    let busy = || Problem::new(Code::Busy, "Too many requests are being carried out.").remedy("Try again.");
    let permit = timeout(LONGEST_WAIT, api.permits.clone().acquire_owned()).await.map_err(|_| busy())?;
    let path = path_of(&mut request).await?;
    let caller = caller_of(&api, route, request.headers(), &path).await?;
    let role = match route.access {
        Access::Token(role) => Some(role),
        Access::Link => None,
    };
    authorize((route.scope, role), &caller, &path)?;
    let query = query::read(route, request.uri().query().unwrap_or_default())?;
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let (parts, body) = request.into_parts();
    // A large body takes memory, so one at a time is read.
    let large = match route.body {
        Body::Message => Some(timeout(LONGEST_WAIT, api.large.clone().acquire_owned()).await.map_err(|_| busy())?),
        Body::None | Body::Json(_) => None,
    };
    let body = body_of(&api, route, &parts.headers, body).await?;
    // What waits for Testmo takes no turn from what does not.
    let permit = match route.reads_testmo {
        true => {
            drop(permit);
            timeout(LONGEST_WAIT, api.slow.clone().acquire_owned()).await.map_err(|_| busy())?
        }
        false => permit,
    };
    let repeatable = repeatable_of(route, &caller, &parts.headers, &target, &body)?;
    let named = Named::Nothing;
    let call = Call { api: api.clone(), caller, path, named, query, target, headers: parts.headers, body };
    let is_read = route.verb == Verb::Get;
    let gone = api.shared.over.child_token();
    // What is read for a client is not read on once the client has gone; a change goes on.
    let _left = is_read.then(|| gone.clone().drop_guard());
    let (end, ended) = oneshot::channel();
    let runtime = Handle::current();
    drop(api.shared.tracker.spawn_blocking(move || {
        let reply = runtime.block_on(gone.run_until_cancelled(change(route, call, repeatable)));
        drop((permit, large));
        // The client may have gone.
        drop(end.send(reply));
    }));
    let too_long = || match is_read {
        true if route.reads_testmo => Problem::new(Code::TookTooLong, "Reading from Testmo took too long.")
            .remedy("Ask for one batch, or use the command line."),
        true => Problem::new(Code::TookTooLong, "Reading took too long."),
        false => Problem::new(Code::TookTooLong, "The request takes long, and goes on.")
            .remedy("Send it again with the same Idempotency-Key, or read what it changes."),
    };
    let longest = if is_read && !route.reads_testmo { LONGEST_READ } else { LONGEST_CHANGE };
    let ended = timeout(longest, ended).await.map_err(|_| too_long())?.map_err(|_| Problem::defect())?;
    ended.unwrap_or_else(|| Err(Problem::new(Code::StoreUnavailable, "The worker is stopping.").remedy("Try again.")))
}

/// Carries out a request; a panic is the end of this request alone.
async fn carried_out(route: &'static Route, call: Call) -> Result<Reply, Problem> {
    let end = guarded(async move {
        may_panic("api", &route.id);
        let named = Named::read(route.scope, call.reach(), call.store(), &call.path).await?;
        (route.handler)(Call { named, ..call }).await
    });
    end.await.unwrap_or_else(|panic| {
        tracing::error!(%panic, route = route.id, "a request to the API stopped because of a defect");
        Err(Problem::defect())
    })
}

/// Carries out a request, unless the same request was carried out before.
async fn change(route: &'static Route, call: Call, repeatable: Option<RepeatableRequest>) -> Result<Reply, Problem> {
    let Some(request) = repeatable else { return carried_out(route, call).await };
    let api = call.api.clone();
    let store = &api.shared.context.store;
    match request.begin(store).await? {
        BeginRequest::Begun => {}
        BeginRequest::Answered(Answered { status, body }) => return Reply::repeated(status, &body),
        BeginRequest::UnderWay => {
            return Err(Problem::new(Code::RequestUnderWay, "The same request is being carried out.")
                .remedy("Send it again in some seconds to get its answer."));
        }
        BeginRequest::OtherRequest => {
            return Err(Problem::parameter(
                Code::KeyReused,
                "Idempotency-Key",
                "The key was used for another request within the last day.",
            )
            .remedy("Use a new key for each request."));
        }
    }
    let end = carried_out(route, call).await;
    // A refused request has changed nothing, so it is carried out when it is sent again.
    let kept = end.as_ref().ok().and_then(|reply| Some(Answered { status: reply.status, body: reply.kept()? }));
    let kept = kept.filter(|answer| answer.body.len() <= LARGEST_KEPT);
    if let Err(error) = request.end(store, kept.as_ref()).await {
        tracing::warn!(%error, "the answer to a request could not be kept");
    }
    end
}

/// Recognizes who sends a request.
async fn caller_of(
    api: &Api,
    route: &Route,
    headers: &HeaderMap,
    path: &BTreeMap<String, String>,
) -> Result<Caller, Problem> {
    let store = &api.shared.context.store;
    if route.access == Access::Link {
        let secret = path.get("link").map(String::as_str).unwrap_or_default();
        let tenant = open_link(store, secret).await.map_err(|error| match Problem::from(error) {
            // The address is the secret, so there is nothing else to say.
            problem if problem.code == Code::Unauthenticated => Problem::not_found("There is no such link any more."),
            problem => problem,
        })?;
        let actor = Actor::new(&format!("link for {tenant}"), Role::Viewer, Face::Console);
        return Ok(Caller { actor, tenant: Some(tenant) });
    }
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let bearer = match (sent.next(), sent.next()) {
        (Some(one), None) => one.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let missing = || {
        Problem::new(Code::Unauthenticated, "The request has no token.")
            .remedy("Send `Authorization: Bearer TOKEN`; `testmo-courier tokens create` makes a token.")
    };
    Ok(authenticate(store, bearer.ok_or_else(missing)?, Face::Api).await?)
}

/// Returns the token of an authorization header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn body_of(api: &Api, route: &Route, headers: &HeaderMap, body: RequestBody) -> Result<Bytes, Problem> {
    let most = match route.body {
        Body::None => 0,
        Body::Json(_) => SMALL,
        Body::Message => api.shared.context.config.amqp.max_message_bytes,
    };
    let too_large = || match route.body {
        Body::None => Problem::new(Code::InvalidParameter, "This request has no body."),
        Body::Json(_) | Body::Message => {
            Problem::new(Code::BodyTooLarge, format!("The body has more than {most} bytes."))
        }
    };
    if !matches!(route.body, Body::None) && !is_json(headers) {
        return Err(Problem::parameter(Code::MediaType, "Content-Type", "The body has to be application/json."));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let read = timeout(LONGEST_BODY, to_bytes(body, most)).await;
    read.map_err(|_| Problem::new(Code::InvalidHeader, "The body was not sent in time."))?.map_err(|_| too_large())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Returns a request with a key by which it is recognized when it is sent again.
fn repeatable_of(
    route: &Route,
    caller: &Caller,
    headers: &HeaderMap,
    target: &str,
    body: &[u8],
) -> Result<Option<RepeatableRequest>, Problem> {
    if route.verb != Verb::Post || !route.changes {
        return Ok(None);
    }
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    let is_key = (1..=LONGEST_KEY).contains(&key.len()) && key.chars().all(|c| c.is_ascii_graphic());
    if !is_key || keys.next().is_some() {
        let why = format!("The key has to be one word of 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID.");
        return Err(Problem::parameter(Code::InvalidHeader, "Idempotency-Key", why));
    }
    Ok(Some(RepeatableRequest::new(&caller.actor, key, &[route.id.as_bytes(), target.as_bytes(), body])))
}
