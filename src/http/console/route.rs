//! Describes a page: what it is, who may open it, and what it takes.

use std::pin::Pin;

use super::super::admin::problem::Problem;
pub(super) use super::super::admin::scope::Scope;
use super::answer::Answer;
use super::visit::Visit;
use crate::app::actor::Role;

/// Makes a page, on a thread that nothing else waits for.
pub(super) type Handler = fn(Visit) -> Pin<Box<dyn Future<Output = Result<Answer, Problem>>>>;

/// What is done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Shows.
    Get,
    /// Does something, or checks what was entered.
    Post,
}

/// Who may open a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody who reaches it.
    Anybody,
    /// A person with this role, or one that may do more.
    Person(Role),
    /// The holder of a tenant's link, whose secret is in the path.
    Link,
}

/// How large a form may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The usual fields.
    Small,
    /// With a message.
    Message,
}

/// A page.
pub(super) struct Route {
    /// Its name in tests and in the log.
    pub(super) id: &'static str,
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) scope: Scope,
    /// The names in its query.
    pub(super) query: &'static [&'static str],
    /// The names in its form.
    pub(super) form: &'static [&'static str],
    pub(super) body: Body,
    /// Whether it reads from Testmo, which takes as long as the pace of the account says.
    pub(super) reads_testmo: bool,
    pub(super) handler: Handler,
}

impl Route {
    /// Shows something to every person.
    pub(super) const SHOW: Self = Self {
        id: "",
        verb: Verb::Get,
        path: "",
        access: Access::Person(Role::Viewer),
        scope: Scope::Rows,
        query: &[],
        form: &[],
        body: Body::Small,
        reads_testmo: false,
        handler: |_| Box::pin(async { Err(Problem::defect()) }),
    };

    /// Does something on behalf of an operator.
    pub(super) const ACT: Self = Self { verb: Verb::Post, access: Access::Person(Role::Operator), ..Self::SHOW };
}
