//! Opens connections to MariaDB, and sets them up.

use std::collections::HashMap;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};
use url::Url;

use super::transaction::BEGIN;
use crate::database::{BlockingConnection, Remote, SessionConnection};
use crate::error::Error;
use crate::options::ConnectionSettings;

/// The parameters that name a file for TLS.
const FILES: [&str; 3] = ["ssl_ca", "ssl_cert", "ssl_key"];

impl SessionConnection for MysqlConnection {}

impl Remote for MysqlConnection {}

impl BlockingConnection for MysqlConnection {
    const BEGIN: &'static str = BEGIN;
    const REMOTE: bool = true;

    /// Refuses addresses that are no URL of MySQL. Refuses to check the host's name, because Connector/C does not do
    /// it.
    fn address(url: &str, _settings: &ConnectionSettings) -> Result<String, Error> {
        let refuse =
            |reason: &str| Err(Error::Configuration { setting: "connection", reason: reason.to_owned() });
        let Some(parameters) = parameters(url) else {
            return refuse(
                "not a URL of MySQL: mysql://user:password@host/database, also for MariaDB; write special characters \
                 of the password as %xx",
            );
        };
        if FILES.iter().any(|name| parameters.get(*name).is_some_and(String::is_empty)) {
            return refuse("ssl_ca, ssl_cert, ssl_key: name a file, or leave the parameter out");
        }
        match mode(&parameters).as_deref() {
            None | Some("disabled" | "preferred" | "required") => {}
            Some("verify_ca") if parameters.contains_key("ssl_ca") => {}
            Some("verify_ca") => {
                return refuse(
                    "ssl_mode=verify_ca: name the authority with ssl_ca, because the client library has none",
                );
            }
            Some("verify_identity") => {
                return refuse(
                    "ssl_mode=verify_identity: MariaDB's client library does not check the host's name; \
                     use ssl_mode=verify_ca with ssl_ca, and an authority that signs for no other host",
                );
            }
            Some(_) => return refuse("ssl_mode: use disabled, preferred, required or verify_ca"),
        }
        Ok(url.to_owned())
    }

    fn is_private(_address: &str) -> bool {
        false
    }

    fn set_up(
        address: &str,
        settings: &ConnectionSettings,
    ) -> Box<dyn CustomizeConnection<Self, ConnectionError>> {
        // Milliseconds and whole seconds.
        let (limit, wait) =
            (settings.statement_timeout.as_millis(), settings.statement_timeout.as_secs().max(1));
        let statements = format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION /*M!100101 max_statement_time = {}.{:03}, */ innodb_lock_wait_timeout = {wait}, autocommit = 1",
            limit / 1_000,
            limit % 1_000
        );
        Box::new(SetUp { statements, is_encrypted: asks_for_tls(address) })
    }
}

/// Returns the parameters of a URL of MySQL, as Diesel reads them. Returns none for a text that Diesel refuses.
fn parameters(url: &str) -> Option<HashMap<String, String>> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "mysql")?;
    let has_one_name = url.path_segments().is_none_or(|segments| segments.count() <= 1);
    let parameters: HashMap<_, _> = url.query_pairs().into_owned().collect();
    (has_one_name && !parameters.contains_key("database")).then_some(parameters)
}

fn mode(parameters: &HashMap<String, String>) -> Option<String> {
    parameters.get("ssl_mode").map(|mode| mode.to_lowercase())
}

/// Whether the address asks for TLS. The client library ignores some of these parameters without a word.
fn asks_for_tls(url: &str) -> bool {
    let parameters = parameters(url).unwrap_or_default();
    matches!(mode(&parameters).as_deref(), Some("required" | "verify_ca"))
        || FILES.iter().any(|name| parameters.contains_key(*name))
}

#[derive(Debug)]
struct SetUp {
    statements: String,
    /// Whether each connection must be encrypted.
    is_encrypted: bool,
}

diesel::table! {
    information_schema.session_status (variable_name) {
        variable_name -> Text,
        variable_value -> Text,
    }
}

impl CustomizeConnection<MysqlConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut MysqlConnection) -> Result<(), ConnectionError> {
        conn.batch_execute(&self.statements)?;
        if self.is_encrypted {
            let cipher = session_status::table.filter(session_status::variable_name.eq("Ssl_cipher"));
            let cipher: String = cipher.select(session_status::variable_value).first(conn)?;
            if cipher.is_empty() {
                return Err(ConnectionError::ConnectionError(diesel::ConnectionError::BadConnection(
                    "the address asks for TLS, and the connection is not encrypted: name the authority with ssl_ca, \
                     and check that the server has TLS"
                        .to_owned(),
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_for_tls_is_recognized() {
        for (url, asks) in [
            ("mysql://app@db/shop", false),
            ("mysql://app@db/shop?ssl_mode=preferred", false),
            ("mysql://app@db/shop?ssl_mode=REQUIRED", true),
            ("mysql://app@db/shop?ssl%5Fmode=requir%65d", true),
            ("mysql://app@db/shop?unix_socket=/run/a&ssl_ca=/ca.pem", true),
        ] {
            assert_eq!(asks_for_tls(url), asks, "{url}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in [
            "postgres://db/shop",
            "shop.db",
            "mariadb://db/shop",
            "mysql://app:a/b@db/shop",
            "mysql://app@db/shop/session",
            "mysql://app@db/?database=shop",
            "mysql://db/shop?ssl_mode=always",
            "mysql://db/shop?ssl_mode=verify_ca&ssl_ca=",
            "mysql://db/shop?ssl_mode=verify_identity",
            "mysql://db/shop?ssl_mode=verify%5Fidentity",
            "mysql://db/shop?ssl_mode=verify_ca",
        ] {
            let refused = MysqlConnection::address(url, &ConnectionSettings::default());
            assert!(matches!(refused, Err(Error::Configuration { .. })), "{url}");
        }
    }
}
