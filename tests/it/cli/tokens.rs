//! Creates, lists and revokes tokens.

use super::Folder;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_printed_once_and_its_name_is_never_used_again() {
    let folder = Folder::with_store();
    folder.courier(&["tokens", "list"]).is(0, &["There is no token."]);
    let create = ["tokens", "create", "ci", "--role", "operator", "--tenant", "acme", "--expires", "30"];
    let made = folder.courier(&create);
    made.is(0, &["Created the token ci with the role operator for acme, until", "It is shown this once:"]);
    let secret = made.out.lines().last().expect("a line");
    assert!(secret.starts_with("tc_") && secret.len() == 46, "{made:?}");
    let listed = folder.courier(&["tokens", "list", "--json"]);
    listed.is(0, &["\"name\": \"ci\"", "\"tenant_id\": \"acme\"", "\"revoked_at\": null"]);
    assert!(!listed.out.contains(&secret[3..]), "{listed:?}");
    folder.courier(&create).is(1, &["there is or was a token named ci", "a name is never used again"]);
    folder.courier(&["tokens", "revoke", "ci"]).is(0, &["Revoked ci."]);
    folder.courier(&["tokens", "revoke", "ci"]).is(1, &["there is no token named ci"]);
    folder.courier(&["tokens", "list"]).is(0, &["revoked"]);
    let made = folder.courier(&["tokens", "create", "page", "--role", "admin", "--json"]);
    made.is(0, &["\"secret\": \"tc_", "\"expires_at\": null"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_token_is_refused() {
    let folder = Folder::with_store();
    for (arguments, said) in [
        (&["a/b", "--role", "admin"][..], "use 1 to 64 of the characters"),
        (&["ci"], "--role"),
        (&["ci", "--role", "root"], "viewer, operator, admin"),
        (&["ci", "--role", "admin", "--expires", "0"], "1..=3650"),
        (&["ci", "--role", "admin", "--tenant", "a b"], "a tenant id is"),
    ] {
        folder.courier(&[&["tokens", "create"], arguments].concat()).is(2, &[said]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_in_use_is_named_before_the_worker_starts() {
    let folder = Folder::with_store();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut command = folder.command(&["run"]);
    command.env("COURIER_ADMIN__LISTEN", &address);
    let end = tokio::task::block_in_place(|| command.output().expect("the command"));
    super::End::from(end).is(2, &[&format!("cannot listen on {address}"), "admin.listen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_alone_is_for_a_database_server() {
    let folder = Folder::with_store();
    folder.courier(&["console"]).is(2, &["the store is an SQLite file", "set admin.listen", "testmo-courier run"]);
}
