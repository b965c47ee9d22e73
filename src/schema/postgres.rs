//! The session table on PostgreSQL.

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

use super::{KeyColumn, KeyParameter};

/// `char(n)`, which Diesel 2.3 takes for `text`: a `text` parameter makes PostgreSQL compare
/// `(session_key)::text`, which no index serves.
#[derive(Debug, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1042, array_oid = 1014))]
pub struct FixedChar;

impl ToSql<FixedChar, Pg> for KeyParameter<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.0.as_str(), out)
    }
}

impl FromSql<FixedChar, Pg> for KeyColumn {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Self::read(&<String as FromSql<Text, Pg>>::from_sql(value)?)
    }
}

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamp, Timestamptz};
    use super::FixedChar;

    session (session_key) {
        session_key -> FixedChar,
        created_on -> Timestamptz,
        expire_date -> Timestamptz,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
        expire_hour -> Timestamp,
    }
}
