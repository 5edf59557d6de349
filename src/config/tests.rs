use std::time::Duration;

use super::*;

fn load_with(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(&Sources { files: vec![], environment })
}

fn problems(environment: &[(&str, &str)]) -> Vec<String> {
    load_with(environment).unwrap_err().0
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = load_with(&[]).unwrap();
    assert_eq!(config.amqp.cases_queue, "testmo.cases");
    assert_eq!(config.testmo.allowed_hosts, ["*.testmo.net"]);
    assert_eq!(config.requests.max_cases, 100);
    assert_eq!(config.amqp.max_message_bytes, crate::batch::message::MOST_BYTES_BY_DEFAULT);
}

#[test]
fn the_environment_wins_over_files_and_files_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    std::fs::write(&file, "[requests]\nmax_cases = 7\naccount_concurrency_per_worker = 2\n").unwrap();
    let environment = [("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER".to_owned(), "3".to_owned())].into();
    let config = load(&Sources { files: vec![file], environment }).unwrap();
    assert_eq!((config.requests.max_cases, config.requests.account_concurrency_per_worker), (7, 3));
}

#[test]
fn a_file_that_is_not_toml_is_named_with_the_place_and_without_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    std::fs::write(&file, "[amqp]\nurl = amqp://courier:secret@h\n").unwrap();
    let found = load(&Sources { files: vec![file], environment: HashMap::new() }).unwrap_err().0;
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("a.toml: is not valid TOML at line 2, column"), "{found:?}");
    assert!(!found[0].contains("secret") && !found[0].contains('\n'), "{found:?}");
}

#[test]
fn well_known_variables_are_other_names() {
    let config = load_with(&[("AMQP_URL", "amqp://h"), ("DATABASE_URL", "sqlite:x.db")]).unwrap();
    assert_eq!((config.amqp.url.as_str(), config.store.url.as_str()), ("amqp://h", "sqlite:x.db"));
    let config = load_with(&[("AMQP_URL", "amqp://h"), ("COURIER_AMQP__URL", "amqp://own")]).unwrap();
    assert_eq!(config.amqp.url, "amqp://own");
}

