//! Encrypted connections to MariaDB.

use diesel_session::{Error, Now as _, TimeDelta};
use throwaway_mariadb::Server;

use crate::certificates::{Authority, Files, of};
use crate::support::{MariaDb, Mysql, Sql as _, shown};

const CIPHER: &str =
    "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";

/// Connects, and says why not.
fn refused(url: &str) -> String {
    let soon = Mysql::builder().connection_timeout(TimeDelta::seconds(1));
    let refused = soon.connect(url).unwrap_err();
    assert!(matches!(refused, Error::PoolTimeout { .. }), "{}", shown(&refused));
    shown(&refused)
}

#[test]
fn an_address_with_an_authority_encrypts_and_refuses_another_authority() {
    let (files, ours, another) = (Files::new(), Authority::named("ours"), Authority::named("another"));
    let certificate = ours.signs(&of("db.example"));
    let given = |name: &str, text: &str| files.write(name, text).to_str().unwrap().to_owned();
    let (ca, other_ca) = (given("ca.pem", &ours.pem), given("other.pem", &another.pem));
    let server = Server::start(&[
        &format!("--ssl-cert={}", given("server.pem", &certificate.certificate)),
        &format!("--ssl-key={}", given("server.key", &certificate.key)),
    ])
    .unwrap();
    let database = MariaDb::on(&server);
    // The client library does not compare the host's name with the certificate's.
    for tls in ["", "&ssl_mode=required", "&ssl_mode=verify_ca"] {
        let store = Mysql::connect(&format!("{}&ssl_ca={ca}{tls}", database.url)).unwrap();
        store.migrate().unwrap();
        let key = store.generate(Some("x"), None).unwrap();
        assert_eq!(store.get(&key).unwrap().0, "x");
        assert_ne!(store.pool().get().unwrap().text(CIPHER), "", "{tls}");
    }
    refused(&format!("{}&ssl_ca={other_ca}", database.url));
    let in_clear = MariaDb::new();
    let said = refused(&format!("{}&ssl_ca={ca}", in_clear.url));
    assert!(said.contains("the address asks for TLS"), "{said}");
}

/// The client library ignores `ssl_mode` without a word.
#[test]
fn a_connection_without_the_tls_that_was_asked_for_is_refused() {
    let database = MariaDb::new();
    for mode in ["ssl_mode=REQUIRED", "ssl%5Fmode=requir%65d"] {
        let said = refused(&format!("{}&{mode}", database.url));
        assert!(said.contains("the address asks for TLS"), "{said}");
    }
    Mysql::builder().connect(&format!("{}&ssl_mode=preferred", database.url)).unwrap();
    for mode in ["verify_identity", "VERIFY_CA", "always"] {
        let refused = Mysql::connect(&format!("{}&ssl_mode={mode}", database.url)).unwrap_err();
        assert!(matches!(refused, Error::Configuration { setting: "connection", .. }), "{}", shown(&refused));
    }
}
