//! Parameters that other clients know. Each has an answer that names ours.

use crate::error::Error;

/// A setting of ours, the parameters of other clients in its place, and what to do.
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
        "the address does not say it. Behind a pooler in transaction mode use a DieselSession with \
         Builder::pgbouncer(true). An AsyncDieselSession needs session mode, or PgBouncer 1.21 or later with \
         max_prepared_statements",
    ),
    (
        "pool_size",
        &["connection_limit", "max_pool_size", "maxPoolSize", "pool_max_conns", "pool_size"],
        "the address does not say it: use Builder::pool_size",
    ),
    (
        "min_idle",
        &["min_pool_size", "minPoolSize", "pool_min_conns"],
        "the address does not say it: use Builder::min_idle",
    ),
    (
        "connection_timeout",
        &["connectTimeout", "connection_timeout", "loginTimeout", "pool_timeout"],
        "the address does not say it: use Builder::connection_timeout",
    ),
    (
        "statement_timeout",
        &["command_timeout", "query_timeout", "socketTimeout", "socket_timeout", "statement_timeout"],
        "the address does not say it: use Builder::statement_timeout",
    ),
    (
        "schema",
        &["currentSchema", "schema", "searchpath", "search_path"],
        "the address does not say it: use Builder::schema",
    ),
    (
        "sslmode",
        &["ssl", "ssl-mode", "ssl_mode", "sslMode", "sslaccept", "tls"],
        "say in the address sslmode=require, or sslmode=verify-full to verify the server's certificate",
    ),
    (
        "sslcert",
        &["sslidentity"],
        "say in the address sslcert and sslkey, which name files of the certificate and its key",
    ),
    (
        "target_session_attrs",
        &["targetServerType", "target_server_type"],
        "say in the address target_session_attrs=read-write",
    ),
    (
        "conninfo",
        &["supa", "uselibpqcompat", "workaround"],
        "a parameter of a hosting provider for another client: leave it out",
    ),
];

/// What to say of a parameter that is another client's.
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

    /// None is a keyword of libpq's, which would never be refused.
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
