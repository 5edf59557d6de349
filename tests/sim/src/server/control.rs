//! Carries out the control calls under `/_sim`.

use serde_json::json;

use super::clock::now;
use super::control_body::{RoleWish, TokenWish, merged, read, read_or_default, read_rules};
use super::shared::Shared;
use crate::faults::RateLimit;
use crate::request::{Method, Request};
use crate::response::Response;
use crate::world::{AccountSpec, AccountView, Station, World, no_such_account};

/// Answers a control call, whose path is below `/_sim`.
pub(crate) fn answer(shared: &Shared, request: &Request, body: &[u8]) -> Response {
    let path: Vec<&str> = request.path.split('/').skip(1).collect();
    let mut world = shared.world();
    let answer = match (request.method, path.as_slice()) {
        (Method::Get, ["health"]) => Ok(Response::json(200, &json!({ "status": "ok" }))),
        (Method::Get, ["accounts"]) => Ok(list(&world)),
        (Method::Put, ["accounts", name]) => create(&mut world, name, body),
        (Method::Delete, ["accounts", name]) => Ok(found(world.remove(name))),
        (method, ["accounts", name, rest @ ..]) => match world.station_mut(name) {
            Some(station) => of_account(station, name, method, rest, request, body),
            None => Ok(no_such_account()),
        },
        _ => Ok(no_such_call()),
    };
    drop(world);
    shared.changed.notify_waiters();
    answer.unwrap_or_else(|refusal| refusal)
}

fn list(world: &World) -> Response {
    let station = |name| world.station(name).map(|station| station.view(name));
    let accounts: Vec<AccountView> = world.names().filter_map(station).collect();
    Response::json(200, &json!({ "accounts": accounts }))
}

fn create(world: &mut World, name: &str, body: &[u8]) -> Result<Response, Response> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name == "_sim" || !name.chars().all(is_plain) {
        return Err(Response::message(400, "An account's name is made of letters, digits, '-', '_', '.'."));
    }
    let spec: AccountSpec = read_or_default(body)?;
    let made = world.put(name, spec, now());
    let station = made.map_err(|error| Response::message(400, &error.to_string()))?;
    Ok(Response::json(201, &station.view(name)))
}

fn of_account(
    station: &mut Station,
    name: &str,
    method: Method,
    path: &[&str],
    request: &Request,
    body: &[u8],
) -> Result<Response, Response> {
    match (method, path) {
        (Method::Get, []) => {}
        (Method::Get, ["cases"]) => {
            return Ok(Response::json(200, &json!({ "cases": station.case_views() })));
        }
        (Method::Get, ["requests"]) => return Ok(requests(station, request)),
        (Method::Put, ["faults"]) => station.faults.set(read_rules(body)?),
        (Method::Post, ["faults"]) => {
            for rule in read_rules(body)? {
                station.faults.add(rule);
            }
        }
        (Method::Delete, ["faults"]) => station.faults.set(Vec::new()),
        (Method::Put, ["rate_limit"]) => {
            let limit: RateLimit = read(body)?;
            station.set_rate_limit(Some(limit), now());
        }
        (Method::Delete, ["rate_limit"]) => station.set_rate_limit(None, now()),
        (Method::Patch, ["settings"]) => {
            station.account.settings = merged(&station.account.settings, body)?;
        }
        (Method::Delete, ["folders", id]) => {
            return Ok(found(id.parse().is_ok_and(|id| station.account.remove_folder(id))));
        }
        (Method::Delete, ["projects", id]) => {
            return Ok(found(id.parse().is_ok_and(|id| station.account.remove_project(id))));
        }
        (Method::Post, ["users", id, call]) => {
            let id = id.parse().map_err(|_| no_such_call())?;
            return of_user(station, name, id, call, body);
        }
        _ => return Ok(no_such_call()),
    }
    Ok(Response::json(200, &station.view(name)))
}

fn of_user(station: &mut Station, name: &str, id: u64, call: &str, body: &[u8]) -> Result<Response, Response> {
    let account = &mut station.account;
    if account.user_mut(id).is_none() {
        return Err(Response::message(404, "There is no such user."));
    }
    match call {
        "revoke" => {
            account.revoke_key(id);
        }
        "token" => {
            let wish: TokenWish = read_or_default(body)?;
            let token = account.renew_key(id, wish.token);
            return Ok(Response::json(200, &json!({ "token": token })));
        }
        "role" => {
            let wish: RoleWish = read(body)?;
            if let Some(user) = account.user_mut(id) {
                user.role = wish.role;
            }
        }
        _ => return Err(no_such_call()),
    }
    Ok(Response::json(200, &station.view(name)))
}

/// Returns the remembered requests, only those after the number `since` if it is given.
fn requests(station: &Station, request: &Request) -> Response {
    let since = request.parameter("since").and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let records: Vec<_> = station.log.iter().filter(|record| record.seq > since).collect();
    Response::json(200, &json!({ "requests": records }))
}

fn found(existed: bool) -> Response {
    if existed { Response::no_content() } else { Response::message(404, "It does not exist.") }
}

fn no_such_call() -> Response {
    Response::message(404, "There is no such control call.")
}
