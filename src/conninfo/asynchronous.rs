//! The addresses that tokio-postgres takes.

use super::{ConnectOptions, parse};
use crate::error::Error;
use crate::options::ConnectionSettings;

/// Of `tokio_postgres::Config`, 0.7.
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

/// Of these libpq takes an empty one for one that is not there. Any other is a value to it, which it refuses where it
/// reads it: an empty `sslmode` is none that a connection may be made with.
const NOT_GIVEN_IF_EMPTY: [&str; 8] =
    ["application_name", "dbname", "host", "hostaddr", "options", "password", "port", "user"];

fn refuse<T>(setting: &'static str, reason: &str) -> Result<T, Error> {
    Err(Error::Configuration { setting, reason: reason.to_owned() })
}

impl ConnectOptions {
    /// The strings that tokio-postgres takes, one a host, so that each has a time of its own; with time limits where
    /// these options have none. `has_tls` says that somebody else sees to TLS, and to what these options say of it.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] as for libpq's string; for a parameter that libpq alone knows, and for a value that
    /// tokio-postgres does not.
    pub(crate) fn asynchronous_addresses(
        &self,
        settings: &ConnectionSettings,
        has_tls: bool,
    ) -> Result<Vec<String>, Error> {
        let mut options = self.clone();
        // To tokio-postgres it would be an empty name.
        options
            .parameters
            .retain(|(keyword, value)| !value.is_empty() || !NOT_GIVEN_IF_EMPTY.contains(&keyword.as_str()));
        for (keyword, _) in &mut options.parameters {
            if keyword == "keepalives_count" {
                "keepalives_retries".clone_into(keyword);
            }
        }
        // tokio-postgres reads no variable of the environment.
        let mut options = options.with_limits("keepalives_retries", settings, |_| None)?;
        if has_tls {
            options.parameters.retain(|(keyword, _)| keyword == "sslmode" || !keyword.starts_with("ssl"));
        }
        for (keyword, value) in &mut options.parameters {
            match (keyword.as_str(), value.as_str()) {
                // libpq counts milliseconds, tokio-postgres seconds.
                ("tcp_user_timeout", milliseconds) => match milliseconds.parse::<u64>() {
                    Ok(milliseconds) => *value = milliseconds.div_ceil(1_000).to_string(),
                    Err(_) => return refuse("tcp_user_timeout", "milliseconds, as a number"),
                },
                ("sslmode", "verify-ca" | "verify-full") if has_tls => "require".clone_into(value),
                ("sslmode", "verify-ca" | "verify-full" | "allow") => {
                    return refuse("sslmode", "disable, prefer or require; to verify, use `establish_with`");
                }
                (keyword, _) if !KNOWN.contains(&keyword) => {
                    let reason = format!("diesel-async takes no {keyword}: `establish_with` may see to it");
                    return refuse("connection", &reason);
                }
                _ => {}
            }
        }
        let addresses: Vec<String> =
            options.each_host()?.iter().map(Self::written).collect::<Result<_, _>>()?;
        if addresses.iter().any(|address| address.parse::<tokio_postgres::Config>().is_err()) {
            // Its own error may quote what it could not read.
            let reason =
                "a parameter has a value that tokio-postgres does not know, such as a port over 65535";
            return refuse("connection", reason);
        }
        Ok(addresses)
    }

