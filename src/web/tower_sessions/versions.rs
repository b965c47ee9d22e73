//! The versions of tower-sessions: one store implements the traits of each.

use std::collections::HashMap;

use serde_json::Value;
use time::OffsetDateTime;

/// An id of tower-sessions: `tower_sessions::session::Id` of version 0.14 or 0.15. Other crates cannot implement it.
pub trait TowerId: Sealed {
    /// Returns the id as a number.
    #[doc(hidden)]
    fn number(&self) -> i128;
}

/// A session of tower-sessions: `tower_sessions::Session` of version 0.14 or 0.15. Other crates cannot implement it.
pub trait TowerSession: Sealed {
    /// The error of its methods if the session cannot be loaded.
    type Error;

    /// Returns a field of the session's data.
    #[doc(hidden)]
    fn field(&self, name: &str) -> impl Future<Output = Result<Option<Value>, Self::Error>> + Send;
}

/// A record of tower-sessions: `tower_sessions::session::Record` of version 0.14 or 0.15. Other crates cannot implement
/// it.
pub trait TowerRecord: Sealed {
    /// Returns the id as a number, the data, and the expiry.
    #[doc(hidden)]
    fn parts(&self) -> (i128, &HashMap<String, Value>, OffsetDateTime);
}

/// Prevents other crates from implementing the traits.
pub trait Sealed {}

/// Implements the traits of one version.
macro_rules! version {
    ($core:ident) => {
        const _: () = {
            use async_trait::async_trait;
            use $core::session::{Error as SessionError, Id, Record, Session};
            use $core::session_store::{Error, ExpiredDeletion, Result, SessionStore};

            use super::TowerSessionStore;
            use super::calls::Failure;
            use crate::web::WebStore;

            impl Sealed for Id {}

            impl TowerId for Id {
                fn number(&self) -> i128 {
                    self.0
                }
            }

            impl Sealed for Record {}

            impl TowerRecord for Record {
                fn parts(&self) -> (i128, &HashMap<String, Value>, OffsetDateTime) {
                    (self.id.0, &self.data, self.expiry_date)
                }
            }

            impl Sealed for Session {}

            impl TowerSession for Session {
                type Error = SessionError;

                async fn field(&self, name: &str) -> std::result::Result<Option<Value>, SessionError> {
                    self.get_value(name).await
                }
            }

            /// Reports the failure, and returns the error of tower-sessions, which holds only a text.
            fn told<S>(store: &TowerSessionStore<S>, failure: Failure) -> Error {
                match failure {
                    Failure::Decode => Error::Decode("a session holds no data of tower-sessions".to_owned()),
                    Failure::Encode(error) => {
                        (store.on_error.0)(&error);
                        Error::Encode(error.to_string())
                    }
                    Failure::Backend(error) => {
                        (store.on_error.0)(&error);
                        Error::Backend(error.to_string())
                    }
                }
            }

            #[async_trait]
            impl<S: WebStore> SessionStore for TowerSessionStore<S> {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    // Never the record's own id: after `Session::flush` that is the id from the client's cookie.
                    let id = self.create(&mut record.data, record.expiry_date).await;
                    record.id = Id(id.map_err(|failure| told(self, failure))?);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    let saved = self.save(record.id.0, &record.data, record.expiry_date).await;
                    saved.map_err(|failure| told(self, failure))
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    let loaded = self.load(id.0).await.map_err(|failure| told(self, failure))?;
                    Ok(loaded.map(|(id, data, expiry_date)| Record { id: Id(id), data, expiry_date }))
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    self.delete(id.0).await.map_err(|failure| told(self, failure))
                }
            }

            #[async_trait]
            impl<S: WebStore> ExpiredDeletion for TowerSessionStore<S> {
                async fn delete_expired(&self) -> Result<()> {
                    self.delete_expired().await.map_err(|failure| told(self, failure))
                }
            }
        };
    };
}

#[cfg(feature = "tower-sessions")]
version!(tower_sessions_core);
#[cfg(feature = "tower-sessions-0-14")]
version!(tower_sessions_core_0_14);
