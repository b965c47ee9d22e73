//! Stores called through tower-sessions' `SessionStore`, each through its own version of the trait.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use time::OffsetDateTime;

use crate::PERIOD;
use crate::tasks::Store;

/// A tower-sessions store and the record that it writes.
#[derive(Debug, Clone)]
pub struct Recorded<S, R> {
    /// The store.
    pub store: S,
    /// The record. Its id and its expiry change with each use.
    pub record: R,
}

/// Returns when a session expires that is saved now.
fn expiry() -> Result<OffsetDateTime> {
    Ok(OffsetDateTime::now_utc() + time::Duration::try_from(PERIOD)?)
}

/// Generates the same code for each version of tower-sessions-core.
macro_rules! through {
    ($core:ident) => {
        impl<S> Recorded<S, $core::session::Record> {
            /// Returns a record with `value` in its data.
            pub fn record(value: &str) -> Result<$core::session::Record> {
                let data = HashMap::from([("value".to_owned(), value.into())]);
                Ok($core::session::Record { id: $core::session::Id::default(), data, expiry_date: expiry()? })
            }
        }

        impl<S: $core::SessionStore + Clone> Store for Recorded<S, $core::session::Record> {
            type Key = $core::session::Id;

            async fn get(&self, id: &Self::Key) -> Result<()> {
                self.store.load(id).await?.map(drop).ok_or_else(|| anyhow!("a session is missing"))
            }

            async fn set(&mut self, id: &Self::Key) -> Result<()> {
                self.record.id = *id;
                // As each save of tower-sessions does. SQLite and MariaDB do not write a row that stays as it is.
                self.record.expiry_date = expiry()?;
                Ok(self.store.save(&self.record).await?)
            }

            async fn visit(&mut self, id: &Self::Key) -> Result<()> {
                let mut record = self.store.load(id).await?.ok_or_else(|| anyhow!("a session is missing"))?;
                record.data.insert("visits".to_owned(), fastrand::u32(..).into());
                record.expiry_date = expiry()?;
                Ok(self.store.save(&record).await?)
            }

            async fn generate(&self) -> Result<Self::Key> {
                // The store changes the record.
                let mut record = self.record.clone();
                record.id = Self::Key::default();
                self.store.create(&mut record).await?;
                Ok(record.id)
            }

            async fn clear(&self, id: &Self::Key) -> Result<()> {
                Ok(self.store.delete(id).await?)
            }
        }
    };
}

through!(tower_sessions_core);
through!(tower_sessions_core_0_15);