#[test]
fn variables_of_a_kubernetes_service_are_no_settings_and_misspelt_settings_are_mistakes() {
    let of_service = [
        ("COURIER_PORT", "tcp://10.0.0.1:80"),
        ("COURIER_SERVICE_HOST", "10.0.0.1"),
        ("COURIER_SERVICE_PORT_METRICS", "9464"),
        ("COURIER_PORT_9464_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(load_with(&of_service).is_ok());
    let environment = of_service.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let ignored = Sources { files: vec![], environment }.ignored();
    assert_eq!(ignored.len(), of_service.len());
    assert!(ignored.is_sorted());
    for (variable, meant) in [
        ("COURIER_AMQP_URL", "did you mean `COURIER_AMQP__URL`?"),
        ("COURIER_STORE_URL", "did you mean `COURIER_STORE__URL`?"),
        ("COURIER_AMQP__PREFETHC", "did you mean `COURIER_AMQP__PREFETCH`?"),
        ("COURIER_NOTHING__LIKE_IT", "`config show` lists all keys"),
    ] {
        let found = problems(&[(variable, "x")]);
        assert!(found.len() == 1 && found[0].contains(variable) && found[0].contains(meant), "{found:?}");
        let environment = [(variable.to_owned(), "x".to_owned())].into();
        assert!(Sources { files: vec![], environment }.ignored().is_empty());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let problems_found = problems(&[
        ("COURIER_REQUESTS__MAX_CASES", "101"),
        ("COURIER_AMQP__URL", "http://user:secret@host"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "soon"),
        ("COURIER_AMQP__PREFETHC", "5"),
        ("COURIER_OBSERVE__LISTEN", "here"),
        ("COURIER_LOG__FORMAT", "xml"),
        ("COURIER_AMQP__DECLARE_TOPOLOGY", "perhaps"),
    ]);
    insta::assert_snapshot!(problems_found.join("\n"));
}

#[test]
fn values_have_to_fit_together() {
    let problems_found = problems(&[("COURIER_TESTMO__REQUEST_TIMEOUT", "2m")]);
    assert_eq!(problems_found, ["`testmo.request_timeout` has to be at most `testmo.reconcile_delay_unanswered`"]);
}

#[test]
fn lists_come_from_the_environment_with_commas() {
    let config = load_with(&[("COURIER_TESTMO__ALLOWED_HOSTS", "*.testmo.net, qa.example.com")]).unwrap();
    assert_eq!(config.testmo.allowed_hosts, ["*.testmo.net", "qa.example.com"]);
}

#[test]
fn no_password_is_ever_printed() {
    let config = load_with(&[("AMQP_URL", "amqp://u:hunter2@h/v")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.amqp.redacted_url(), "amqp://u:***@h/v");
    for url in ["postgres://u:hunter2@h/d", "postgresql:///d?host=/run&password=hunter2&sslmode=require"] {
        let config = load_with(&[("DATABASE_URL", url)]).unwrap();
        assert!(config.store.is_shared());
        let shown = redacted(&config.store.url);
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
    let config = load_with(&[("COURIER_TESTMO__PROXY", "http://u:hunter2@proxy:3128")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.testmo.proxy.to_string(), "http://u:***@proxy:3128/");
    let problems_found = problems(&[("DATABASE_URL", "mysql://u:hunter2@h/d")]);
    assert_eq!(
        problems_found,
        ["the environment: `store.url` has to be sqlite:FILE, or postgres://USER:PASSWORD@HOST:5432/DATABASE"]
    );
}

#[test]
fn a_request_that_began_as_late_as_it_may_has_settled_before_its_claim_ends() {
    let testmo = load_with(&[]).unwrap().testmo;
    let paused = testmo.claim_margin;
    let ended_by = testmo.latest_start() + paused + testmo.connect_timeout + testmo.request_timeout;
    assert!(testmo.lease() >= ended_by + testmo.reconcile_delay_unanswered);
    assert!(testmo.latest_start() > Duration::ZERO);
}

#[test]
fn who_may_frame_a_page_and_log_people_in_is_named_exactly() {
    let set = |name, value| (name, value);
    let frames = |value| set("COURIER_ADMIN__FRAME_ANCESTORS", value);
    let (proxies, file) = (set("COURIER_ADMIN__PROXIES", "10.0.0.7,::1"), set("COURIER_ADMIN__PROXY_SECRET_FILE", "f"));
    let admin = load_with(&[frames("https://suite.example.com"), proxies, file]).unwrap().admin;
    assert_eq!((admin.frame_ancestors.len(), admin.proxies.len(), admin.proxy_role.as_str()), (1, 2, "viewer"));
    assert_eq!(admin.proxy_role_header, None);
    let role = load_with(&[set("COURIER_ADMIN__PROXY_ROLE_HEADER", "X-Courier-Role")]).unwrap().admin.proxy_role_header;
    assert_eq!(role.as_deref(), Some("x-courier-role"));
    for wrong in [
        vec![frames("http://suite.example.com")],
        vec![frames("https://suite.example.com/page")],
        vec![frames("https://suite.example.com; script-src *")],
        vec![frames("*")],
        vec![proxies],
        vec![set("COURIER_ADMIN__PROXIES", "10.0.0.0/8"), file],
        vec![set("COURIER_ADMIN__PROXY_ROLE", "owner")],
        vec![set("COURIER_ADMIN__PROXY_USER_HEADER", "a b")],
        vec![set("COURIER_ADMIN__PROXY_ROLE_HEADER", "a b")],
        vec![set("COURIER_ADMIN__PROXY_ROLE_HEADER", "X-Forwarded-User")],
    ] {
        assert!(load_with(&wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_api_is_off_by_default_and_reached_from_elsewhere_only_through_tls() {
    assert_eq!(load_with(&[]).unwrap().admin.listen, None);
    let listen = |address| ("COURIER_ADMIN__LISTEN", address);
    let public = |url| ("COURIER_ADMIN__PUBLIC_URL", url);
    assert!(load_with(&[listen("127.0.0.1:9465")]).is_ok() && load_with(&[listen("[::1]:9465")]).is_ok());
    let admin = load_with(&[listen("0.0.0.0:9465"), public("https://courier.example.com")]).unwrap().admin;
    assert_eq!(admin.public_host().as_deref(), Some("courier.example.com"));
    for wrong in [
        vec![listen("9465")],
        vec![listen("0.0.0.0:9465")],
        vec![listen("0.0.0.0:9465"), public("http://courier.example.com")],
        vec![public("courier.example.com")],
        vec![public("https://courier.example.com/api")],
        vec![("COURIER_ADMIN__HOSTS", "https://courier.example.com")],
    ] {
        assert_eq!(problems(&wrong).len(), 1, "{wrong:?}");
    }
}
