//! Decides of which tenants a request may name something.

use std::collections::BTreeMap;

use super::problem::{Code, Problem};
use crate::app::access::Caller;
use crate::app::actor::{Role, require};
use crate::app::lanes::LaneSelector;
use crate::app::shelf::{self, EntryName, Selection, SelectionError};
use crate::app::{Store, TenantId};

/// What a request over a route names, which decides whether a caller for one tenant may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Scope {
    /// The path names the tenant: any other than the caller's is not found.
    Path,
    /// The path names an entry of the shelf: one of another tenant is not found.
    Entry,
    /// The path names a discarded entry: one of another tenant is not found.
    Discarded,
    /// The handler shows and changes only rows of the caller's tenant.
    Rows,
    /// The route concerns all tenants, so such a caller may not use it.
    All,
    /// The route shows nothing of any tenant.
    Nothing,
}

/// The tenants of which a caller may name something: one, or all of them.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Reach<'a>(Option<&'a TenantId>);

impl<'a> Reach<'a> {
    /// Returns the tenants of a caller.
    pub(in crate::http) fn of(caller: &'a Caller) -> Self {
        Self(caller.tenant.as_ref())
    }

    /// Returns the only tenant, if it is one.
    pub(in crate::http) fn own(self) -> Option<&'a TenantId> {
        self.0
    }

    /// Returns whether these are all tenants.
    pub(in crate::http) fn is_all(self) -> bool {
        self.0.is_none()
    }

    /// Returns the tenant whose rows are meant: the one that is named, if the caller may name it, or the caller's.
    ///
    /// # Errors
    /// When the caller may not name it.
    pub(in crate::http) fn only(self, named: Option<TenantId>) -> Result<Option<TenantId>, Problem> {
        match (self.0, named) {
            (None, named) => Ok(named),
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(named)) if *own == named => Ok(Some(named)),
            (Some(_), Some(named)) => Err(no_tenant(named.as_str())),
        }
    }

    /// Returns whether the caller may know of something that belongs to a tenant, or to nobody who is known.
    pub(in crate::http) fn may_know(self, tenant: Option<&TenantId>) -> bool {
        self.0.is_none_or(|own| tenant == Some(own))
    }

    /// Returns whether the caller may know of the order for a lane: an account is shared by tenants.
    pub(in crate::http) fn may_know_lane(self, lane: &LaneSelector) -> bool {
        self.0.is_none_or(|own| matches!(lane, LaneSelector::Tenant(tenant) if tenant == own))
    }

    /// Checks the name of a lane.
    ///
    /// # Errors
    /// When the caller may not name it.
    pub(in crate::http) fn check_lane(self, lane: &str) -> Result<(), Problem> {
        if self.0.is_none_or(|own| own.as_str() == lane) {
            return Ok(());
        }
        let shown: String = lane.chars().take(100).collect();
        Err(Problem::not_found(format!("No connection is stored for {shown}.")))
    }

    /// Checks the entries that a selection names one by one; a filter means only what the caller may know.
    ///
    /// # Errors
    /// When the caller may not know of one of them, or the store does not answer.
    pub(in crate::http) async fn check(self, store: &Store, selection: &Selection) -> Result<(), Problem> {
        let (Selection::Named(names), Some(own)) = (selection, self.0) else { return Ok(()) };
        for name in names {
            let is_foreign = match name {
                EntryName::Batch(key) => key.tenant != *own,
                EntryName::Id(_) | EntryName::Message(_) => {
                    let entries = shelf::show(store, std::slice::from_ref(name)).await?;
                    !entries.iter().all(|entry| self.may_know(entry.tenant()))
                }
            };
            if is_foreign {
                return Err(SelectionError::NotOnShelf(name.clone()).into());
            }
        }
        Ok(())
    }
}

