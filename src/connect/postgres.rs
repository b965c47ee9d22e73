//! Connections to PostgreSQL.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use diesel::connection::CacheSize;
use diesel::prelude::*;
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError};

use super::conninfo;
use crate::error::Error;

/// How to reach a PostgreSQL server: the parameters of the original's `connect`, under their names, and
/// whatever else a URL or a connection string of PostgreSQL's manual ("Connection Strings") can say.
///
/// What is set by a method goes before what a string said. `Debug` shows no password.
///
/// # Examples
///
/// ```
/// use diesel_session::ConnectOptions;
///
/// let options = ConnectOptions::new()
///     .host("/run/postgresql")
///     .dbname("shop")
///     .user("app")
///     .password("it's \\secret");
/// assert!(!format!("{options:?}").contains("secret"));
///
/// let options: ConnectOptions = "postgres://app@db.example:5433/shop?sslmode=require".parse()?;
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct ConnectOptions {
    /// Keyword and value, each keyword once.
    parameters: Vec<(String, String)>,
    start_only: bool,
}

impl ConnectOptions {
    /// libpq's own defaults, which its environment variables (`PGHOST`, ...) change.
    pub fn new() -> Self {
        Self::default()
    }

    /// The server's name, or the directory of its Unix socket; several, separated by commas.
    pub fn host(self, host: &str) -> Self {
        self.with("host", host)
    }

    /// The server's address, which spares the look-up of its name.
    pub fn hostaddr(self, address: &str) -> Self {
        self.with("hostaddr", address)
    }

    /// The server's port, or the extension of its Unix socket's name; several, separated by commas.
    pub fn port(self, port: &str) -> Self {
        self.with("port", port)
    }

    /// The database's name.
    pub fn dbname(self, name: &str) -> Self {
        self.with("dbname", name)
    }

    /// The role to connect as.
    pub fn user(self, name: &str) -> Self {
        self.with("user", name)
    }

    /// The role's password.
    pub fn password(self, password: &str) -> Self {
        self.with("password", password)
    }

    /// Command-line options for the server's process, for example `-c search_path=app`.
    pub fn options(self, options: &str) -> Self {
        self.with("options", options)
    }

    /// Accepted and ignored, as libpq does.
    pub fn tty(self, tty: &str) -> Self {
        let _ = tty;
        self
    }

    /// Whether the connection must be encrypted: `sslmode=require`, or else `sslmode=prefer`.
    pub fn requiressl(self, required: bool) -> Self {
        self.with("sslmode", if required { "require" } else { "prefer" })
    }

    /// A URL or a string of `keyword=value` pairs: its parameters are taken where none is set yet.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a string that is neither. The error quotes nothing of it, since a
    /// part of a password may have strayed anywhere.
    pub fn conninfo(mut self, text: &str) -> Result<Self, Error> {
        for (keyword, value) in conninfo::parse(text)? {
            if self.get(&keyword).is_none() {
                self.parameters.push((keyword, value));
            }
        }
        Ok(self)
    }

    /// Whether the store is built without waiting for the server: the first call that needs a connection
    /// waits for it. The original's `startonly`. Defaults to `false`.
    pub fn startonly(mut self, start_only: bool) -> Self {
        self.start_only = start_only;
        self
    }

    pub(crate) fn is_start_only(&self) -> bool {
        self.start_only
    }

    /// These options with time limits, where they have none of their own: a server that is gone or silent
    /// then ends a connection attempt and a connection instead of blocking it.
    pub(crate) fn with_timeouts(&self, connection: Duration, statement: Option<Duration>) -> Self {
        let mut options = self.clone();
        let mut default = |keyword: &str, value: String| {
            if options.get(keyword).is_none() {
                options.parameters.push((keyword.to_owned(), value));
            }
        };
        // libpq takes whole seconds, and one second as two.
        default("connect_timeout", connection.as_millis().div_ceil(1_000).max(2).to_string());
        let silence = statement.unwrap_or(connection);
        let probe = silence.as_secs().div_ceil(4).max(1).to_string();
        default("keepalives", "1".to_owned());
        default("keepalives_idle", probe.clone());
        default("keepalives_interval", probe);
        default("keepalives_count", "3".to_owned());
        default("tcp_user_timeout", silence.as_millis().to_string());
        if let Some(statement) = statement {
            // First, so that the caller's own options go before it.
            let theirs = options.get("options").unwrap_or_default();
            let both = format!("-c statement_timeout={} {theirs}", statement.as_millis());
            options = options.with("options", both.trim_end());
        }
        options
    }

