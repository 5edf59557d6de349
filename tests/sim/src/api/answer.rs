//! Checks a request in Testmo's order, and passes it to its route.

use super::lookups::{list_configs, list_statuses};
use super::refusal::{broken_json, forbidden, no_such_project, no_such_route, too_large, unauthenticated};
use super::route::Route;
use crate::model::{Account, DateHeader, User};
use crate::request::{Body, Method, Request};
use crate::response::Response;
use crate::time::Time;

impl Account {
    /// Answers one request; `now` is the true time, to which the account adds its clock skew.
    pub fn handle(&mut self, request: &Request, now: Time) -> Response {
        let now = now.plus(self.settings.clock_skew_ms);
        let answer = self.judge(request, now).unwrap_or_else(|refusal| refusal);
        match self.settings.date_header {
            DateHeader::Right => answer.dated(now),
            DateHeader::Missing => answer,
            DateHeader::Garbled => answer.with_header("date", "now".into()),
            DateHeader::Shifted(ms) => answer.dated(now.plus(ms)),
        }
    }

    fn judge(&mut self, request: &Request, now: Time) -> Result<Response, Response> {
        if request.body_bytes > self.settings.body_limit_bytes {
            return Err(too_large());
        }
        let route = Route::of(&request.path).filter(|route| self.is_on(*route));
        let route = route.ok_or_else(|| no_such_route(&request.path))?;
        if !route.verbs().contains(&request.method) {
            return Err(route.refuse_verb(request.method, &request.path));
        }
        let user = self.caller(request)?.clone();
        self.check_rights(route, request.method, &user)?;
        if request.body == Body::Broken {
            return Err(broken_json());
        }
        self.serve(route, request, &user, now)
    }

    fn serve(&mut self, route: Route, request: &Request, user: &User, now: Time) -> Result<Response, Response> {
        match (route, request.method) {
            (Route::Folders(project), Method::Post) => self.create_folders(project, request, now),
            (Route::Folders(project), Method::Patch) => self.change_folders(project, request),
            (Route::Folders(project), Method::Delete) => self.delete_folders(project, request),
            (Route::Cases(project), Method::Post) => self.create_cases(project, request, user, now),
            (Route::Cases(project), Method::Patch) => self.patch_cases(project, request, user, now),
            (Route::Cases(project), Method::Delete) => self.delete_cases(project, request),
            (Route::User, _) => Ok(self.show_user(user)),
            (Route::Projects, _) => self.list_projects(request, user),
            (Route::Project(project), _) => self.show_project(project),
            (Route::Folders(project), _) => self.list_folders(project, request, now),
            (Route::Cases(project), _) => self.list_cases(project, request, now),
            (Route::Templates(_), _) => Ok(self.list_templates()),
            (Route::Fields(_), _) => self.list_fields(request),
            (Route::States(_), _) => self.list_states(request),
            (Route::Tags(project), _) => self.list_tags(project, request),
            (Route::Users(project), _) => self.list_users(project, request),
            (Route::Statuses(_), _) => list_statuses(request),
            (Route::Configs(_), _) => list_configs(request),
            (Route::Repos(project), _) => self.list_repos(project, request),
            (Route::IssueConnections, _) => self.list_connections(request),
        }
    }

    fn is_on(&self, route: Route) -> bool {
        match route {
            Route::Templates(_) => self.settings.templates_route,
            Route::Fields(_) => self.settings.fields_route,
            Route::States(_) => self.settings.states_route,
            Route::Tags(_) => self.settings.tags_route,
            Route::User
            | Route::Projects
            | Route::Project(_)
            | Route::Folders(_)
            | Route::Cases(_)
            | Route::Users(_)
            | Route::Statuses(_)
            | Route::Configs(_)
            | Route::Repos(_)
            | Route::IssueConnections => true,
        }
    }

    fn caller(&self, request: &Request) -> Result<&User, Response> {
        let user = request.token.as_deref().and_then(|token| self.user_of(token));
        user.ok_or_else(unauthenticated)
    }

    fn check_rights(&self, route: Route, method: Method, user: &User) -> Result<(), Response> {
        if let Some(id) = route.project_id() {
            let project = self.projects.get(&id).filter(|project| project.is_open_to(user));
            project.ok_or_else(no_such_project)?;
        }
        if method != Method::Get && !user.may_write() {
            return Err(forbidden());
        }
        Ok(())
    }
}
