//! Connections of diesel-async to PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError::BadConnection;
use diesel::ConnectionResult;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::options::{ConnectionSettings, Establish};

/// Without TLS, which diesel-async leaves to others.
pub(crate) fn establish_in_clear() -> Establish {
    Arc::new(|address| async move { AsyncPgConnection::establish(&address).await }.boxed())
}

/// Makes connections to the first address that takes one in time.
pub(crate) fn manager(
    addresses: Vec<String>,
    settings: &ConnectionSettings,
    establish: Establish,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let limit = settings.time_of_each(addresses.len());
    let mut config = ManagerConfig::default();
    // The store replaces a connection that broke in the pool: a test would cost a round trip for each call.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let (addresses, establish) = (addresses.clone(), Arc::clone(&establish));
        async move {
            let mut made = Err(BadConnection("there is no address".to_owned()));
            for address in addresses {
                made = in_time(limit, establish(address)).await;
                if made.is_ok() {
                    break;
                }
            }
            made
        }
        .boxed()
    });
    // Every address is in the closure.
    AsyncDieselConnectionManager::new_with_config(String::new(), config)
}

async fn in_time<T>(limit: Duration, made: impl Future<Output = ConnectionResult<T>>) -> ConnectionResult<T> {
    let late = |_| Err(BadConnection(format!("the server did not take the connection within {limit:?}")));
    timeout(limit, made).await.unwrap_or_else(late)
}
