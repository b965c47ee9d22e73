//! Opens connections of diesel-async to PostgreSQL.

use std::sync::Arc;

use diesel::ConnectionError::BadConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use futures_util::FutureExt as _;

use super::connector::{Connector, in_time};
use super::pooler::Poolers;
use crate::options::ConnectionSettings;

/// Returns a manager that opens each connection to the first host that accepts it in time, and sets it up.
pub(crate) fn manager(
    connectors: Vec<Connector>,
    settings: &ConnectionSettings,
    poolers: Poolers,
) -> AsyncDieselConnectionManager<AsyncPgConnection> {
    let (settings, limit) = (settings.clone(), settings.time_of_each(connectors.len()));
    let hosts = Arc::new((connectors, settings, poolers));
    let mut config = ManagerConfig::default();
    // The pool tests no connection, because a test costs one round trip for each call. The store replaces a connection
    // that broke in the pool.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let hosts = Arc::clone(&hosts);
        async move {
            let (connectors, settings, poolers) = &*hosts;
            let mut made = Err(BadConnection("there is no address".to_owned()));
            for (host, connector) in connectors.iter().enumerate() {
                made = in_time(limit, poolers.connection(host, connector, settings, limit)).await;
                if made.is_ok() {
                    break;
                }
            }
            made
        }
        .boxed()
    });
    // The URL is empty because the closure has every address.
    AsyncDieselConnectionManager::new_with_config(String::new(), config)
}
