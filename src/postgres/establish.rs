//! Connections of diesel-async to PostgreSQL.

use std::time::Duration;

use diesel::ConnectionError::{BadConnection, CouldntSetupConfiguration};
use diesel::ConnectionResult;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::connector::Connector;
use super::set_up;
use crate::options::ConnectionSettings;

/// Makes connections to the first host that takes one in time, and sets them up.
pub(crate) fn manager(
    connectors: Vec<Connector>,
    settings: &ConnectionSettings,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let (set_up, limit) = (set_up(settings), settings.time_of_each(connectors.len()));
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |_| {
        let (connectors, set_up) = (connectors.clone(), set_up.clone());
        async move {
            let mut made = Err(BadConnection("there is no address".to_owned()));
            for connector in connectors {
                made = in_time(limit, make(connector.establish(), &set_up)).await;
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

async fn make(
    established: impl Future<Output = ConnectionResult<AsyncPgConnection>>,
    set_up: &[String],
) -> ConnectionResult<AsyncPgConnection> {
    let mut conn = established.await?;
    for statement in set_up {
        conn.batch_execute(statement).await.map_err(CouldntSetupConfiguration)?;
    }
    Ok(conn)
}

async fn in_time<T>(limit: Duration, made: impl Future<Output = ConnectionResult<T>>) -> ConnectionResult<T> {
    let late = |_| Err(BadConnection(format!("the server did not take the connection within {limit:?}")));
    timeout(limit, made).await.unwrap_or_else(late)
}
