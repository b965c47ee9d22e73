//! The session table on SQLite. Dates are milliseconds since 1970 in UTC.

diesel::table! {
    session (session_key) {
        session_key -> Text,
        created_on -> BigInt,
        expire_date -> BigInt,
        session_data -> Nullable<Text>,
        owner -> Nullable<Text>,
    }
}
