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
use super::postgres::set_up;

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
    set_up: String,
) -> ConnectionResult<AsyncPgConnection> {
    let mut conn = established.await?;
    conn.batch_execute(&set_up).await.map_err(CouldntSetupConfiguration)?;
    Ok(conn)
}

async fn in_time<T>(limit: Duration, made: impl Future<Output = ConnectionResult<T>>) -> ConnectionResult<T> {
    let late = |_| Err(BadConnection(format!("the server did not take the connection within {limit:?}")));
    timeout(limit, made).await.unwrap_or_else(late)
}