    /// The string that libpq takes, every value quoted.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a NUL, which would end the string early.
    pub(crate) fn to_conninfo(&self) -> Result<String, Error> {
        conninfo::format(&self.parameters)
    }

    fn get(&self, keyword: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == keyword).map(|(_, value)| value.as_str())
    }

    fn with(mut self, keyword: &str, value: &str) -> Self {
        self.parameters.retain(|(known, _)| known != keyword);
        self.parameters.push((keyword.to_owned(), value.to_owned()));
        self
    }
}

impl FromStr for ConnectOptions {
    type Err = Error;

    /// Reads a URL or a string of `keyword=value` pairs: [`conninfo`](Self::conninfo).
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new().conninfo(text)
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// What may stand in a log. Options and files name no secret in themselves, yet carry some.
        const SHOWN: [&str; 7] =
            ["host", "hostaddr", "port", "dbname", "user", "sslmode", "target_session_attrs"];
        let mut shown = f.debug_struct("ConnectOptions");
        for (keyword, value) in &self.parameters {
            if SHOWN.contains(&keyword.as_str()) {
                shown.field(keyword, value);
            } else {
                shown.field(keyword, &format_args!(".."));
            }
        }
        shown.field("startonly", &self.start_only).finish()
    }
}

/// What each new connection is told.
#[derive(Debug)]
pub(crate) struct SetUp {
    /// Behind PgBouncer in transaction mode, a statement that was prepared by name may be another
    /// client's by the next call.
    pub(crate) pgbouncer: bool,
}

impl CustomizeConnection<PgConnection, ConnectionError> for SetUp {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), ConnectionError> {
        if self.pgbouncer {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ConnectOptions;

    #[test]
    fn requiressl_becomes_sslmode() {
        assert_eq!(ConnectOptions::new().requiressl(true).to_conninfo().unwrap(), "sslmode='require'");
        assert_eq!(ConnectOptions::new().requiressl(false).to_conninfo().unwrap(), "sslmode='prefer'");
    }

    #[test]
    fn what_a_method_set_goes_before_what_a_string_said() {
        let before = ConnectOptions::new().host("a").conninfo("host=b port=1").unwrap();
        let after = ConnectOptions::new().conninfo("host=b port=1").unwrap().host("a");
        assert_eq!(before.get("host"), Some("a"));
        assert_eq!(after.get("host"), Some("a"));
        assert_eq!(after.get("port"), Some("1"));
    }

    #[test]
    fn a_nul_cannot_cut_the_string_short() {
        assert!(ConnectOptions::new().password("a\0b").to_conninfo().is_err());
    }

    #[test]
    fn time_limits_of_the_caller_stay() {
        let theirs: ConnectOptions = "connect_timeout=9 tcp_user_timeout=1 keepalives=0".parse().unwrap();
        let options = theirs.with_timeouts(Duration::from_millis(2_500), Some(Duration::from_secs(7)));
        assert_eq!(options.get("connect_timeout"), Some("9"));
        assert_eq!(options.get("tcp_user_timeout"), Some("1"));
        assert_eq!(options.get("keepalives"), Some("0"));
        assert_eq!(options.get("options"), Some("-c statement_timeout=7000"));
        let ours = ConnectOptions::new().with_timeouts(Duration::from_millis(2_500), None);
        assert_eq!(ours.get("connect_timeout"), Some("3"));
        assert_eq!(ours.get("options"), None);
    }
}
