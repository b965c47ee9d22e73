//! Makes the addresses that tokio-postgres reads.

use super::keywords::{TLS_KEYWORDS, has_effect, is_of_tls, refuse};
use super::ssl_mode::SslMode;
#[cfg(feature = "rustls")]
use super::tls_parameters::TlsParameters;
use super::{ConnectOptions, parse};
use crate::error::Error;
use crate::options::ConnectionSettings;

#[cfg(test)]
mod tests;

/// The keywords that `tokio_postgres::Config` 0.7 knows.
const KNOWN: [&str; 17] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "sslmode",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// libpq treats an empty value of these keywords as if the keyword were missing. For every other keyword an empty value
/// is a value like any other. libpq refuses it if it is invalid, as an empty `sslmode` is.
const NOT_GIVEN_IF_EMPTY: [&str; 8] =
    ["application_name", "dbname", "host", "hostaddr", "options", "password", "port", "user"];

/// The address of one host, and its parameters about TLS.
pub(crate) struct Address {
    /// The string that tokio-postgres reads.
    pub(crate) text: String,
    #[cfg(feature = "rustls")]
    pub(crate) tls: TlsParameters,
}

impl ConnectOptions {
    /// Returns an address for each host, so that each host has its own time limit. Adds time limits if these options
    /// have none.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] in the cases of libpq's string. The same for a parameter that only libpq knows, and for
    /// a value that tokio-postgres does not know. Without TLS, the same for a host that must not be reached
    /// unencrypted.
    #[cfg(feature = "rustls")]
    pub(crate) fn asynchronous_addresses(
        &self,
        settings: &ConnectionSettings,
    ) -> Result<Vec<Address>, Error> {
        let address = |options: Self| {
            let (options, tls) = options.split_tls()?;
            // Without a name, TLS uses the address. A directory is not a name.
            let options = match (options.get("host"), options.get("hostaddr").map(str::to_owned)) {
                (None, Some(address)) => options.with("host", &address),
                (Some(host), Some(address)) if host.starts_with('/') => options.with("host", &address),
                _ => options,
            };
            // Each attempt to connect sets the mode again. An attempt that does not would fail.
            let mode = if tls.mode == SslMode::Disable { "disable" } else { "require" };
            Ok(Address { text: options.with("sslmode", mode).checked()?, tls })
        };
        self.for_tokio_postgres(settings, is_of_tls)?.each_host()?.into_iter().map(address).collect()
    }

    /// Does the same without TLS.
    #[cfg(not(feature = "rustls"))]
    pub(crate) fn asynchronous_addresses(
        &self,
        settings: &ConnectionSettings,
    ) -> Result<Vec<Address>, Error> {
        let address = |options: Self| {
            options.check_without_tls()?;
            Ok(Address { text: options.with("sslmode", "disable").checked()? })
        };
        self.for_tokio_postgres(settings, |_| false)?.each_host()?.into_iter().map(address).collect()
    }

    /// Returns the addresses for the application's function, which handles TLS. Of [`TLS_KEYWORDS`], the function
    /// gets only `sslmode`. Any other one that has an effect is refused.
    pub(crate) fn addresses_for_the_application(
        &self,
        settings: &ConnectionSettings,
    ) -> Result<Vec<String>, Error> {
        let address = |mut options: Self| {
            // The address always contains a mode. Without one, tokio-postgres connects unencrypted if the server has no
            // TLS.
            let mode = match options.ssl_mode()? {
                SslMode::Disable => "disable",
                SslMode::Prefer => "prefer",
                SslMode::Require => "require",
                SslMode::Allow | SslMode::VerifyCa | SslMode::VerifyFull => {
                    let reason = "the function of `establish_with` gets `disable`, `prefer` or `require`, and verifies \
                                  the server itself: say `require`";
                    return refuse("sslmode", reason);
                }
            };
            options.parameters.retain(|(keyword, _)| !is_of_tls(keyword));
            options.with("sslmode", mode).checked()
        };
        let certificates = TLS_KEYWORDS.into_iter().filter(|keyword| *keyword != "sslmode");
        self.refuse_any_of(certificates, "the function of `establish_with` handles TLS: leave it out")?;
        let options = self.for_tokio_postgres(settings, is_of_tls)?;
        options.each_host()?.into_iter().map(address).collect()
    }

