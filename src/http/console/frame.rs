//! Holds what every page has around its content.

use super::assets;
use super::notice::Notice;
use crate::app::access::Caller;
use crate::app::actor::Role;
use crate::app::time::rfc3339;

/// Who looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) name: String,
    pub(super) role: Role,
    /// The only tenant of which they may name anything.
    pub(super) tenant: Option<String>,
}

impl From<&Caller> for Viewer {
    fn from(caller: &Caller) -> Self {
        Self {
            name: caller.actor.name().to_owned(),
            role: caller.actor.role,
            tenant: caller.tenant.as_ref().map(ToString::to_string),
        }
    }
}

/// What every page has around its content.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    /// What the page is called.
    pub(super) title: String,
    /// The address of the entry of the navigation that the page belongs to.
    pub(super) section: &'static str,
    pub(super) viewer: Option<Viewer>,
    /// The command that does the same.
    pub(super) command: Option<String>,
    pub(super) notice: Option<Notice>,
    /// What was searched for.
    pub(super) searched: String,
    /// After how many seconds the live parts of the page are read again; 0 if it has none.
    pub(super) live: u32,
    /// When the page was made, in milliseconds on the store's clock.
    pub(super) now: i64,
}

/// An entry of the navigation.
struct Section {
    address: &'static str,
    name: &'static str,
    /// The key that opens it, after `g`.
    key: &'static str,
    role: Role,
    /// Whether it concerns all tenants.
    is_for_all: bool,
}

const fn section(address: &'static str, name: &'static str, key: &'static str) -> Section {
    Section { address, name, key, role: Role::Viewer, is_for_all: false }
}

/// The entries of the navigation.
const SECTIONS: [Section; 9] = [
    section("/", "Needs attention", "a"),
    section("/failures", "Failures", "f"),
    Section { is_for_all: true, ..section("/replays", "Replays", "r") },
    section("/tenants", "Tenants", "t"),
    section("/batches", "Batches", "b"),
    section("/discarded", "Discarded", "d"),
    Section { role: Role::Operator, ..section("/lanes", "Lanes", "l") },
    section("/audit", "Audit", "u"),
    Section { role: Role::Admin, is_for_all: true, ..section("/tokens", "Tokens", "k") },
];

impl Frame {
    /// Returns the entries of the navigation that the viewer can use: address, name and key.
    pub(super) fn sections(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let Some(viewer) = &self.viewer else { return Vec::new() };
        let may = |of: &&Section| viewer.role >= of.role && (!of.is_for_all || viewer.tenant.is_none());
        SECTIONS.iter().filter(may).map(|of| (of.address, of.name, of.key)).collect()
    }

    /// Returns the time at which the page was made, as scripts read it.
    pub(super) fn time(&self) -> String {
        rfc3339(self.now).unwrap_or_default()
    }

    /// Returns the address of a file that pages load.
    pub(super) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// Says why the viewer may not do what needs a role, or nothing if they may.
    pub(super) fn barred(&self, needs: Role) -> Option<String> {
        let viewer = self.viewer.as_ref()?;
        let has = viewer.role;
        (has < needs).then(|| format!("needs the role {}, and you have {}", needs.name(), has.name()))
    }

    /// Says why the viewer may not do what operators do.
    pub(super) fn operate(&self) -> Option<String> {
        self.barred(Role::Operator)
    }

    /// Says why the viewer may not do what admins do.
    pub(super) fn administer(&self) -> Option<String> {
        self.barred(Role::Admin)
    }

    /// Says why the viewer may not do what operators do for all tenants.
    pub(super) fn operate_all(&self) -> Option<String> {
        let tenant = self.viewer.as_ref().and_then(|viewer| viewer.tenant.as_ref());
        let of_one = tenant.map(|_| "needs a token that is not for one tenant alone".to_owned());
        self.operate().or(of_one)
    }

    /// Returns whether the viewer sees every tenant.
    pub(super) fn sees_all(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.tenant.is_none())
    }
}
