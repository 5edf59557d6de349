//! Reads which route a path names, and which verbs the route accepts.

use crate::request::Method;
use crate::response::Response;

/// A route below `/api/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/user`
    User,
    /// `/projects`
    Projects,
    /// `/projects/{id}`
    Project(u64),
    /// `/projects/{id}/folders`
    Folders(u64),
    /// `/projects/{id}/cases`
    Cases(u64),
    /// `/projects/{id}/templates`
    Templates(u64),
    /// `/projects/{id}/fields`
    Fields(u64),
    /// `/projects/{id}/states`
    States(u64),
    /// `/projects/{id}/tags`
    Tags(u64),
    /// `/projects/{id}/users`
    Users(u64),
    /// `/projects/{id}/statuses`
    Statuses(u64),
    /// `/projects/{id}/configs`
    Configs(u64),
    /// `/projects/{id}/repos`
    Repos(u64),
    /// `/issues/connections`
    IssueConnections,
}

impl Route {
    /// Reads a path such as `/api/v1/projects/1/cases`. There is no route for a single case or folder (recorded).
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix("/api/v1/")?.split('/');
        let named = (parts.next()?, parts.next(), parts.next(), parts.next());
        match named {
            ("user", None, ..) => Some(Self::User),
            ("projects", None, ..) => Some(Self::Projects),
            ("issues", Some("connections"), None, _) => Some(Self::IssueConnections),
            ("projects", Some(id), below, None) => Self::of_project(id.parse().ok()?, below),
            _ => None,
        }
    }

    /// Returns the project in the path.
    pub fn project_id(self) -> Option<u64> {
        match self {
            Self::User | Self::Projects | Self::IssueConnections => None,
            Self::Project(id)
            | Self::Folders(id)
            | Self::Cases(id)
            | Self::Templates(id)
            | Self::Fields(id)
            | Self::States(id)
            | Self::Tags(id)
            | Self::Users(id)
            | Self::Statuses(id)
            | Self::Configs(id)
            | Self::Repos(id) => Some(id),
        }
    }

    /// Returns the verbs that the route accepts.
    pub fn verbs(self) -> &'static [Method] {
        match self {
            Self::Folders(_) | Self::Cases(_) => &[Method::Get, Method::Post, Method::Patch, Method::Delete],
            Self::User
            | Self::Projects
            | Self::Project(_)
            | Self::Templates(_)
            | Self::Fields(_)
            | Self::States(_)
            | Self::Tags(_)
            | Self::Users(_)
            | Self::Statuses(_)
            | Self::Configs(_)
            | Self::Repos(_)
            | Self::IssueConnections => &[Method::Get],
        }
    }

    /// Returns 405 with Laravel's text, which lists the accepted verbs (recorded).
    pub(crate) fn refuse_verb(self, method: Method, path: &str) -> Response {
        let verbs: Vec<&str> = self.verbs().iter().map(|verb| verb.name()).collect();
        let supported = verbs.join(", ").replacen("GET", "GET, HEAD", 1);
        let (verb, route) = (method.name(), path.trim_start_matches('/'));
        let text = format!("The {verb} method is not supported for route {route}. Supported methods: {supported}.");
        Response::message(405, &text).with_header("allow", supported)
    }

    fn of_project(id: u64, below: Option<&str>) -> Option<Self> {
        match below {
            None => Some(Self::Project(id)),
            Some("folders") => Some(Self::Folders(id)),
            Some("cases") => Some(Self::Cases(id)),
            Some("templates") => Some(Self::Templates(id)),
            Some("fields") => Some(Self::Fields(id)),
            Some("states") => Some(Self::States(id)),
            Some("tags") => Some(Self::Tags(id)),
            Some("users") => Some(Self::Users(id)),
            Some("statuses") => Some(Self::Statuses(id)),
            Some("configs") => Some(Self::Configs(id)),
            Some("repos") => Some(Self::Repos(id)),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_paths_are_routes() {
        for (path, route) in [
            ("/api/v1/user", Some(Route::User)),
            ("/api/v1/projects", Some(Route::Projects)),
            ("/api/v1/projects/3", Some(Route::Project(3))),
            ("/api/v1/projects/3/cases", Some(Route::Cases(3))),
            ("/api/v1/projects/3/folders", Some(Route::Folders(3))),
            ("/api/v1/projects/3/statuses", Some(Route::Statuses(3))),
            ("/api/v1/projects/3/configs", Some(Route::Configs(3))),
            ("/api/v1/projects/3/repos", Some(Route::Repos(3))),
            ("/api/v1/issues/connections", Some(Route::IssueConnections)),
            ("/api/v1/projects/3/cases/3712", None),
            ("/api/v1/projects/3/folders/4", None),
            ("/api/v1/cases/3712", None),
            ("/api/v1/projects/three/cases", None),
            ("/api/v1/user/7", None),
            ("/api/v2/user", None),
            ("/", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
