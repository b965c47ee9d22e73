//! The tables as Diesel sees them, one file a database.

#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use diesel::deserialize::{self, FromSqlRow};
use diesel::expression::AsExpression;

use crate::key::StoredKey;

/// A key on its way to the database. Diesel's logs show parameters by `Debug`, and this one shows nothing.
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "diesel-async"))]
#[derive(Debug, AsExpression)]
#[cfg_attr(any(feature = "postgres", feature = "diesel-async"), diesel(sql_type = postgres::FixedChar))]
#[cfg_attr(feature = "sqlite", diesel(sql_type = diesel::sql_types::Text))]
pub(crate) struct KeyParameter<'a>(&'a StoredKey);

#[cfg(any(feature = "postgres", feature = "sqlite", feature = "diesel-async"))]
impl<'a> From<&'a StoredKey> for KeyParameter<'a> {
    fn from(key: &'a StoredKey) -> Self {
        Self(key)
    }
}

/// A key out of the database.
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "diesel-async"))]
#[derive(Debug, FromSqlRow)]
pub(crate) struct KeyColumn(pub(crate) StoredKey);

#[cfg(any(feature = "postgres", feature = "sqlite", feature = "diesel-async"))]
impl KeyColumn {
    fn read(text: &str) -> deserialize::Result<Self> {
        Ok(Self(StoredKey::read(text).ok_or("a session's key has no 40 characters of ASCII")?))
    }
}

diesel::table! {
    /// Which of our migrations were run: apart from the host's, whose own `revert` and `redo` would
    /// stumble over versions that they do not know. The underscores hide it from `diesel print-schema`.
    __diesel_session_migrations (version) {
        /// The migration's version.
        version -> Text,
        /// When it was run, in UTC.
        run_on -> Timestamp,
    }
}
