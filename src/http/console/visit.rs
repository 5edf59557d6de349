//! Holds a request that was checked, and reads its parts as checked types.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::super::admin::named::{self, Named};
use super::super::admin::problem::Problem;
use super::super::admin::scope::Reach;
use super::answer::Answer;
use super::fields::Fields;
use super::frame::{Frame, Viewer};
use super::moment::Moment;
use super::notice::Notice;
use super::origin::Reached;
use super::state::Console;
use crate::app::access::Caller;
use crate::app::actor::Actor;
use crate::app::{AppContext, BatchKey, Store, TenantId};

/// A request by somebody who may send it.
pub(super) struct Visit {
    pub(super) console: Arc<Console>,
    /// Who sends it; nobody who is known on pages for everybody.
    pub(super) caller: Option<Caller>,
    pub(super) path: BTreeMap<String, String>,
    /// The entry that the path names, if the page says that it names one.
    pub(super) named: Named,
    pub(super) query: Fields,
    pub(super) form: Fields,
    /// The path and the query as they were sent, without the host.
    pub(super) target: String,
    pub(super) peer: Option<IpAddr>,
    /// The secret of the session.
    pub(super) session: Option<String>,
    pub(super) reached: Reached,
    /// What the page before has left to say.
    pub(super) notice: Option<Notice>,
    /// Whether the browser takes an answer that gzip has compressed.
    pub(super) takes_gzip: bool,
    pub(super) now: i64,
}

impl Visit {
    /// Returns what use cases work with.
    pub(super) fn context(&self) -> &AppContext {
        &self.console.shared.context
    }

    /// Returns the store.
    pub(super) fn store(&self) -> &Store {
        &self.context().store
    }

    /// Returns who sends the request.
    ///
    /// # Errors
    /// On a page for everybody, which is a defect.
    pub(super) fn actor(&self) -> Result<&Actor, Problem> {
        self.caller.as_ref().map(|caller| &caller.actor).ok_or_else(Problem::defect)
    }

    /// Returns the tenants of which the caller may name something.
    ///
    /// # Errors
    /// On a page for everybody, which is a defect.
    pub(super) fn reach(&self) -> Result<Reach<'_>, Problem> {
        self.caller.as_ref().map(Reach::of).ok_or_else(Problem::defect)
    }

    /// Reads a parameter of the path.
    pub(super) fn path<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.path.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(Problem::not_found)
    }

    /// Returns the tenant that the path names, or whose link it has.
    pub(super) fn tenant(&self) -> Result<TenantId, Problem> {
        match self.path.contains_key("tenant") {
            true => self.path("tenant"),
            false => self.reach()?.own().cloned().ok_or_else(Problem::defect),
        }
    }

    /// Reads the batch in the path.
    pub(super) fn batch(&self) -> Result<BatchKey, Problem> {
        named::batch(&self.path).map_err(Problem::not_found)
    }

    /// Returns the reason that a person gave in the form.
    pub(super) fn because(&self) -> Option<&str> {
        self.form.text("because")
    }

    /// Returns a time as the page shows it.
    pub(super) fn at(&self, ms: i64) -> Moment {
        Moment { at: ms, now: self.now }
    }

    /// Returns what is around a page, with the command that does the same.
    pub(super) fn frame(&self, section: &'static str, title: impl Into<String>, command: impl Into<String>) -> Frame {
        Frame {
            title: title.into(),
            section,
            viewer: self.caller.as_ref().map(Viewer::from),
            command: Some(command.into()).filter(|command| !command.is_empty()),
            notice: self.notice.clone(),
            searched: String::new(),
            live: 0,
            now: self.now,
        }
    }

    /// Sends the browser to another page of the console, which says something.
    pub(super) fn go(&self, address: &str, notice: &Notice) -> Answer {
        Answer::to(address).saying(notice, self.reached.is_secure)
    }
}
