//! The session table on SQLite. Dates are in milliseconds since 1970 in UTC.

use diesel::deserialize::{self, FromSql};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};

use crate::database::key::{KeyColumn, KeyParameter, LedgerParameter};

impl ToSql<Text, Sqlite> for KeyParameter<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <str as ToSql<Text, Sqlite>>::to_sql(self.0.as_str(), out)
    }
}

impl ToSql<Text, Sqlite> for LedgerParameter<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        <str as ToSql<Text, Sqlite>>::to_sql(self.0, out)
    }
}

impl FromSql<Text, Sqlite> for KeyColumn {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Self::read(&<String as FromSql<Text, Sqlite>>::from_sql(value)?)
    }
}

diesel::table! {
    session (session_key) {
        session_key -> Text,
        created_on -> BigInt,
        expire_date -> BigInt,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
        expire_hour -> Nullable<BigInt>,
        label -> Nullable<Text>,
        /// When the session was last written; null if it was never written after its creation.
        used_on -> Nullable<BigInt>,
    }
}