    /// The options of each host that they name.
    fn each_host(&self) -> Result<Vec<Self>, Error> {
        let list = |keyword| -> Vec<String> {
            self.get(keyword).into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
        };
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
        let count = hosts.len().max(addresses.len());
        if count == 0 {
            return refuse(
                "host",
                "diesel-async has no default: give a name, or the directory of the socket",
            );
        }
        let fits = |list: &[String]| list.is_empty() || list.len() == count;
        if !fits(&hosts) || !fits(&addresses) || !(fits(&ports) || ports.len() == 1) {
            return refuse("host", "as many hosts as addresses, and one port or as many");
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

    fn written(&self) -> Result<String, Error> {
        parse::format(&self.parameters)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use tokio_postgres::Config;
    use tokio_postgres::config::Host;

    use super::ConnectOptions;
    use crate::options::ConnectionSettings;

    fn settings() -> ConnectionSettings {
        ConnectionSettings {
            connection_timeout: Duration::from_millis(2_500),
            statement_timeout: Duration::from_millis(6_500),
            ..ConnectionSettings::default()
        }
    }

    fn configs(options: &str, has_tls: bool) -> Vec<Config> {
        let options: ConnectOptions = options.parse().unwrap();
        let addresses = options.asynchronous_addresses(&settings(), has_tls).unwrap();
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn limits_are_set_where_the_caller_has_none_and_mean_what_libpq_means() {
        let ours = &configs("host=a", false)[0];
        assert_eq!(ours.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(ours.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(ours.get_keepalives_retries(), Some(3));
        let theirs = &configs("host=a tcp_user_timeout=1500 keepalives_count=9", false)[0];
        assert_eq!(theirs.get_tcp_user_timeout(), Some(&Duration::from_secs(2)));
        assert_eq!(theirs.get_keepalives_retries(), Some(9));
    }

    #[test]
    fn an_empty_name_is_one_that_is_not_there() {
        let empty = "hostaddr='' user='' dbname='' password='' port='' options='' application_name=''";
        let config = &configs(&format!("host=a {empty}"), false)[0];
        assert_eq!((config.get_user(), config.get_dbname(), config.get_password()), (None, None, None));
        assert_eq!((config.get_options(), config.get_application_name()), (None, None));
        assert!(config.get_ports().is_empty());
    }

    #[test]
    fn any_other_empty_value_is_refused() {
        let names = |keyword: &&str| super::NOT_GIVEN_IF_EMPTY.contains(keyword);
        let known = super::KNOWN.into_iter().filter(|keyword| !names(keyword));
        for keyword in known.map(|keyword| keyword.replace("retries", "count")) {
            let options: ConnectOptions = format!("host=a {keyword}=''").parse().unwrap();
            for has_tls in [false, true] {
                assert!(options.asynchronous_addresses(&settings(), has_tls).is_err(), "{keyword}");
            }
        }
    }

    #[test]
    fn each_host_has_an_address_of_its_own() {
        let configs = configs("host=a,b hostaddr=127.0.0.1,127.0.0.2 port=1,2", false);
        let hosts: Vec<_> = configs.iter().map(|config| (config.get_hosts(), config.get_ports())).collect();
        let host = |name: &str| [Host::Tcp(name.to_owned())];
        assert_eq!(hosts, [(&host("a")[..], &[1][..]), (&host("b")[..], &[2][..])]);
        let one_port = self::configs("host=a,b port=7", false);
        assert!(one_port.iter().all(|config| config.get_ports() == [7]));
    }

    /// libpq would find something stricter there; tokio-postgres looks for nothing.
    #[test]
    fn requiressl_counts_whatever_the_environment_says() {
        const STRICT: (&str, &str) = ("PGSSLMODE", "verify-full");
        if std::env::var(STRICT.0).is_ok_and(|mode| mode == STRICT.1) {
            let options = ConnectOptions::new().host("a").requiressl(true);
            let addresses = options.asynchronous_addresses(&settings(), true).unwrap();
            return assert!(addresses[0].contains("sslmode='require'"));
        }
        let this = "conninfo::asynchronous::tests::requiressl_counts_whatever_the_environment_says";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(STRICT.0, STRICT.1)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn whoever_establishes_connections_sees_to_tls() {
        let strict = "host=a sslmode=verify-full sslrootcert=/ca.pem";
        let config = &configs(strict, true)[0];
        assert_eq!(config.get_ssl_mode(), tokio_postgres::config::SslMode::Require);
        let options: ConnectOptions = strict.parse().unwrap();
        assert!(options.asynchronous_addresses(&settings(), false).is_err());
    }
}
