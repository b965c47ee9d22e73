//! The errors of migrations and of checks of the session table.

use std::time::Duration;

use super::BoxedError;

/// The reason why the session table could not be brought to this version's form. Nothing was changed, except by
/// [`Failed`](Self::Failed) on MariaDB.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Something that is not a session table has the name `session`.
    #[error("`session` is not a session table that can be adopted: {reason}; {advice}")]
    #[non_exhaustive]
    NotOurs {
        /// The difference from a session table.
        reason: String,
        /// What to do, depending on the database.
        advice: &'static str,
    },

    /// The connection finds the session table in another schema than the expected one, so queries would use other
    /// sessions.
    #[error(
        "this connection finds `session` in {found}, and not in schema {expected}: name the schema that you mean \
         (`Builder::schema`, or `SessionTable::schema`), or put it first in the connection's search_path"
    )]
    #[non_exhaustive]
    OtherSchema {
        /// The place of the table that the connection finds: `schema public`, or `no schema`.
        found: String,
        /// The schema that was named, or the first one of the connection's `search_path`.
        expected: String,
    },

    /// No schema of the connection's `search_path` exists.
    #[error("no schema of the connection's search_path exists: create one, or name one (`Builder::schema`)")]
    NoSchema,

    /// The current role may not use the named schema.
    #[error(
        "the current role may not use the schema {schema}: grant it USAGE on the schema, and CREATE to migrate"
    )]
    #[non_exhaustive]
    NoUsage {
        /// The schema's name.
        schema: String,
    },

    /// The current role is not a member of the role that owns the table. The owner's code could run in the name of the
    /// current role.
    #[error(
        "`{table}` belongs to the role {owner}, and the current role is not a member of it: migrate as that role; \
         a program that has only grants calls `check` instead"
    )]
    #[non_exhaustive]
    NotAMember {
        /// `session`, or the record of its migrations.
        table: String,
        /// The role that owns it.
        owner: String,
    },

    /// The table belongs to a role that the checks do not accept. The owner could run its own code in the current
    /// role's name.
    #[error(
        "`{table}` belongs to the role {owner}, which owns neither its schema nor the database and is no superuser: \
         if you trust that role, name it (`Builder::table_owner`, or `SessionTable::table_owner`)"
    )]
    #[non_exhaustive]
    UntrustedOwner {
        /// `session`, or the record of its migrations.
        table: String,
        /// The role that owns it.
        owner: String,
    },

    /// The encoding of the database cannot hold every text.
    #[error(
        "the database's encoding is {encoding}, which cannot hold every text: create a database with UTF8"
    )]
    #[non_exhaustive]
    Encoding {
        /// The encoding, as PostgreSQL names it.
        encoding: String,
    },

    /// The table holds keys in clear, as the table of OCaml's `session-postgresql` does, and the store uses hashed
    /// keys.
    #[error(
        "the session table holds keys in clear: use `KeyStorage::Plain` to share it with OCaml services, or, on PostgreSQL, hash the keys with `migrations::adopt`, which you cannot undo"
    )]
    PlainKeys,

    /// The store uses keys in clear, and the table holds hashed keys.
    #[error(
        "the session table holds hashed keys, which a store with `KeyStorage::Plain` would never find: use `KeyStorage::Hashed`"
    )]
    HashedKeys,

    /// The migrations were run, and then the table was dropped.
    #[error(
        "the session table was created and then dropped: call `migrations::revert` until no migration is recorded, then migrate"
    )]
    TableDropped,

    /// The table is older than this version of the crate.
    #[error(
        "the session table lacks {}: run `migrations::migrate` with a role that may create tables; a runtime role needs \
         SELECT, INSERT, UPDATE, DELETE ON session and SELECT ON __diesel_session_migrations",
        versions.join(", ")
    )]
    #[non_exhaustive]
    Missing {
        /// The versions that were not run, oldest first.
        versions: Vec<String>,
    },

    /// On PostgreSQL, other transactions held locks on the table for 4.5 seconds, as long as the migration tried to lock
    /// it. On MariaDB, another migration of this database ran for a minute. The next start of the program tries again.
    #[error(
        "the session table is in use: others held locks on it for {waited:?}; wait for them or end them, and migrate \
         again (PostgreSQL shows them in pg_locks and pg_stat_activity, MariaDB in SHOW PROCESSLIST)"
    )]
    #[non_exhaustive]
    TableBusy {
        /// How long the migration tried to lock the table.
        waited: Duration,
    },

    /// The connection has an open transaction. On MariaDB a migration would commit it.
    #[cfg(feature = "mysql")]
    #[error(
        "a migration would commit the connection's open transaction: migrate before the transaction begins"
    )]
    WithinTransaction,

    /// The server takes no statement that is as large as the largest value of the store. It would end the connection.
    #[cfg(feature = "mysql")]
    #[error(
        "the server takes packets of at most {limit} bytes, and the store needs {needed}: raise max_allowed_packet, or \
         lower the store's value_limit"
    )]
    #[non_exhaustive]
    SmallPackets {
        /// The server's `max_allowed_packet`, in bytes.
        limit: u64,
        /// The largest value with the rest of its statement, in bytes.
        needed: u64,
    },

    /// The table `session_owner_lock` is missing, or some of its rows are. Each row stands for owners while a transaction
    /// locks them.
    #[cfg(feature = "mysql")]
    #[error(
        "`session_owner_lock` does not have the rows 0 to 255, without which no owner can log in: run `migrate` as a \
         user that may create tables; it makes them again"
    )]
    LockRowsLost,

    /// A statement of a migration failed, or an access to its record. On MariaDB the statements before it stay done, and
    /// the next run of the migration goes on. On other databases nothing was changed.
    #[error("a migration of the session table failed: remove the cause, and migrate again")]
    #[non_exhaustive]
    Failed {
        /// The cause.
        source: BoxedError,
    },
}

impl From<diesel::result::Error> for MigrationError {
    fn from(source: diesel::result::Error) -> Self {
        Self::Failed { source: source.into() }
    }
}
