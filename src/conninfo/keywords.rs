//! The parameters that a connection string can have.

#[cfg(feature = "diesel-async")]
use crate::error::Error;

/// The keywords of PostgreSQL 18's libpq (its manual, "Parameter Key Words"), except those of [`TLS_KEYWORDS`]. All
/// other keywords are refused. libpq would quote an unknown keyword in its error, and that can be a piece of a
/// password.
const KEYWORDS: [&str; 35] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "options",
    "passfile",
    "password",
    "port",
    "replication",
    "require_auth",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// The keywords about encryption.
pub(super) const TLS_KEYWORDS: [&str; 16] = [
    "gssencmode",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
];

/// The values that change nothing. For all other parameters, only the empty value changes nothing.
#[cfg(feature = "diesel-async")]
const WITHOUT_EFFECT: [(&str, &[&str]); 5] = [
    ("gssencmode", &["disable", "prefer"]),
    ("sslcertmode", &["allow"]),
    ("sslcompression", &["0", ""]),
    ("sslnegotiation", &["postgres"]),
    ("sslsni", &["1"]),
];

/// Returns whether a parameter about TLS has a value that changes something.
#[cfg(feature = "diesel-async")]
pub(super) fn has_effect(keyword: &str, value: &str) -> bool {
    let harmless = WITHOUT_EFFECT.iter().find(|(known, _)| *known == keyword);
    harmless.map_or(!value.is_empty(), |(_, harmless)| !harmless.contains(&value))
}

pub(super) fn is_known(keyword: &str) -> bool {
    KEYWORDS.contains(&keyword) || is_of_tls(keyword)
}

pub(super) fn is_of_tls(keyword: &str) -> bool {
    TLS_KEYWORDS.contains(&keyword)
}

/// Returns the error for a parameter that the store cannot honour.
#[cfg(feature = "diesel-async")]
pub(super) fn refuse<T>(keyword: &'static str, reason: &str) -> Result<T, Error> {
    Err(Error::Configuration { setting: keyword, reason: reason.to_owned() })
}
