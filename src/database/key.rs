//! Session keys on their way to and from a database.

use diesel::deserialize::{self, FromSqlRow};
use diesel::expression::AsExpression;

use crate::key::StoredKey;

/// A key on its way to the database. Diesel's logs show parameters by `Debug`, and the `Debug` of this type shows
/// nothing.
#[derive(Debug, AsExpression)]
#[cfg_attr(any(feature = "postgres", feature = "diesel-async"), diesel(sql_type = FixedChar))]
#[diesel(sql_type = diesel::sql_types::Text)]
pub(crate) struct KeyParameter<'a>(pub(crate) &'a StoredKey);

impl<'a> From<&'a StoredKey> for KeyParameter<'a> {
    fn from(key: &'a StoredKey) -> Self {
        Self(key)
    }
}

/// A tombstone's ledger on its way to the database. It can name a key, so its `Debug` shows nothing either.
#[derive(Clone, Copy, AsExpression)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub(crate) struct LedgerParameter<'a>(pub(crate) &'a str);

impl std::fmt::Debug for LedgerParameter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerParameter(..)")
    }
}

/// A key from the database.
#[derive(Debug, FromSqlRow)]
pub(crate) struct KeyColumn(pub(crate) StoredKey);

impl KeyColumn {
    pub(crate) fn read(text: &str) -> deserialize::Result<Self> {
        Ok(Self(StoredKey::read(text).ok_or("a session's key is not 40 ASCII characters")?))
    }
}

/// PostgreSQL's `char(n)`. Diesel 2.3 treats it as `text`. With a `text` parameter PostgreSQL compares
/// `(session_key)::text`, and no index serves that.
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
#[derive(Debug, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1042, array_oid = 1014))]
pub struct FixedChar;
