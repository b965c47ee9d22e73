//! Decides whether a connection of the asynchronous store is encrypted. That depends on `sslmode` and on where the
//! server is.

use std::net::{IpAddr, Ipv6Addr};

use super::ConnectOptions;
use super::keywords::refuse;
use crate::error::Error;

/// The values of `sslmode`, as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The place of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On this machine, behind a socket that has no TLS.
    UnixSocket,
    /// On this machine, according to its address.
    Loopback,
    Remote,
}

impl ConnectOptions {
    /// Returns the effective `sslmode` of these options, which name one host. A Unix socket has no TLS, as in libpq.
    pub(super) fn ssl_mode(&self) -> Result<SslMode, Error> {
        let place = self.place();
        let from_system = self.get("sslrootcert") == Some("system");
        let mode = match self.get("sslmode") {
            Some("disable") => SslMode::Disable,
            Some("allow") => SslMode::Allow,
            Some("prefer") => SslMode::Prefer,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(_) => {
                let reason = "use disable, allow, prefer, require, verify-ca or verify-full";
                return refuse("sslmode", reason);
            }
            None if from_system => SslMode::VerifyFull,
            // libpq's default, `prefer`, sends everything unencrypted if the server, or an attacker before it, says
            // that it has no TLS.
            None if place == Place::Remote => SslMode::Require,
            None => SslMode::Prefer,
        };
        if from_system && mode != SslMode::VerifyFull {
            // Anyone can get a certificate that some authority of the system has signed.
            let reason = "the system's certificates need `sslmode=verify-full`: without it any host could be the server";
            return refuse("sslrootcert", reason);
        }
        Ok(if place == Place::UnixSocket { SslMode::Disable } else { mode })
    }

    /// Checks that these options, which name one host, allow an unencrypted connection. They do with `sslmode=disable`,
    /// for a Unix socket, and for a loopback address if they do not ask for TLS.
    #[cfg(any(test, not(feature = "rustls")))]
    pub(super) fn check_without_tls(&self) -> Result<(), Error> {
        match (self.ssl_mode()?, self.place()) {
            (SslMode::Disable, _) | (SslMode::Allow | SslMode::Prefer, Place::Loopback) => Ok(()),
            (_, Place::Remote) => refuse(
                "sslmode",
                "the host is remote, and diesel-session was built without TLS: enable its feature `rustls`, or set \
                 `sslmode=disable` if nobody can listen on the network",
            ),
            _ => refuse(
                "sslmode",
                "diesel-session was built without TLS: enable its feature `rustls`, or set `sslmode=disable`",
            ),
        }
    }

    /// Returns the place of the host. `hostaddr` decides if it is given, because the connection goes there.
    fn place(&self) -> Place {
        let host = self.get("host").unwrap_or_default();
        let address = self.get("hostaddr").unwrap_or_default();
        if address.is_empty() && host.starts_with('/') {
            return Place::UnixSocket;
        }
        let target = if address.is_empty() { host } else { address };
        let is_localhost = address.is_empty() && host.eq_ignore_ascii_case("localhost");
        let is_loopback = target.parse().is_ok_and(|address: IpAddr| match address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
        });
        if is_localhost || is_loopback { Place::Loopback } else { Place::Remote }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectOptions, Place, SslMode};
    use crate::error::Error;

    fn options(text: &str) -> ConnectOptions {
        text.parse().unwrap()
    }

    #[test]
    fn only_sockets_and_loopback_are_this_machine() {
        for (text, place) in [
            ("host=/run/postgresql", Place::UnixSocket),
            ("host=localhost", Place::Loopback),
            ("host=LocalHost", Place::Loopback),
            ("host=127.0.0.1", Place::Loopback),
            ("host=127.255.0.9", Place::Loopback),
            ("host=::1", Place::Loopback),
            ("host=db.example hostaddr=127.0.0.1", Place::Loopback),
            ("host=/run/postgresql hostaddr=192.0.2.1", Place::Remote),
            ("host=localhost hostaddr=192.0.2.1", Place::Remote),
            ("hostaddr=192.0.2.1", Place::Remote),
            ("host=127.0.0.1.example", Place::Remote),
            ("host=localhost.example", Place::Remote),
            ("host=db.example hostaddr=localhost", Place::Remote),
            ("host=0.0.0.0", Place::Remote),
            ("host=128.0.0.1", Place::Remote),
            ("host=::2", Place::Remote),
            ("host=db", Place::Remote),
            ("host=@socket", Place::Remote),
        ] {
            assert_eq!(options(text).place(), place, "{text}");
        }
    }

    #[test]
    fn without_sslmode_a_remote_host_gets_require() {
        for (text, mode) in [
            ("host=db.example", SslMode::Require),
            ("host=localhost hostaddr=192.0.2.1", SslMode::Require),
            ("host=localhost", SslMode::Prefer),
            ("host=/run/postgresql", SslMode::Disable),
            ("host=/run/postgresql sslmode=require", SslMode::Disable),
            ("host=db.example sslmode=prefer", SslMode::Prefer),
            ("host=db.example sslmode=disable", SslMode::Disable),
            ("host=localhost sslrootcert=system", SslMode::VerifyFull),
        ] {
            assert_eq!(options(text).ssl_mode().unwrap(), mode, "{text}");
        }
    }

    #[test]
    fn the_systems_certificates_need_verify_full() {
        for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let weak = options(&format!("host=db.example sslrootcert=system sslmode={mode}")).ssl_mode();
            assert!(matches!(weak, Err(Error::Configuration { setting: "sslrootcert", .. })), "{weak:?}");
        }
        options("host=db.example sslrootcert=system sslmode=verify-full").ssl_mode().unwrap();
    }

    #[test]
    fn an_sslmode_that_nobody_knows_is_refused() {
        for text in ["host=db.example sslmode=''", "host=/tmp sslmode=Require", "host=localhost sslmode=x"] {
            let refused = options(text).ssl_mode();
            assert!(matches!(refused, Err(Error::Configuration { setting: "sslmode", .. })), "{refused:?}");
        }
    }

    #[test]
    fn without_the_feature_a_remote_host_is_refused_unless_the_address_says_disable() {
        for text in ["host=db.example", "hostaddr=192.0.2.1", "host=localhost hostaddr=192.0.2.1"] {
            for mode in ["", "sslmode=allow", "sslmode=prefer", "sslmode=require", "sslmode=verify-full"] {
                let refused = options(&format!("{text} {mode}")).check_without_tls();
                let Err(Error::Configuration { setting: "sslmode", reason }) = refused else {
                    panic!("{text} {mode}: {refused:?}");
                };
                assert!(reason.contains("`rustls`") && reason.contains("`sslmode=disable`"), "{reason}");
            }
            options(&format!("{text} sslmode=disable")).check_without_tls().unwrap();
        }
        for text in ["host=/tmp sslmode=verify-full", "host=localhost", "host=::1 sslmode=allow"] {
            options(text).check_without_tls().unwrap();
        }
        for text in ["host=localhost sslmode=require", "host=::1 sslmode=verify-ca"] {
            let refused = options(text).check_without_tls();
            assert!(matches!(refused, Err(Error::Configuration { setting: "sslmode", .. })), "{refused:?}");
        }
    }
}
