//! The parameters of a connection to PostgreSQL, and libpq's connection strings.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::options::ConnectionSettings;
use crate::table::Schema;

#[cfg(feature = "diesel-async")]
mod asynchronous;
mod foreign;
mod keywords;
mod parse;
#[cfg(feature = "diesel-async")]
mod ssl_mode;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(feature = "rustls")]
mod tls_parameters;

#[cfg(feature = "diesel-async")]
pub(crate) use asynchronous::Address;
#[cfg(feature = "rustls")]
pub(crate) use ssl_mode::SslMode;
#[cfg(feature = "rustls")]
pub(crate) use tls_parameters::{Roots, TlsParameters, TlsVersion};

/// The parameters of a connection to a PostgreSQL server. The methods have the names of the parameters of `connect` in
/// OCaml's `session-postgresql`. A connection string or a URL can set all parameters of "Connection Strings" in
/// PostgreSQL's manual.
///
/// A parameter that a method sets replaces the one from a string. `Debug` shows no password.
///
/// # TLS
///
/// `DieselSession` leaves TLS to libpq: see "SSL Support" in PostgreSQL's manual.
///
/// `AsyncDieselSession` needs the feature `rustls`. The parameters then mean what they mean to libpq 16:
///
/// | `sslmode` | the connection is encrypted | the server can be |
/// |---|---|---|
/// | `disable` | never | anyone |
/// | `allow` | only if the server refuses the client without TLS | anyone |
/// | `prefer` | unless the server has no TLS, TLS fails, or the server refuses the client over TLS | anyone |
/// | `require` | always | anyone; with `sslrootcert` as for `verify-ca` |
/// | `verify-ca` | always | any host with a certificate of an authority in `sslrootcert` |
/// | `verify-full` | always | the host of that name (`host`), with a certificate of such an authority |
///
/// **Use `verify-full`.** With `allow` and `prefer`, an attacker on the network can switch TLS off, and then read all
/// sessions. With `require` and no `sslrootcert`, an attacker can pose as the server.
///
/// Without `sslmode`, a remote host gets `require`, and never an unencrypted connection. For `localhost`, `127.0.0.0/8`
/// and `::1` the default is `prefer`. If `hostaddr` is given, it decides whether the host is remote. A Unix socket has
/// no TLS. The store decides this for each host of a list separately.
///
/// Without the feature `rustls`, the store refuses a remote host. It accepts one if the address contains
/// `sslmode=disable`, or if the function of `Builder::establish_with` handles TLS.
///
/// | parameter | value |
/// |---|---|
/// | `sslrootcert` | the file of the authorities' certificates; or `system` for those of the operating system, only with `verify-full`, which then is the default |
/// | `sslcert`, `sslkey` | the files of the client's certificate and its key. The key has no password. On Unix only its owner can read the file, or also a group if the owner is root |
/// | `sslcrl` | the file of the authorities' lists of revoked certificates |
/// | `sslsni` | `0` keeps the host's name out of the handshake. The default is `1` |
/// | `ssl_min_protocol_version`, `ssl_max_protocol_version` | `TLSv1.2` or `TLSv1.3`. The default is both |
/// | `channel_binding` | `disable`, `prefer` (the default) or `require`: the server proves with SCRAM that no attacker intercepts the connection |
///
/// All files are PEM. The store reads them once, when you build it. It reads no file that you do not name: nothing in
/// `~/.postgresql`. It reads no environment variables except `SSL_CERT_FILE` and `SSL_CERT_DIR`, for `system`.
///
/// The store returns [`Error::Configuration`] for a file that it cannot use, and for a parameter that it cannot honour:
/// `sslpassword`, `sslcompression=1`, `sslcrldir`, `sslkeylogfile`, `sslnegotiation=direct`, `sslcertmode=require`,
/// `requirepeer`, `gssencmode=require`. If the handshake fails, the pool's error contains the reason.
///
/// The store is stricter than libpq in four cases. A name counts only as a subject alternative name of the certificate,
/// not as its common name. Certificates must have version 3. At least two labels must follow the `*` of a wildcard.
/// Every file that you name must exist.
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
///
/// A remote server, which must prove that it is `db.example`:
///
/// ```no_run
/// # #[cfg(feature = "rustls")]
/// # async fn serve() -> Result<(), diesel_session::Error> {
/// use diesel_session::{AsyncDieselSession, ConnectOptions};
///
/// let options: ConnectOptions =
///     "postgres://app@db.example/shop?sslmode=verify-full&sslrootcert=/etc/shop/authority.pem".parse()?;
/// let sessions = AsyncDieselSession::builder().connect_with(&options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct ConnectOptions {
    /// Pairs of keyword and value. Each keyword occurs once.
    parameters: Vec<(String, String)>,
    require_ssl: bool,
    start_only: bool,
}

impl ConnectOptions {
    /// Returns options without parameters. `DieselSession` then uses libpq's defaults and its environment variables
    /// (`PGHOST`, ...), except `PGCONNECT_TIMEOUT`. `AsyncDieselSession` ignores these variables, so name a host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the server's name, or the directory of its Unix socket. Separate several hosts with commas.
    pub fn host(self, host: &str) -> Self {
        self.with("host", host)
    }

