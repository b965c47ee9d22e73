//! Connections of diesel-async to PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError::{BadConnection, CouldntSetupConfiguration};
use diesel::ConnectionResult;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::ConnectionSettings;
use super::conninfo;
use super::postgres::{ConnectOptions, set_up};
use crate::error::Error;

/// What establishes a connection, by an address of `keyword='value'` pairs.
pub(crate) type Establish =
    Arc<dyn Fn(String) -> BoxFuture<'static, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// Without TLS, which diesel-async leaves to others.
pub(crate) fn establish_in_clear() -> Establish {
    Arc::new(|address| async move { AsyncPgConnection::establish(&address).await }.boxed())
}

/// Makes connections that are set up, each in time.
pub(crate) fn manager(
    address: String,
    settings: &ConnectionSettings,
    establish: Establish,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let (set_up, limit) = (set_up(settings), settings.connection_timeout);
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |address| {
        let made = make(establish(address.to_owned()), set_up.clone());
        in_time(limit, made).boxed()
    });
    AsyncDieselConnectionManager::new_with_config(address, config)
}

async fn make(
    established: BoxFuture<'static, ConnectionResult<AsyncPgConnection>>,
    set_up: Vec<String>,
) -> ConnectionResult<AsyncPgConnection> {
    let mut conn = established.await?;
    for statement in &set_up {
        conn.batch_execute(statement).await.map_err(CouldntSetupConfiguration)?;
    }
    Ok(conn)
}

async fn in_time<T>(limit: Duration, made: impl Future<Output = ConnectionResult<T>>) -> ConnectionResult<T> {
    let late = |_| Err(BadConnection(format!("the server did not take the connection within {limit:?}")));
    timeout(limit, made).await.unwrap_or_else(late)
}

impl ConnectOptions {
    /// The string that tokio-postgres takes, with time limits where these options have none of their own.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] as for libpq's; and for a parameter that libpq alone knows.
    pub(crate) fn asynchronous_address(&self, settings: &ConnectionSettings) -> Result<String, Error> {
        /// Of `tokio_postgres::Config`, 0.7.
        const KNOWN: [&str; 18] = [
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
            "load_balance_hosts",
            "options",
            "password",
            "port",
            "sslmode",
            "target_session_attrs",
            "tcp_user_timeout",
            "user",
        ];
        let refuse = |setting, reason: &str| Err(Error::Configuration { setting, reason: reason.to_owned() });
        let mut options = self.with_limits("keepalives_retries", settings)?;
        for (keyword, _) in &mut options.parameters {
            if keyword == "keepalives_count" {
                "keepalives_retries".clone_into(keyword);
            }
            if !KNOWN.contains(&keyword.as_str()) {
                let reason =
                    format!("diesel-async takes no {keyword}: that is for what establishes connections");
                return refuse("connection", &reason);
            }
        }
        if matches!(options.get("sslmode"), Some("verify-ca" | "verify-full" | "allow")) {
            return refuse("sslmode", "disable, prefer or require: what is verified says `establish_with`");
        }
        if options.get("host").is_none() && options.get("hostaddr").is_none() {
            return refuse(
                "host",
                "diesel-async has no default: give a name, or the directory of the socket",
            );
        }
        conninfo::format(&options.parameters)
    }
}
