//! Describes a route: what it is, who may use it, what it takes and what it returns.

use std::pin::Pin;

use axum::routing::MethodFilter;
use schemars::{Schema, SchemaGenerator};

use super::super::admin::problem::Problem;
pub(super) use super::super::admin::scope::Scope;
use super::call::Call;
use super::reply::Reply;
use crate::app::actor::Role;

/// Carries out a request, on a thread that nothing else waits for.
pub(super) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Reply, Problem>>>>;

/// Returns the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What is done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Creates or replaces.
    Put,
    /// Removes.
    Delete,
}

impl Verb {
    /// Returns the method.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Returns the filter of the router.
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// The holder of a token with this role, or one that may do more.
    Token(Role),
    /// The holder of a tenant's link, whose secret is in the path.
    Link,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A text, with an example.
    Text(&'static str),
    /// A whole number from one to another.
    Number(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of some words.
    Word(fn() -> Vec<&'static str>),
    /// One of such values, which has to be given.
    Needed(&'static Kind),
}

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// There is none.
    None,
    /// JSON of a type.
    Json(SchemaOf),
    /// A message as generators publish it, unread and up to the size that the worker accepts.
    Message,
}

/// The body of an answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// JSON of a type.
    Json(SchemaOf),
    /// JSON of a type, or CSV with a line for each case where that is asked for.
    JsonOrCsv(SchemaOf),
    /// Bytes as they were published.
    Bytes,
}

/// Whether a change names the state that it starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// It does not.
    None,
    /// It needs `If-Match`, or `If-None-Match: *` where there is nothing yet.
    Tenant,
}

/// A route.
pub(super) struct Route {
    /// Its name in the OpenAPI document.
    pub(super) id: &'static str,
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) access: Access,
    pub(super) scope: Scope,
    pub(super) query: &'static [Parameter],
    pub(super) body: Body,
    pub(super) precondition: Precondition,
    /// The status of success, and what is returned then.
    pub(super) answers: &'static [(u16, Answer)],
    /// The statuses of refusal beside those that follow from the rest of the route.
    pub(super) refusals: &'static [u16],
    /// Whether a POST changes something, so that an answer to an Idempotency-Key is kept.
    pub(super) changes: bool,
    /// Whether it reads lists from Testmo, which takes as long as the pace of the account says.
    pub(super) reads_testmo: bool,
    pub(super) handler: Handler,
}

impl Route {
    /// Reads for every token.
    pub(super) const READ: Self = Self {
        id: "",
        verb: Verb::Get,
        path: "",
        about: "",
        access: Access::Token(Role::Viewer),
        scope: Scope::Rows,
        query: &[],
        body: Body::None,
        precondition: Precondition::None,
        answers: &[],
        refusals: &[],
        changes: false,
        reads_testmo: false,
        handler: |_| Box::pin(async { Err(Problem::defect()) }),
    };

    /// Changes something on behalf of an operator.
    pub(super) const CHANGE: Self =
        Self { verb: Verb::Post, access: Access::Token(Role::Operator), changes: true, ..Self::READ };

    /// Returns the names of the parameters in the path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Returns every status with which a request is refused.
    pub(super) fn refused_with(&self) -> Vec<u16> {
        let mut all = vec![400, 421, 500, 503];
        all.extend_from_slice(self.refusals);
        all.extend((self.access != Access::Link).then_some(401));
        let needs_more = matches!(self.access, Access::Token(role) if role > Role::Viewer);
        all.extend((needs_more || self.scope == Scope::All).then_some(403));
        all.extend((self.path_parameters().next().is_some() || self.scope == Scope::Rows).then_some(404));
        if !matches!(self.body, Body::None) {
            all.extend([413, 415]);
        }
        if matches!(self.body, Body::Json(_)) {
            all.push(422);
        }
        if self.precondition == Precondition::Tenant {
            all.extend([412, 428]);
        }
        if self.verb == Verb::Post && self.changes {
            all.extend([409, 422]);
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}