    /// Sets the server's IP address. This saves the lookup of its name.
    pub fn hostaddr(self, address: &str) -> Self {
        self.with("hostaddr", address)
    }

    /// Sets the server's port, or the extension of its Unix socket's name. Separate several ports with commas.
    pub fn port(self, port: &str) -> Self {
        self.with("port", port)
    }

    /// Sets the name of the database.
    pub fn dbname(self, name: &str) -> Self {
        self.with("dbname", name)
    }

    /// Sets the role to connect as.
    pub fn user(self, name: &str) -> Self {
        self.with("user", name)
    }

    /// Sets the role's password.
    pub fn password(self, password: &str) -> Self {
        self.with("password", password)
    }

    /// Sets command-line options for the server's process, for example `-c search_path=app`.
    pub fn options(self, options: &str) -> Self {
        self.with("options", options)
    }

    /// Ignores the parameter, as libpq does.
    pub fn tty(self, tty: &str) -> Self {
        let _ = tty;
        self
    }

    /// Sets whether the connection must be encrypted. Defaults to `false`: the other parameters decide.
    ///
    /// `true` means `sslmode=require`. A stricter `verify-ca` or `verify-full` in a string stays, and so does one in
    /// `PGSSLMODE` if libpq connects.
    ///
    /// With a service (`service`, or `PGSERVICE` if libpq connects), `true` is an error unless a string sets `sslmode`.
    /// The service may set a stricter one, and only libpq can read it.
    pub fn requiressl(mut self, required: bool) -> Self {
        self.require_ssl = required;
        self
    }

    /// Adds the parameters of a URL or of a string of `keyword=value` pairs. A parameter that is already set stays as
    /// it is.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a string that is neither. The error quotes nothing from the string, because a part
    /// of a password may be anywhere in it.
    pub fn conninfo(mut self, text: &str) -> Result<Self, Error> {
        for (keyword, value) in parse::parse(text)? {
            if self.get(&keyword).is_none() {
                self.parameters.push((keyword, value));
            }
        }
        Ok(self)
    }

    /// Sets whether to build the store without waiting for the server. Then the first call that needs a connection
    /// waits for it. Defaults to `false`.
    pub fn startonly(mut self, start_only: bool) -> Self {
        self.start_only = start_only;
        self
    }

    pub(crate) fn is_start_only(&self) -> bool {
        self.start_only
    }

    /// Returns the string for libpq. It adds time limits if these options have none: a connection to a silent or
    /// vanished server then ends with an error instead of blocking.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a NUL, because it would end the string early, and for an invalid schema.
    #[cfg(feature = "postgres")]
    pub(crate) fn address(&self, settings: &ConnectionSettings) -> Result<String, Error> {
        let environment = |name: &str| std::env::var(name).ok();
        let options = self.with_limits("keepalives_count", settings, environment)?;
        parse::format(&options.parameters)
    }

    /// Returns these options with encryption if they ask for it, and with time limits if they have none.
    /// `keepalives_count` is the client's name for that parameter. `environment` reads a variable of the client's
    /// environment.
    fn with_limits(
        &self,
        keepalives_count: &str,
        settings: &ConnectionSettings,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        settings.schema.as_ref().map_or(Ok(()), Schema::check)?;
        if settings.pgbouncer && settings.schema.is_some() {
            return Err(ConnectionSettings::schema_leaks());
        }
        let mut options = self.clone();
        let mut default = |keyword: &str, value: String| {
            if options.get(keyword).is_none() {
                options.parameters.push((keyword.to_owned(), value));
            }
        };
        // libpq takes whole seconds, and treats one second as two.
        let connect_timeout =
            settings.time_of_each(self.hosts(&environment)).as_millis().div_ceil(1_000).max(2);
        default("connect_timeout", connect_timeout.to_string());
        let statement_timeout = settings.statement_timeout.as_millis();
        let probe = statement_timeout.div_ceil(4_000).max(1).to_string();
        default("keepalives", "1".to_owned());
        default("keepalives_idle", probe.clone());
        default("keepalives_interval", probe);
        default(keepalives_count, "3".to_owned());
        default("tcp_user_timeout", statement_timeout.to_string());
        options.encrypted(environment)
    }

    /// Returns the number of hosts in these options. Only libpq knows the hosts of a service.
    fn hosts(&self, environment: impl Fn(&str) -> Option<String>) -> usize {
        let list = |keyword, name| self.get(keyword).map(str::to_owned).or_else(|| environment(name));
        let listed = |list: Option<String>| list.map_or(0, |list| list.split(',').count());
        listed(list("host", "PGHOST")).max(listed(list("hostaddr", "PGHOSTADDR")))
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

    /// Reads a URL or a string of `keyword=value` pairs, as [`conninfo`](Self::conninfo) does.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new().conninfo(text)
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The parameters that a log may show. The values of the others are secret, or can be.
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
        shown.field("requiressl", &self.require_ssl).field("startonly", &self.start_only).finish()
    }
}
