//! Checks a request step by step, makes its page, and answers it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::body::Body as RequestBody;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::super::admin::carry_out::{Course, SMALL, carry_out, media_type, read_body, turn};
use super::super::admin::named::{Named, path_of};
use super::super::admin::problem::{Code, Problem};
use super::super::admin::scope::{Reach, authorize};
use super::super::connections::Peer;
use super::answer::Answer;
use super::assets::takes_gzip;
use super::cookies;
use super::fields::Fields;
use super::frame::{Frame, Viewer};
use super::notice::Notice;
use super::origin::Reached;
use super::route::{Access, Body, Route, Verb};
use super::state::Console;
use super::visit::Visit;
use crate::app::access::{Caller, NoEntry, open_link, resume};
use crate::app::actor::{Actor, Face, Role};
use crate::app::store_now;
use crate::guard::{guarded, may_panic};

/// What is said while too many others are made.
const BUSY: &str = "Too many pages are being made.";
/// How many bytes a browser may write for one byte of a message.
const WRITTEN_BYTES: usize = 3;

/// A request that cannot be carried out.
#[derive(Template)]
#[template(path = "failed.html")]
struct Failed<'a> {
    frame: Frame,
    problem: &'a Problem,
}

/// Answers a request for a page.
pub(super) async fn answer(console: Arc<Console>, route: &'static Route, request: Request) -> Response {
    let (headers, sender) = (request.headers().clone(), peer(&request));
    let back = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let reached = reached(&console, &headers);
    match take(console.clone(), route, request).await {
        Ok(answer) => answer.into_response(),
        // A person without a session logs in, and is then sent to the page.
        Err(problem) if problem.code == Code::Unauthenticated && route.verb == Verb::Get => {
            let next = Fields::default().query(&[], [("next", back.as_str())]);
            let notice = Notice::mixed(format!("{} Log in to go on.", problem.detail()));
            let to = if back == "/" { "/log-in".to_owned() } else { format!("/log-in?{next}") };
            let answer = Answer::to(&to);
            let had_session = cookies::session(&headers).is_some();
            if had_session { answer.saying(&notice, reached.is_secure) } else { answer }.into_response()
        }
        Err(problem) => shown(&console, (&headers, sender), problem, route.access != Access::Link).await,
    }
}

/// Answers a request that no page is for.
pub(super) async fn refuse(console: &Arc<Console>, request: Request, problem: Problem) -> Response {
    let problem = console.shared.hosts.check(request.headers()).err().unwrap_or(problem);
    shown(console, (request.headers(), peer(&request)), problem, true).await
}

/// Shows a problem, to a person with the navigation.
async fn shown(
    console: &Console,
    (headers, peer): (&HeaderMap, Option<IpAddr>),
    problem: Problem,
    is_of_person: bool,
) -> Response {
    let is_for_people = is_of_person && problem.code != Code::Misdirected;
    let by_proxy = console.proxies.as_ref().and_then(|proxies| proxies.caller(peer, headers));
    let viewer = match (by_proxy, cookies::session(headers)) {
        _ if !is_for_people => None,
        (Some(caller), _) => Some(caller),
        (None, Some(secret)) => resume(&console.shared.context.store, &secret).await.ok(),
        (None, None) => None,
    };
    let title = if problem.code == Code::NotFound { "Not found".to_owned() } else { problem.code.title().to_owned() };
    let frame = Frame { title, viewer: viewer.as_ref().map(Viewer::from), ..Frame::default() };
    let page = Failed { frame, problem: &problem };
    match Answer::page(problem.code.status(), &page) {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    }
}

fn reached(console: &Console, headers: &HeaderMap) -> Reached {
    Reached::of(headers, &console.shared.context.config.admin.public_url)
}

