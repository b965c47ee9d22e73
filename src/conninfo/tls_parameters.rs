//! Reads the parameters about TLS of one host.

use super::ConnectOptions;
use super::keywords::{is_of_tls, refuse};
use super::ssl_mode::SslMode;
use crate::error::Error;

/// The authorities that the store trusts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    System,
    /// The name of a file of certificates.
    File(String),
}

/// The versions of TLS that rustls supports, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    Tls12,
    Tls13,
}

/// The parameters about TLS of one host. It contains names of files. They are read later.
#[derive(Clone)]
pub(crate) struct TlsParameters {
    pub(crate) mode: SslMode,
    pub(crate) roots: Option<Roots>,
    /// The names of the files of the client's certificate and of its key.
    pub(crate) identity: Option<(String, String)>,
    /// The name of a file of revoked certificates.
    pub(crate) revoked: Option<String>,
    pub(crate) sends_server_name: bool,
    pub(crate) oldest: TlsVersion,
    pub(crate) newest: TlsVersion,
}

/// The parameters that only libpq can honour.
const BEYOND_US: [&str; 7] = [
    "gssencmode",
    "requirepeer",
    "sslcompression",
    "sslcrldir",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
];

impl ConnectOptions {
    /// Splits the parameters about TLS off these options of one host.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a parameter that the store cannot honour.
    pub(super) fn split_tls(mut self) -> Result<(Self, TlsParameters), Error> {
        let mode = self.ssl_mode()?;
        self.refuse_any_of(BEYOND_US, "the asynchronous store cannot do this: leave it out")?;
        let roots = self.given("sslrootcert").map(|name| match name.as_str() {
            "system" => Roots::System,
            _ => Roots::File(name),
        });
        if roots.is_none() && matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
            return refuse(
                "sslrootcert",
                "to verify the server, name the file of its authority's certificate, or with `sslmode=verify-full` say \
                 `sslrootcert=system`: the asynchronous store looks for no file by itself",
            );
        }
        if mode == SslMode::VerifyFull && self.get("host").is_none_or(|host| host.starts_with('/')) {
            return refuse(
                "host",
                "`sslmode=verify-full` compares it with the server's certificate: give a name",
            );
        }
        let revoked = self.given("sslcrl");
        if revoked.is_some() && roots.is_none() {
            return refuse("sslcrl", "it is used only if the server is verified: give `sslrootcert`");
        }
        let identity = self.identity()?;
        let sends_server_name = match self.get("sslsni") {
            None | Some("1") => true,
            Some("0") => false,
            Some(_) => return refuse("sslsni", "0 or 1"),
        };
        let (oldest, newest) = self.versions()?;
        self.parameters.retain(|(keyword, _)| !is_of_tls(keyword));
        Ok((self, TlsParameters { mode, roots, identity, revoked, sends_server_name, oldest, newest }))
    }

    /// Returns the value of a parameter if it is not empty.
    fn given(&self, keyword: &str) -> Option<String> {
        self.get(keyword).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Returns the files of the client's certificate and key, if the client shows a certificate.
    fn identity(&self) -> Result<Option<(String, String)>, Error> {
        match self.get("sslcertmode") {
            None | Some("allow") => {}
            Some("disable") => return Ok(None),
            Some(_) => {
                return refuse("sslcertmode", "allow or disable: the asynchronous store has no other mode");
            }
        }
        match (self.given("sslcert"), self.given("sslkey")) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (Some(_), None) => refuse("sslkey", "name the file of the key that belongs to `sslcert`"),
            (None, Some(_)) => refuse("sslcert", "name the file of the certificate that belongs to `sslkey`"),
        }
    }

    fn versions(&self) -> Result<(TlsVersion, TlsVersion), Error> {
        const OLDEST: &str = "ssl_min_protocol_version";
        const NEWEST: &str = "ssl_max_protocol_version";
        let version = |setting| {
            let version = self.get(setting).unwrap_or_default().to_ascii_lowercase();
            match version.as_str() {
                // rustls supports no older version, so an older bound means the oldest.
                "" | "tlsv1" | "tlsv1.1" if setting == OLDEST => Ok(TlsVersion::Tls12),
                "tlsv1.2" => Ok(TlsVersion::Tls12),
                "" | "tlsv1.3" => Ok(TlsVersion::Tls13),
                _ => refuse(setting, "TLSv1.2 or TLSv1.3"),
            }
        };
        let (oldest, newest) = (version(OLDEST)?, version(NEWEST)?);
        if oldest > newest {
            return refuse(OLDEST, "give at most ssl_max_protocol_version");
        }
        Ok((oldest, newest))
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectOptions, Roots, SslMode, TlsParameters, TlsVersion};
    use crate::error::Error;

    fn split(text: &str) -> Result<(ConnectOptions, TlsParameters), Error> {
        text.parse::<ConnectOptions>().unwrap().split_tls()
    }

    #[test]
    fn what_is_said_of_tls_is_read_and_kept_from_tokio_postgres() {
        let text = "host=db.example user=u sslmode=verify-full sslrootcert=/ca sslcert=/c sslkey=/k sslcrl=/r \
                    sslsni=0 ssl_min_protocol_version=tlsv1.3 gssencmode=disable sslcompression=0";
        let (rest, tls) = split(text).unwrap();
        let keywords: Vec<&str> = rest.parameters.iter().map(|(keyword, _)| keyword.as_str()).collect();
        assert_eq!(keywords, ["host", "user"]);
        assert_eq!(tls.mode, SslMode::VerifyFull);
        assert!(tls.roots == Some(Roots::File("/ca".to_owned())));
        assert_eq!(tls.identity, Some(("/c".to_owned(), "/k".to_owned())));
        assert_eq!(tls.revoked.as_deref(), Some("/r"));
        assert!(!tls.sends_server_name);
        assert_eq!((tls.oldest, tls.newest), (TlsVersion::Tls13, TlsVersion::Tls13));
    }

    #[test]
    fn an_empty_file_name_is_one_that_is_not_there() {
        let (_, tls) = split("host=db.example sslrootcert='' sslcert='' sslkey='' sslcrl=''").unwrap();
        assert!(tls.roots.is_none() && tls.identity.is_none() && tls.revoked.is_none());
    }

    #[test]
    fn what_would_not_be_honoured_is_refused() {
        for (text, named) in [
            ("gssencmode=require", "gssencmode"),
            ("requirepeer=postgres", "requirepeer"),
            ("sslcompression=1", "sslcompression"),
            ("sslcrldir=/d", "sslcrldir"),
            ("sslkeylogfile=/f", "sslkeylogfile"),
            ("sslnegotiation=direct", "sslnegotiation"),
            ("sslpassword=p", "sslpassword"),
            ("sslcertmode=require", "sslcertmode"),
            ("sslsni=x", "sslsni"),
            ("sslcert=/c", "sslkey"),
            ("sslkey=/k", "sslcert"),
            ("sslcrl=/r", "sslcrl"),
            ("sslmode=verify-ca", "sslrootcert"),
            ("sslmode=verify-full", "sslrootcert"),
            ("ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version"),
            ("ssl_max_protocol_version=TLSv1.1", "ssl_max_protocol_version"),
            ("ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2", "ssl_min_protocol_version"),
            ("host='' hostaddr=192.0.2.1 sslmode=verify-full sslrootcert=/ca host=/tmp", "host"),
        ] {
            let refused = split(&format!("host=db.example {text}")).map(|_| ());
            let setting = match refused {
                Err(Error::Configuration { setting, .. }) => setting,
                other => panic!("{text}: {other:?}"),
            };
            assert_eq!(setting, named, "{text}");
        }
    }
}
