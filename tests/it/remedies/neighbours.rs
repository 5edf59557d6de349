//! Provokes errors of the store and of the broker, and follows what each of them says until the program works.

use testmo_hostile::RawPublisher;
use url::Url;

use super::desk::Desk;
use crate::support::broker::Broker;
use crate::support::pooler::Pooler;
use crate::support::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_or_no_store_is_put_right_as_the_error_says() {
    let mut desk = Desk::new(&[]);
    let command = desk.fails("testmo-courier tenants list", "there is no store");
    assert_eq!(command, "testmo-courier init");
    desk.works(&command);
    desk.works("testmo-courier tenants list");

    let right = desk.environment["COURIER_STORE__URL"].clone();
    std::fs::write(desk.folder.path().join("notes.txt"), "no store at all, but some notes\n".repeat(99))
        .expect("a file");
    desk.set("COURIER_STORE__URL", &format!("sqlite:{}", desk.folder.path().join("notes.txt").display()));
    desk.fails("testmo-courier tenants list", "check store.url");
    desk.set("COURIER_STORE__URL", &right);
    desk.works("testmo-courier tenants list");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_made_usable_as_the_error_says() {
    let server = Postgres::shared();
    let place = Url::parse(&server.url("remedy_none")).expect("a URL");
    let port = place.port().expect("a port").to_string();
    let mut desk = Desk::new(&[
        ("COURIER_STORE__URL", place.as_str()),
        ("PGHOST", place.host_str().expect("a host")),
        ("PGPORT", &port),
        ("PGUSER", place.username()),
        ("PGPASSWORD", place.password().unwrap_or_default()),
        ("PGDATABASE", "postgres"),
    ]);
    let create = desk.fails("testmo-courier init", "the server has no such database");
    desk.works(&create.replace("NAME", "remedy_none"));
    desk.works("testmo-courier init");

    // The master key belongs to the first one.
    let init = "testmo-courier init --new-store";

    desk.works("createdb --encoding LATIN1 --template template0 --locale C remedy_latin");
    desk.set("COURIER_STORE__URL", &server.url("remedy_latin"));
    let create = desk.fails(init, "LATIN1");
    desk.works(&create.replace("NAME", "remedy_utf8"));
    desk.set("COURIER_STORE__URL", &server.url("remedy_utf8"));
    desk.works(init);

    // As a standby server does.
    desk.works("createdb --encoding UTF8 --template template0 --locale C remedy_standby");
    desk.works("psql -c 'ALTER DATABASE remedy_standby SET default_transaction_read_only = on'");
    desk.set("COURIER_STORE__URL", &server.url("remedy_standby"));
    desk.fails(init, "point store.url at the primary server");
    desk.set("COURIER_STORE__URL", &server.url("remedy_utf8"));
    desk.works(init);

    desk.works("psql -c \"CREATE ROLE remedy LOGIN PASSWORD 'right' CONNECTION LIMIT 0\"");
    desk.works("createdb --encoding UTF8 --template template0 --locale C remedy_owned");
    desk.works("psql -d remedy_owned -c 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'");
    let as_user = |password: &str| {
        let mut url = Url::parse(&server.url("remedy_owned")).expect("a URL");
        url.set_username("remedy").expect("a user");
        url.set_password(Some(password)).expect("a password");
        url.to_string()
    };
    desk.set("COURIER_STORE__URL", &as_user("wrong"));
    desk.fails(init, "check user and password in store.url");
    desk.set("COURIER_STORE__URL", &as_user("right"));
    desk.fails(init, "has no free connection");
    desk.works("psql -c 'ALTER ROLE remedy CONNECTION LIMIT 20'");
    desk.fails(init, "make the user the owner of the database");
    desk.works("psql -c 'ALTER DATABASE remedy_owned OWNER TO remedy'");
    desk.works(init);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_refuses_is_put_right_as_the_error_says() {
    let broker = Broker::shared();
    broker.ctl(&["add_user", "remedy", "right"]);
    let as_user = |password: &str| broker.url("remedies").replace("guest:guest@", &format!("remedy:{password}@"));
    let mut desk = Desk::new(&[("COURIER_AMQP__URL", &as_user("wrong"))]);
    let check = "testmo-courier topology check";
    desk.fails(check, "check user and password");
    desk.set("COURIER_AMQP__URL", &as_user("right"));
    desk.fails(check, "check the virtual host");
    broker.add_vhost("remedies");
    desk.fails(check, "and the user's permissions on it");
    broker.ctl(&["set_permissions", "-p", "remedies", "remedy", "^$", "^$", "^$"]);
    desk.fails("testmo-courier topology declare", "permission");
    broker.ctl(&["set_permissions", "-p", "remedies", "remedy", ".*", ".*", ".*"]);
    desk.fails(check, "run `testmo-courier topology declare`");
    desk.works("testmo-courier topology declare");
    desk.works(check);

    desk.set("COURIER_AMQP__DELIVERY_LIMIT", "7");
    desk.fails(check, "set the configuration to the values that the broker has");
    desk.environment.remove("COURIER_AMQP__DELIVERY_LIMIT");
    desk.works(check);
    desk.set("COURIER_AMQP__URL", "amqp://remedy:right@nowhere.invalid:5672/remedies");
    desk.fails(check, "check host name, port and firewall");
    desk.set("COURIER_AMQP__URL", &as_user("right").replace("amqp://", "amqps://"));
    desk.fails(check, "check the port (5671 for amqps://)");
    desk.set("COURIER_AMQP__URL", &as_user("right"));
    desk.works(check);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_set_as_the_error_says_until_the_store_works() {
    let server = Postgres::shared();
    let mut pooler = Pooler::start(&server.database());
    let mut desk = Desk::new(&[("COURIER_STORE__URL", pooler.url())]);
    let init = "testmo-courier init";
    let (_, said) = desk.run(init);
    let settings = said.split_once("or set ").and_then(|(_, rest)| rest.split_once(" in the pooler"));
    let (settings, _) = settings.unwrap_or_else(|| panic!("no settings in {said}"));
    for setting in settings.split(" and ") {
        pooler.set(setting);
    }
    desk.set("COURIER_STORE__URL", pooler.url());
    desk.works(init);
    desk.works("testmo-courier tenants list");
    // Other commands find the sessions that this one leaves behind.
    for _ in 0..3 {
        desk.works("testmo-courier lanes waiting");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_type_is_left_alone_and_another_one_used() {
    let broker = Broker::shared();
    broker.add_vhost("remedy-type");
    let url = broker.url("remedy-type");
    let mut raw = RawPublisher::connect(broker.port(), "remedy-type").expect("a broker");
    raw.declare_classic_queue("testmo.cases").expect("a queue");
    let mut desk = Desk::new(&[("COURIER_AMQP__URL", &url)]);
    for command in ["testmo-courier topology declare", "testmo-courier topology check"] {
        desk.fails(command, "configure another name");
    }
    desk.set("COURIER_AMQP__CASES_QUEUE", "testmo.cases.quorum");
    desk.works("testmo-courier topology declare");
    desk.works("testmo-courier topology check");
}