async fn take(console: Arc<Console>, route: &'static Route, mut request: Request) -> Result<Answer, Problem> {
    console.shared.hosts.check(request.headers())?;
    let reached = reached(&console, request.headers());
    if route.verb == Verb::Post {
        reached.check(request.headers())?;
    }
    let permits = if route.access == Access::Anybody { &console.open } else { &console.permits };
    let permit = turn(permits, BUSY).await?;
    let path = path_of(&mut request).await?;
    let session = cookies::session(request.headers());
    let peer = peer(&request);
    let by_proxy = console.proxies.as_ref().and_then(|proxies| proxies.caller(peer, request.headers()));
    let caller = caller_of(&console, route, (session.as_deref(), by_proxy), &path).await?;
    if let (Access::Person(role), Some(caller)) = (route.access, &caller) {
        authorize((route.scope, Some(role)), caller, &path)?;
    }
    let query = Fields::read(request.uri().query().unwrap_or_default().as_bytes(), route.query)?;
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let (parts, body) = request.into_parts();
    let peer = peer.map(|peer| match &console.proxies {
        Some(proxies) => proxies.client(peer, &parts.headers),
        None => peer,
    });
    // A browser that sends a form slowly keeps no one else from a page.
    drop(permit);
    // A message takes memory, so one at a time is read.
    let large = match route.body {
        Body::Message => Some(turn(&console.large, BUSY).await?),
        Body::Small => None,
    };
    let form = form_of(&console, route, &parts.headers, body).await?;
    // What waits for Testmo takes no turn from what does not.
    let permit = turn(if route.reads_testmo { &console.slow } else { permits }, BUSY).await?;
    let notice = cookies::notice(&parts.headers);
    let is_secure = reached.is_secure;
    let visit = Visit {
        now: store_now(&console.shared.context.store),
        console: console.clone(),
        caller,
        path,
        named: Named::Nothing,
        query,
        form,
        target,
        peer,
        session,
        reached,
        takes_gzip: takes_gzip(&parts.headers),
        notice: notice.as_deref().and_then(Notice::read),
    };
    let is_read = route.verb == Verb::Get;
    let course = Course { is_read, reads_testmo: route.reads_testmo };
    let work = move || async move {
        let answer = carried_out(route, visit).await;
        drop((permit, large));
        answer
    };
    let answer = carry_out(&console.shared, course, || too_long(is_read), work).await?;
    Ok(if notice.is_some() && is_read { answer.having_said(is_secure) } else { answer })
}

fn too_long(is_read: bool) -> Problem {
    match is_read {
        true => Problem::new(Code::TookTooLong, "Reading took too long.").remedy("Narrow what is shown, or try again."),
        false => Problem::new(Code::TookTooLong, "The change takes long, and goes on.")
            .remedy("Open the page again in a minute to see what became of it."),
    }
}

/// Makes a page; a panic is the end of this request alone.
async fn carried_out(route: &'static Route, visit: Visit) -> Result<Answer, Problem> {
    let end = guarded(async move {
        may_panic("console", &route.id);
        let named = match &visit.caller {
            Some(caller) => Named::read(route.scope, Reach::of(caller), visit.store(), &visit.path).await?,
            None => Named::Nothing,
        };
        (route.handler)(Visit { named, ..visit }).await
    });
    end.await.unwrap_or_else(|panic| {
        tracing::error!(%panic, route = route.id, "a page of the console stopped because of a defect");
        Err(Problem::defect())
    })
}

/// Returns the address at the other end of the connection.
fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|Peer(address)| *address)
}

/// Recognizes who sends a request.
async fn caller_of(
    console: &Console,
    route: &Route,
    (session, by_proxy): (Option<&str>, Option<Caller>),
    path: &BTreeMap<String, String>,
) -> Result<Option<Caller>, Problem> {
    let store = &console.shared.context.store;
    match route.access {
        Access::Anybody => Ok(None),
        Access::Link => {
            let secret = path.get("link").map(String::as_str).unwrap_or_default();
            let tenant = open_link(store, secret).await.map_err(|error| match error {
                NoEntry::Store(error) => Problem::from(error),
                // The address is the secret, so there is nothing else to say.
                NoEntry::Unknown | NoEntry::Revoked | NoEntry::Expired => {
                    Problem::not_found("This link is not valid any more.")
                        .remedy("Open the page again from where you came.")
                }
            })?;
            let actor = Actor::new(&format!("link for {tenant}"), Role::Admin, Face::Console);
            Ok(Some(Caller { actor, tenant: Some(tenant) }))
        }
        Access::Person(_) if by_proxy.is_some() => Ok(by_proxy),
        Access::Person(_) => {
            let nobody = || Problem::new(Code::Unauthenticated, "You are not logged in.").remedy("Log in at /log-in.");
            let caller = resume(store, session.ok_or_else(nobody)?).await.map_err(|error| match error {
                NoEntry::Store(error) => Problem::from(error),
                NoEntry::Unknown | NoEntry::Revoked | NoEntry::Expired => {
                    Problem::new(Code::Unauthenticated, "Your session is over.").remedy("Log in at /log-in.")
                }
            })?;
            Ok(Some(caller))
        }
    }
}

async fn form_of(console: &Console, route: &Route, headers: &HeaderMap, body: RequestBody) -> Result<Fields, Problem> {
    if route.verb == Verb::Get {
        return Ok(Fields::default());
    }
    let most = match route.body {
        Body::Small => SMALL,
        Body::Message => {
            console.shared.context.config.amqp.max_message_bytes.saturating_mul(WRITTEN_BYTES).saturating_add(SMALL)
        }
    };
    let too_large = || Problem::new(Code::BodyTooLarge, format!("The form has more than {most} bytes."));
    let bytes = read_body(headers, body, most, too_large).await?;
    if !bytes.is_empty() && !media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(Code::MediaType, "The request is not a form of this console."));
    }
    Fields::read(&bytes, route.form)
}