/// Decides whether a caller may use a route that needs a role, for the tenant that the path names.
///
/// # Errors
/// When the caller may not.
pub(in crate::http) fn authorize(
    (scope, role): (Scope, Option<Role>),
    caller: &Caller,
    path: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    // First what is not found, so that another tenant's things are not found for every role.
    if let (Scope::Path, Some(own)) = (scope, &caller.tenant) {
        let named = path.get("tenant").map(String::as_str).unwrap_or_default();
        if named != own.as_str() {
            return Err(no_tenant(named));
        }
    }
    if let Some(role) = role {
        require(&caller.actor, role).map_err(|error| Problem::new(Code::RoleTooLow, error))?;
    }
    if scope == Scope::All && caller.tenant.is_some() {
        return Err(Problem::new(Code::NotForTenantTokens, "The token is for one tenant, and this concerns all.")
            .remedy("Use a token that is not limited to a tenant."));
    }
    Ok(())
}

/// Says that a tenant is not known to the caller.
fn no_tenant(name: &str) -> Problem {
    let shown: String = name.chars().take(64).collect();
    Problem::not_found(format!("There is no tenant {shown}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::actor::{Actor, Face};

    fn caller(role: Role, tenant: Option<&str>) -> Caller {
        Caller { actor: Actor::new("anna", role, Face::Api), tenant: tenant.map(|tenant| tenant.parse().unwrap()) }
    }

    #[test]
    fn a_caller_for_one_tenant_names_no_other() {
        let (all, one) = (caller(Role::Viewer, None), caller(Role::Viewer, Some("acme")));
        let (acme, birch): (TenantId, TenantId) = ("acme".parse().unwrap(), "birch".parse().unwrap());
        let only = |caller: &Caller, named: Option<&TenantId>| {
            Reach::of(caller).only(named.cloned()).map_err(|problem| problem.code)
        };
        assert_eq!([only(&all, None), only(&all, Some(&birch))], [Ok(None), Ok(Some(birch.clone()))]);
        assert_eq!([only(&one, None), only(&one, Some(&acme))], [Ok(Some(acme.clone())), Ok(Some(acme.clone()))]);
        assert_eq!(only(&one, Some(&birch)), Err(Code::NotFound));
        let reach = Reach::of(&one);
        assert!(reach.may_know(Some(&acme)) && !reach.may_know(Some(&birch)) && !reach.may_know(None));
        let account = LaneSelector::Account("https://acme.testmo.net".into());
        assert!(reach.may_know_lane(&LaneSelector::Tenant(acme)) && !reach.may_know_lane(&account));
        assert!(reach.check_lane("acme").is_ok() && reach.check_lane("https://acme.testmo.net").is_err());
        assert!(Reach::of(&all).may_know(None) && Reach::of(&all).check_lane("x").is_ok());
    }

    #[test]
    fn what_is_not_found_comes_before_the_role_and_what_concerns_all_after_it() {
        let path = |tenant: &str| BTreeMap::from([("tenant".to_owned(), tenant.to_owned())]);
        let end = |scope, caller: &Caller, tenant| {
            authorize((scope, Some(Role::Operator)), caller, &path(tenant)).map_err(|problem| problem.code)
        };
        let (viewer, operator) = (caller(Role::Viewer, Some("acme")), caller(Role::Operator, Some("acme")));
        assert_eq!(end(Scope::Path, &viewer, "birch"), Err(Code::NotFound));
        assert_eq!(end(Scope::Path, &viewer, "acme"), Err(Code::RoleTooLow));
        assert_eq!(end(Scope::All, &viewer, ""), Err(Code::RoleTooLow));
        assert_eq!(end(Scope::All, &operator, ""), Err(Code::NotForTenantTokens));
        for scope in [Scope::Path, Scope::Entry, Scope::Discarded, Scope::Rows, Scope::Nothing] {
            assert_eq!(end(scope, &operator, "acme"), Ok(()), "{scope:?}");
        }
        assert_eq!(end(Scope::All, &caller(Role::Operator, None), ""), Ok(()));
    }
}
