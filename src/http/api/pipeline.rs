//! Checks a request step by step, carries it out, and answers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body as RequestBody, Bytes};
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};

use super::super::admin::carry_out::{Course, SMALL, carry_out, media_type, read_body, turn};
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

/// What is said while too many others are carried out.
const BUSY: &str = "Too many requests are being carried out.";
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
    let permit = turn(&api.permits, BUSY).await?;
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
    // A client that sends a body slowly keeps nobody else from a turn.
    drop(permit);
    // A large body takes memory, so one at a time is read.
    let large = match route.body {
        Body::Message => Some(turn(&api.large, BUSY).await?),
        Body::None | Body::Json(_) => None,
    };
    let body = body_of(&api, route, &parts.headers, body).await?;
    // What waits for Testmo takes no turn from what does not.
    let permit = turn(if route.reads_testmo { &api.slow } else { &api.permits }, BUSY).await?;
    let repeatable = repeatable_of(route, &caller, &parts.headers, &target, &body)?;
    let named = Named::Nothing;
    let call = Call { api: api.clone(), caller, path, named, query, target, headers: parts.headers, body };
    let is_read = route.verb == Verb::Get;
    let too_long = || match is_read {
        true if route.reads_testmo => Problem::new(Code::TookTooLong, "Reading from Testmo took too long.")
            .remedy("Ask for one batch, or use the command line."),
        true => Problem::new(Code::TookTooLong, "Reading took too long."),
        false => Problem::new(Code::TookTooLong, "The request takes long, and goes on.")
            .remedy("Send it again with the same Idempotency-Key, or read what it changes."),
    };
    let course = Course { is_read, reads_testmo: route.reads_testmo };
    let work = move || async move {
        let reply = change(route, call, repeatable).await;
        drop((permit, large));
        reply
    };
    carry_out(&api.shared, course, too_long, work).await
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
    if !matches!(route.body, Body::None) && !media_type(headers).eq_ignore_ascii_case("application/json") {
        return Err(Problem::parameter(Code::MediaType, "Content-Type", "The body has to be application/json."));
    }
    read_body(headers, body, most, too_large).await
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
