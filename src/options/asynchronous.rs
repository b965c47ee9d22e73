//! Settings of the store that does not block.

use std::sync::Arc;

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use tokio_postgres::CancelToken;

/// Opens a connection, by an address of `keyword='value'` pairs.
pub(crate) type Establish =
    Arc<dyn Fn(String) -> BoxFuture<'static, ConnectionResult<AsyncPgConnection>> + Send + Sync>;

/// Asks a server to cancel what a connection does.
pub(crate) type CancelRequest =
    Arc<dyn Fn(CancelToken) -> BoxFuture<'static, Result<(), tokio_postgres::Error>> + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct AsyncSettings {
    /// How many connections reads share.
    pub(crate) pipelines: Option<u32>,
    pub(crate) establish: Option<Establish>,
    pub(crate) cancel: Option<CancelRequest>,
}
