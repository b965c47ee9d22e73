//! Connection parameters of other PostgreSQL clients. The error for each one says what to use instead.

use crate::error::Error;

/// A setting of this crate, the parameters of other clients for the same purpose, and the advice.
type Row = (&'static str, &'static [&'static str], &'static str);

const OURS: [Row; 10] = [
    (
        "pgbouncer",
        &[
            "pgbouncer",
            "prepareThreshold",
            "prepared_statement_cache_size",
            "prepared_statements",
            "statement-cache-capacity",
            "statement_cache_capacity",
            "statement_cache_size",
        ],
        "it cannot be set in the address. Behind a pooler in transaction mode use a DieselSession with \
         Builder::pgbouncer(true). An AsyncDieselSession needs session mode, or PgBouncer 1.21 or later with \
         max_prepared_statements",
    ),
    (
        "pool_size",
        &["connection_limit", "max_pool_size", "maxPoolSize", "pool_max_conns", "pool_size"],
        "it cannot be set in the address: use Builder::pool_size",
    ),
    (
        "min_idle",
        &["min_pool_size", "minPoolSize", "pool_min_conns"],
        "it cannot be set in the address: use Builder::min_idle",
    ),
    (
        "connection_timeout",
        &["connectTimeout", "connection_timeout", "loginTimeout", "pool_timeout"],
        "it cannot be set in the address: use Builder::connection_timeout",
    ),
    (
        "statement_timeout",
        &["command_timeout", "query_timeout", "socketTimeout", "socket_timeout", "statement_timeout"],
        "it cannot be set in the address: use Builder::statement_timeout",
    ),
    (
        "schema",
        &["currentSchema", "schema", "searchpath", "search_path"],
        "it cannot be set in the address: use Builder::schema",
    ),
    (
        "sslmode",
        &["ssl", "ssl-mode", "ssl_mode", "sslMode", "sslaccept", "tls"],
        "use sslmode=require, or sslmode=verify-full to verify the server's certificate",
    ),
    (
        "sslcert",
        &["sslidentity"],
        "use sslcert and sslkey, which name the files of the certificate and its key",
    ),
    (
        "target_session_attrs",
        &["targetServerType", "target_server_type"],
        "use target_session_attrs=read-write",
    ),
    (
        "conninfo",
        &["supa", "uselibpqcompat", "workaround"],
        "the parameter of a hosting provider is for another client: leave it out",
    ),
];

/// Returns the error for a parameter of another client, or `None` if no row names it.
pub(super) fn refusal(keyword: &str) -> Option<Error> {
    let (setting, _, reason) = OURS.iter().find(|(_, theirs, _)| theirs.contains(&keyword))?;
    Some(Error::Configuration { setting, reason: (*reason).to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::OURS;
    use crate::conninfo::ConnectOptions;
    use crate::error::Error;

    #[test]
    fn no_parameter_has_two_answers() {
        let mut seen = HashSet::new();
        assert!(OURS.iter().flat_map(|(_, theirs, _)| *theirs).all(|keyword| seen.insert(keyword)));
    }

    /// No row names a keyword of libpq, because those are never refused.
    #[test]
    fn every_parameter_is_refused_wherever_it_stands() {
        for (ours, theirs, reason) in OURS {
            for keyword in theirs {
                let urls = [
                    format!("postgres://app:secret@db/shop?{keyword}=x"),
                    format!("postgres://app:secret@db/shop?sslmode=require&{keyword}=x"),
                    format!("host=db password=secret {keyword}=x"),
                ];
                for url in urls {
                    match url.parse::<ConnectOptions>() {
                        Err(Error::Configuration { setting, reason: said }) => {
                            assert_eq!((setting, said.as_str()), (ours, reason), "{url}");
                        }
                        other => panic!("{url}: {other:?}"),
                    }
                }
            }
        }
    }
}
