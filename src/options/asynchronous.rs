//! Settings that only the asynchronous store has.

use std::sync::Arc;

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use tokio_postgres::CancelToken;

/// Opens a connection to an address of `keyword='value'` pairs.
pub(crate) type Establish =
    Arc<dyn Fn(String) -> BoxFuture<'static, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// Asks a server to cancel the statement of a connection.
pub(crate) type CancelRequest =
    Arc<dyn Fn(CancelToken) -> BoxFuture<'static, Result<(), tokio_postgres::Error>> + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct AsyncSettings {
    /// How many connections are reserved for reads, which share them.
    pub(crate) pipelines: Option<u32>,
    pub(crate) establish: Option<Establish>,
    pub(crate) cancel: Option<CancelRequest>,
}
