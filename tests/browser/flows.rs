//! What people do in the console, whatever they work with.

use crate::ground::Ground;
use crate::person::Person;
use crate::support::batches::key_of;

/// Logs in with a token.
pub(crate) async fn log_in(person: &Person, token: &str) {
    person.open("/").await;
    person.fill("Token", token).await;
    person.press("Log in").await;
    person.sees("Needs attention").await;
    person.sees("anna, admin").await;
}

/// Connects a tenant to an account by the form, with a wrong key first.
pub(crate) async fn connect(person: &Person, ground: &Ground, tenant: &str, account: &str) {
    person.open("/tenants").await;
    person.fill("Tenant id", tenant).await;
    person.press("Open or connect").await;
    person.sees(&format!("Connect {tenant}")).await;
    person.fill("API key", "testmo_api_wrong").await;
    person.fill("Base URL", &ground.api.stage.testmo.origin(account)).await;
    person.fill("Project ID*", "1").await;
    person.fill("Folder ID*", "1").await;
    person.press("Save Configuration").await;
    person.sees("401 Unauthorized").await;
    person.fill("API key", &key_of(account)).await;
    person.press("Save Configuration").await;
    person.sees("Saved and connected as").await;
}

/// Replays a cause with so many batches from the start page, and watches the replay to its end.
pub(crate) async fn replay(person: &Person, count: usize) {
    person.open("/").await;
    person.press(&format!("Replay {count}")).await;
    person.sees("nothing was sent yet").await;
    person.press(&format!("Start: replay {count} batches")).await;
    person.sees(&format!("{count} of {count} have an outcome")).await;
    person.sees("This replay is over.").await;
}

/// Edits one case of the only batch that Testmo refused, and stores the message.
pub(crate) async fn edit(person: &Person, case: &str, name: &str) {
    person.open("/").await;
    person.press("All test cases refused by Testmo").await;
    person.sees("What to do").await;
    person.press("Edit the message").await;
    person.sees("Nothing is stored before you have seen the difference.").await;
    let message = person.browser.value("document.getElementById('message').value").await;
    let message = message.as_str().expect("a message").replace(case, name);
    person.fill("Message", &message).await;
    person.press("Show the difference").await;
    person.sees("Difference").await;
    person.press("Store only").await;
    person.sees("Stored.").await;
    person.sees(name).await;
}

/// Discards the entry whose page is open, and restores it.
pub(crate) async fn discard_and_restore(person: &Person) {
    person.press("Discard 1…").await;
    person.sees("Discard 1 entry?").await;
    person.fill("Why", "by mistake").await;
    person.press("Discard 1").await;
    person.sees("1 discarded.").await;
    person.sees("by mistake").await;
    let restore = person.browser.value("document.querySelector('[aria-label^=\"Restore\"]').ariaLabel").await;
    person.press(restore.as_str().expect("a button")).await;
    person.sees("on the shelf again").await;
}

/// Makes a link to a tenant's own page, and returns its path.
pub(crate) async fn make_link(person: &Person, tenant: &str) -> String {
    person.open(&format!("/tenants/{tenant}")).await;
    person.press("Make a link").await;
    person.sees("shown this once").await;
    let link = person.browser.value("document.querySelector('main a[href*=\"/t/\"]').pathname").await;
    link.as_str().expect("a link").to_owned()
}
