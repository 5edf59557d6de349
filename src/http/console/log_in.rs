//! Pages: logging in and out, and the files that pages load.

use std::time::Instant;

use askama::Template;

use super::super::admin::problem::{Code, Problem};
use super::answer::Answer;
use super::assets::asset;
use super::frame::Frame;
use super::notice::{Notice, is_own_page};
use super::route::{Access, Route, Scope, Verb};
use super::visit::Visit;
use crate::app::access::{self, NoEntry};
use crate::app::actor::Role;

pub(super) const ROUTES: &[Route] = &[
    Route {
        id: "logInPage",
        path: "/log-in",
        access: Access::Anybody,
        scope: Scope::Nothing,
        query: &["next"],
        handler: |visit| Box::pin(show(visit)),
        ..Route::SHOW
    },
    Route {
        id: "logIn",
        path: "/log-in",
        access: Access::Anybody,
        scope: Scope::Nothing,
        form: &["token", "next"],
        handler: |visit| Box::pin(log_in(visit)),
        ..Route::ACT
    },
    Route {
        id: "logOut",
        path: "/log-out",
        access: Access::Person(Role::Viewer),
        scope: Scope::Nothing,
        handler: |visit| Box::pin(log_out(visit)),
        ..Route::ACT
    },
    Route {
        id: "asset",
        verb: Verb::Get,
        path: "/assets/{name}",
        access: Access::Anybody,
        scope: Scope::Nothing,
        query: &["v"],
        handler: |visit| Box::pin(file(visit)),
        ..Route::SHOW
    },
];

/// The page on which a token is entered.
#[derive(Template)]
#[template(path = "log_in.html")]
struct LogIn {
    frame: Frame,
    /// Whether a token was ever created.
    is_open: bool,
    /// Whether a token may be entered here.
    is_safe: bool,
    /// Why the last one was refused.
    refused: Option<String>,
    /// Where it goes then.
    next: String,
}

async fn page(visit: &Visit, status: u16, refused: Option<String>, next: &str) -> Result<Answer, Problem> {
    let page = LogIn {
        frame: visit.frame("", "Log in", "testmo-courier tokens create NAME --role operator"),
        is_open: access::is_open(visit.store()).await?,
        is_safe: visit.reached.is_safe,
        refused,
        next: own_page(next).unwrap_or_default().to_owned(),
    };
    Answer::page(status, &page)
}

async fn show(visit: Visit) -> Result<Answer, Problem> {
    page(&visit, 200, None, visit.query.raw("next")).await
}

async fn log_in(visit: Visit) -> Result<Answer, Problem> {
    let next = visit.form.raw("next");
    if !visit.reached.is_safe {
        return page(&visit, 403, None, next).await;
    }
    let peer = visit.peer.ok_or_else(Problem::defect)?;
    if let Err(wait) = visit.console.attempts.begin(peer, Instant::now()) {
        let seconds = wait.as_secs().max(1);
        let why = format!("Too many tokens were refused. Try again in {seconds} s.");
        return Ok(page(&visit, 429, Some(why), next).await?.try_again_in(seconds));
    }
    let Some(token) = visit.form.text("token") else {
        return page(&visit, 422, Some("Enter your token. It begins with tc_.".into()), next).await;
    };
    match access::log_in(visit.store(), token).await {
        Ok(secret) => {
            visit.console.attempts.forgive(peer);
            let to = own_page(next).unwrap_or("/");
            Ok(Answer::to(to).with_session(Some(&secret), visit.reached.is_secure))
        }
        Err(NoEntry::Store(error)) => Err(error.into()),
        Err(error @ (NoEntry::Unknown | NoEntry::Revoked | NoEntry::Expired)) => {
            let why = match error {
                NoEntry::Revoked => "This token was revoked.",
                NoEntry::Expired => "This token has expired.",
                NoEntry::Unknown | NoEntry::Store(_) => "This token is not known.",
            };
            page(&visit, 422, Some(format!("{why} Ask an admin for a new one.")), next).await
        }
    }
}

async fn log_out(visit: Visit) -> Result<Answer, Problem> {
    if let Some(secret) = &visit.session {
        access::log_out(visit.store(), secret).await?;
    }
    let answer = visit.go("/log-in", &Notice::good("You are logged out."));
    Ok(answer.with_session(None, visit.reached.is_secure))
}

async fn file(visit: Visit) -> Result<Answer, Problem> {
    let name: String = visit.path("name")?;
    let asset = asset(&name).ok_or_else(|| Problem::new(Code::NotFound, "There is no such file."))?;
    Ok(Answer::asset(asset, asset.is(visit.query.raw("v")), visit.takes_gzip))
}

/// Returns an address if it is one of a page of the console.
fn own_page(address: &str) -> Option<&str> {
    Some(address).filter(|address| is_own_page(address))
}
