//! Encrypts the connections to RabbitMQ and to PostgreSQL, with certificates of an authority of our own.

use std::path::{Path, PathBuf};

use testmo_courier::amqp::{ConnectError, connect_once, greeting};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Config, Sources, load};
use testmo_courier::store::{Store, StoreError, StoreHealth};

use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::wire::Authority;

pub(crate) const HOST: &str = "127.0.0.1";

/// An authority, and a folder with its certificates.
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    folder: tempfile::TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let certificates = Self { authority: Authority::new(), folder: tempfile::tempdir().expect("a folder") };
        certificates.write("ca.pem", &certificates.authority.pem);
        let (certificate, key) = certificates.authority.pems("client");
        certificates.write("client.pem", &certificate);
        certificates.write("client-key.pem", &key);
        certificates
    }

    fn write(&self, name: &str, pem: &str) {
        let path = self.path(name);
        std::fs::write(&path, pem).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the files of a server, which trusts the authority, too.
    pub(crate) fn server(&self, (certificate, key): (String, String)) -> &Path {
        self.write("cert.pem", &certificate);
        self.write("key.pem", &key);
        self.folder.path()
    }
}

fn config(environment: &[(&str, String)]) -> Result<Config, String> {
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    load(&Sources { files: vec![], environment }).map_err(|error| error.to_string())
}

/// The settings of an encrypted connection to a broker.
fn broker_settings(port: u16, files: &[(&'static str, PathBuf)]) -> Vec<(&'static str, String)> {
    let url = ("AMQP_URL", format!("amqps://guest:guest@{HOST}:{port}/%2f"));
    files.iter().map(|(key, file)| (*key, file.display().to_string())).chain([url]).collect()
}

pub(crate) const CA: &str = "COURIER_AMQP__CA_FILE";
pub(crate) const CERTIFICATE: &str = "COURIER_AMQP__CLIENT_CERT_FILE";
pub(crate) const KEY: &str = "COURIER_AMQP__CLIENT_KEY_FILE";

async fn refused(port: u16, files: &[(&'static str, PathBuf)]) -> String {
    let amqp = config(&broker_settings(port, files)).expect("a configuration").amqp;
    let error: ConnectError = connect_once(&amqp, "test").await.err().expect("no connection");
    format!("{error}\n{}", error.remedy())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_reached_with_an_own_authority_and_a_client_certificate_and_each_fault_is_named() {
    let own = Certificates::new();
    let (_broker, port) = Broker::start_encrypted(own.server(own.authority.pems(HOST)));
    let (ca, certificate) = ((CA, own.path("ca.pem")), (CERTIFICATE, own.path("client.pem")));
    let key = (KEY, own.path("client-key.pem"));
    let whole = [ca.clone(), certificate.clone(), key.clone()];
    let amqp = config(&broker_settings(port, &whole)).expect("a configuration").amqp;
    connect_once(&amqp, "test").await.unwrap_or_else(|error| panic!("{error}")).close().await;
    let greeted = greeting(&amqp).await.expect("what `doctor` reads before the login");
    assert_eq!((greeted.product.as_deref(), greeted.certificate.is_some()), (Some("RabbitMQ"), true));

    let other = Certificates::new();
    let said = refused(port, &[(CA, other.path("ca.pem")), certificate.clone(), key.clone()]).await;
    assert!(said.contains("an authority that is not trusted") && said.contains("amqp.ca_file"), "{said}");
    let said = refused(port, std::slice::from_ref(&ca)).await;
    assert!(said.contains("may require a client certificate") && said.contains("amqp.client_cert_file"), "{said}");
    let strange = [ca.clone(), (CERTIFICATE, other.path("client.pem")), (KEY, other.path("client-key.pem"))];
    let said = refused(port, &strange).await;
    assert!(said.contains("may not accept the client certificate"), "{said}");
    own.write("nothing.pem", "nothing");
    let said = refused(port, &[(CA, own.path("nothing.pem"))]).await;
    assert!(said.contains("nothing.pem cannot be used for TLS: it holds no certificate in PEM"), "{said}");

    let (_broker, port) = Broker::start_encrypted(own.server(own.authority.expired_pems(HOST)));
    let said = refused(port, &whole).await;
    assert!(said.contains("its certificate has expired") && said.contains("renew the broker's certificate"), "{said}");
}

#[test]
fn files_for_tls_are_checked_with_the_configuration() {
    let own = Certificates::new();
    let (certificate, key) = ((CERTIFICATE, own.path("client.pem")), (KEY, own.path("client-key.pem")));
    let problem = |files: &[(&'static str, PathBuf)]| config(&broker_settings(5_671, files)).expect_err("a mistake");
    let said = problem(&[(CA, own.path("none.pem"))]);
    assert!(said.contains("`amqp.ca_file`: ") && said.contains("none.pem: cannot be read"), "{said}");
    let said = problem(std::slice::from_ref(&certificate));
    assert!(said.contains("belong together"), "{said}");
    let plain = ("AMQP_URL", format!("amqp://{HOST}"));
    let said = config(&[plain, (CA, own.path("ca.pem").display().to_string())]).expect_err("a mistake");
    assert!(said.contains("write amqps:// in the address"), "{said}");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key.1, open).expect("its mode");
    let said = problem(&[certificate, key.clone()]);
    assert!(said.contains(&format!("run `chmod 640 {}`", key.1.display())), "{said}");
    let url = format!("postgres://u@db/d?sslcert=/none.pem&sslkey={}", key.1.display());
    let said = config(&[("DATABASE_URL", url)]).expect_err("mistakes");
    assert!(said.contains("sslcert=/none.pem: cannot be read") && said.contains("chmod 640"), "{said}");
}

async fn opened(url: &str) -> Result<Store, StoreError> {
    let config = config(&[("DATABASE_URL", url.to_owned())]).expect("a configuration");
    Store::open(&config.store, true, Clock::system()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_reached_with_an_own_authority_and_a_client_certificate_and_each_fault_is_named() {
    let own = Certificates::new();
    let server = Postgres::start_encrypted(own.server(own.authority.pems(HOST)));
    let database = server.database();
    let url = |ca: PathBuf| format!("{database}?sslmode=verify-full&sslrootcert={}", ca.display());
    let client = |of: &Certificates| {
        format!("&sslcert={}&sslkey={}", of.path("client.pem").display(), of.path("client-key.pem").display())
    };
    let whole = url(own.path("ca.pem")) + &client(&own);
    opened(&whole).await.expect("a store").close().await;

    let other = Certificates::new();
    let said = async |url: String| opened(&url).await.map(drop).expect_err("no store").to_string();
    let told = said(url(other.path("ca.pem")) + &client(&own)).await;
    assert!(told.contains("an authority that is not trusted") && told.contains("sslrootcert=FILE"), "{told}");
    let told = said(url(own.path("ca.pem"))).await;
    assert!(told.contains("client certificate") && told.contains("sslcert=FILE and sslkey=FILE"), "{told}");
    let told = said(url(own.path("ca.pem")) + &client(&other)).await;
    assert!(told.contains("may not accept the client certificate"), "{told}");

    let server = Postgres::start_encrypted(own.server(own.authority.expired_pems(HOST)));
    let suffix = whole.split_once('?').map(|(_, parameters)| parameters.to_owned()).expect("parameters");
    let told = said(format!("{}?{suffix}", server.database())).await;
    assert!(
        told.contains("its certificate has expired") && told.contains("renew the database's certificate"),
        "{told}"
    );
}
