//! The tables as Diesel sees them, one file a database.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

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
