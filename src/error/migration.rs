//! Why the session table is not as it should be.

use std::time::Duration;

use super::BoxedError;

/// Why the session table could not be brought to this version's form. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Something else is called `session` here.
    #[error("`session` is not a session table that can be adopted: {reason}; {advice}")]
    #[non_exhaustive]
    NotOurs {
        /// What tells it apart.
        reason: String,
        /// What to do on this database.
        advice: &'static str,
    },

    /// The session table is in another schema than the one that was meant, so that queries would use other sessions.
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

    /// The current role may not use the schema that was named.
    #[error(
        "the current role may not use the schema {schema}: GRANT USAGE, to migrate also CREATE, ON SCHEMA to it"
    )]
    #[non_exhaustive]
    NoUsage {
        /// The schema's name.
        schema: String,
    },

    /// The table belongs to a role that the current role is not a member of, so that it could run that role's code.
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

    /// The table belongs to a role that nothing vouches for: it could run its own code in the current role's name.
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

    /// The database's encoding cannot hold every text.
    #[error(
        "the database's encoding is {encoding}, which cannot hold every text: create a database with UTF8"
    )]
    #[non_exhaustive]
    Encoding {
        /// The encoding, as PostgreSQL names it.
        encoding: String,
    },

    /// The table holds keys in clear, as that of OCaml's `session-postgresql` does, and the store keeps hashed
    /// ones.
    #[error(
        "the session table holds keys in clear: share it with OCaml services by `KeyStorage::Plain`, or, on PostgreSQL, hash them once and for all by `migrations::adopt`"
    )]
    PlainKeys,

    /// The store keeps keys in clear, and the table holds hashed ones.
    #[error(
        "the session table holds hashed keys, which a store with `KeyStorage::Plain` would never find: use `KeyStorage::Hashed`"
    )]
    HashedKeys,

    /// The migrations were run, and the table is gone since.
    #[error(
        "the session table was made and then dropped: `migrations::revert` until no migration is recorded, then migrate"
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

    /// Other transactions held locks on the table for as long as the migration tried to lock it, 4.5 seconds. The next
    /// start tries again.
    #[error(
        "the session table is in use: other transactions held locks on it for {waited:?}; end them (pg_locks and \
         pg_stat_activity show which) and migrate again"
    )]
    #[non_exhaustive]
    TableBusy {
        /// How long the migration tried.
        waited: Duration,
    },

    /// A statement of a migration failed, or its bookkeeping.
    #[error("a migration of the session table failed, and nothing was changed")]
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
