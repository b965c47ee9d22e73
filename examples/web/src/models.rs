//! The application's own tables and their rows.

use diesel::prelude::*;

diesel::table! {
    users {
        id -> BigInt,
        name -> Text,
        password_hash -> Text,
    }
}

diesel::table! {
    notes {
        id -> BigInt,
        user_id -> BigInt,
        body -> Text,
    }
}

/// A registered user.
#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) password_hash: String,
}

/// A note of a user.
#[derive(Queryable, Selectable)]
#[diesel(table_name = notes)]
pub(crate) struct Note {
    pub(crate) id: i64,
    pub(crate) body: String,
}
