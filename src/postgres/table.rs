//! The session table on PostgreSQL.

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

use crate::database::key::{FixedChar, KeyColumn, KeyParameter, LedgerParameter};

impl ToSql<FixedChar, Pg> for KeyParameter<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.0.as_str(), out)
    }
}

impl ToSql<Text, Pg> for LedgerParameter<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.0, out)
    }
}

impl FromSql<FixedChar, Pg> for KeyColumn {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Self::read(&<String as FromSql<Text, Pg>>::from_sql(value)?)
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamp, Timestamptz};
    use crate::database::key::FixedChar;

    session (session_key) {
        session_key -> FixedChar,
        created_on -> Timestamptz,
        expire_date -> Timestamptz,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
        expire_hour -> Timestamp,
        label -> Nullable<Text>,
        /// When the session was last written; null if it was never written after its creation.
        used_on -> Nullable<Timestamptz>,
    }
}
