//! Opens connections to one host, with or without TLS.

use std::time::Duration;

use diesel::ConnectionError::BadConnection;
use diesel::ConnectionResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio::time::timeout;

use super::cancel::Cancel;
#[cfg(feature = "rustls")]
use super::tls::TlsConnector;
use crate::conninfo::{Address, ConnectOptions};
use crate::error::Error;
use crate::options::{ConnectionSettings, Establish};

/// Opens connections to one host.
#[derive(Clone)]
pub(crate) struct Connector(Route);

#[derive(Clone)]
enum Route {
    /// The application's function, which handles TLS itself, and the address that it gets.
    Function(Establish, String),
    InClear(String),
    #[cfg(feature = "rustls")]
    Tls(Box<TlsConnector>),
}

impl Connector {
    /// Returns one connector for each host in the options. `establish` is the application's own function, if it has
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for options that the store cannot honour, and for files of certificates that it cannot
    /// use.
    pub(crate) fn for_each_host(
        options: &ConnectOptions,
        settings: &ConnectionSettings,
        establish: Option<Establish>,
    ) -> Result<Vec<Self>, Error> {
        if let Some(establish) = establish {
            let addresses = options.addresses_for_the_application(settings)?;
            return Ok(addresses.into_iter().map(|address| Self::by(establish.clone(), address)).collect());
        }
        options.asynchronous_addresses(settings)?.into_iter().map(Self::to).collect()
    }

    /// Returns a connector that calls a function with this address.
    pub(crate) fn by(establish: Establish, address: String) -> Self {
        Self(Route::Function(establish, address))
    }

    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unnecessary_wraps, reason = "with the feature `rustls` it can fail")]
    fn to(address: Address) -> Result<Self, Error> {
        Ok(Self(Route::InClear(address.text)))
    }

    #[cfg(feature = "rustls")]
    fn to(address: Address) -> Result<Self, Error> {
        let Address { text, tls } = address;
        let connector = TlsConnector::new(&text, &tls)?;
        Ok(Self(connector.map_or(Route::InClear(text), |connector| Route::Tls(Box::new(connector)))))
    }

    /// Returns what cancels the query of a connection to any of these hosts. All hosts with TLS have the same TLS
    /// parameters. If one host has TLS, the result cancels over TLS, and unencrypted at a host without TLS.
    pub(crate) fn cancel_of_all(hosts: &[Self]) -> Cancel {
        let over_tls = hosts.iter().find_map(|host| match &host.0 {
            Route::Function(..) | Route::InClear(_) => None,
            #[cfg(feature = "rustls")]
            Route::Tls(connector) => Some(connector.cancel()),
        });
        over_tls.unwrap_or_else(Cancel::in_clear)
    }

    pub(crate) async fn establish(&self) -> ConnectionResult<AsyncPgConnection> {
        match &self.0 {
            Route::Function(establish, address) => establish(address.clone()).await,
            Route::InClear(address) => AsyncPgConnection::establish(address).await,
            #[cfg(feature = "rustls")]
            Route::Tls(connector) => Box::pin(connector.establish()).await,
        }
    }
}

/// Limits the time in which a connection is made.
pub(crate) async fn in_time<T>(
    limit: Duration,
    made: impl Future<Output = ConnectionResult<T>>,
) -> ConnectionResult<T> {
    let late = |_| Err(BadConnection(format!("the server did not accept the connection within {limit:?}")));
    timeout(limit, made).await.unwrap_or_else(late)
}