    /// Refuses each of these parameters about TLS, unless its value changes nothing.
    pub(super) fn refuse_any_of(
        &self,
        parameters: impl IntoIterator<Item = &'static str>,
        reason: &str,
    ) -> Result<(), Error> {
        let asks = |keyword: &&str| self.get(keyword).is_some_and(|value| has_effect(keyword, value));
        parameters.into_iter().find(asks).map_or(Ok(()), |keyword| refuse(keyword, reason))
    }

    /// Returns these options with the names and units of tokio-postgres. `is_read_by_others` accepts the parameters
    /// that tokio-postgres never gets.
    fn for_tokio_postgres(
        &self,
        settings: &ConnectionSettings,
        is_read_by_others: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let mut options = self.clone();
        // tokio-postgres would use the empty name.
        options
            .parameters
            .retain(|(keyword, value)| !value.is_empty() || !NOT_GIVEN_IF_EMPTY.contains(&keyword.as_str()));
        for (keyword, _) in &mut options.parameters {
            if keyword == "keepalives_count" {
                "keepalives_retries".clone_into(keyword);
            }
        }
        // tokio-postgres reads no environment variables.
        let mut options = options.with_limits("keepalives_retries", settings, |_| None)?;
        for (keyword, value) in &mut options.parameters {
            match (keyword.as_str(), value.as_str()) {
                // libpq takes milliseconds, tokio-postgres takes seconds.
                ("tcp_user_timeout", milliseconds) => match milliseconds.parse::<u64>() {
                    Ok(milliseconds) => *value = milliseconds.div_ceil(1_000).to_string(),
                    Err(_) => return refuse("tcp_user_timeout", "milliseconds, as a number"),
                },
                (keyword, _)
                    if keyword.starts_with("ssl")
                        && !KNOWN.contains(&keyword)
                        && !is_read_by_others(keyword) =>
                {
                    let reason =
                        format!("{keyword} needs TLS: enable the feature `rustls` of diesel-session");
                    return refuse("connection", &reason);
                }
                (keyword, _) if !KNOWN.contains(&keyword) && !is_read_by_others(keyword) => {
                    let reason = format!("diesel-async does not support {keyword}: leave it out");
                    return refuse("connection", &reason);
                }
                _ => {}
            }
        }
        Ok(options)
    }

    /// Returns separate options for each host.
    fn each_host(&self) -> Result<Vec<Self>, Error> {
        let list = |keyword| -> Vec<String> {
            self.get(keyword).into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
        };
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        let count = hosts.len().max(addresses.len());
        if count == 0 {
            return refuse(
                "host",
                "diesel-async has no default host: give a name, or the directory of the socket",
            );
        }
        let fits = |list: &[String]| list.is_empty() || list.len() == count;
        if !fits(&hosts) || !fits(&addresses) || !(fits(&ports) || ports.len() == 1) {
            return refuse("host", "give as many hosts as addresses, and as many ports, or one for all");
        }
        let each = |number: usize| {
            let mut options = self.clone();
            for (keyword, list) in [("host", &hosts), ("hostaddr", &addresses), ("port", &ports)] {
                if let Some(value) = list.get(number).or(list.first()) {
                    options = options.with(keyword, value);
                }
            }
            options
        };
        Ok((0..count).map(each).collect())
    }

    /// Returns the string for tokio-postgres, after tokio-postgres has parsed it without an error.
    fn checked(self) -> Result<String, Error> {
        let text = parse::format(&self.parameters)?;
        if text.parse::<tokio_postgres::Config>().is_err() {
            // The parser's own error may quote a secret.
            let reason =
                "a parameter has a value that tokio-postgres does not know, such as a port over 65535";
            return refuse("connection", reason);
        }
        Ok(text)
    }
}
