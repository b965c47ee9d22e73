//! The session table's migrations: embedded, recorded apart from the host's, safe for any number of
//! processes that start at once.
//!
//! A program that may create tables calls [`migrate`] (or [`DieselSession::migrate`]) at startup. If the table is up to
//! date, that only reads and takes no lock. A program that may not create tables calls [`check`], and a step of the
//! deployment runs [`migrate`]. The crate records its migrations in its own table, `__diesel_session_migrations`, so the
//! host's `diesel migration revert` and `redo` never meet our versions.
//!
//! On PostgreSQL these functions mean the table in the first schema of the connection's `search_path`. If queries would
//! find the table in a later schema only, they refuse: a tenant must not be served another tenant's sessions.
//! [`SessionTable`] names another schema. Some managed providers grant other roles rights on `public`: there, name a
//! schema that belongs to your application.
//!
//! Diesel's `print-schema` lists `session` among the host's tables. This keeps it out, in the host's `diesel.toml`
//! (`print-schema` leaves out the record by itself):
//!
//! ```toml
//! [print_schema]
//! filter = { except_tables = ["^session$"] }
//! ```
//!
//! [`DieselSession::migrate`]: crate::DieselSession::migrate

use crate::database::{Migrate, SessionConnection};
use crate::error::Error;
use crate::key::KeyStorage;
use crate::options::Options;
use crate::table::SessionTable;

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests;

#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub use crate::postgres::migrate::POSTGRES;
#[cfg(feature = "postgres")]
pub use crate::postgres::migrate::adopt;
#[cfg(feature = "sqlite")]
pub use crate::sqlite::migrate::SQLITE;

/// Brings the session table that the connection finds to this version's form, in one transaction, and returns how many
/// migrations that took: [`SessionTable::migrate`] for that table.
///
/// # Errors
///
/// The same.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::prelude::*;
/// use diesel_session::{KeyStorage, migrations};
///
/// let mut conn = SqliteConnection::establish(":memory:").unwrap();
/// assert!(migrations::migrate(&mut conn, KeyStorage::Hashed)? > 0);
/// assert_eq!(migrations::migrate(&mut conn, KeyStorage::Hashed)?, 0);
/// migrations::check(&mut conn, KeyStorage::Hashed)?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub fn migrate<C: SessionConnection>(conn: &mut C, storage: KeyStorage) -> Result<usize, Error> {
    SessionTable::new().key_storage(storage).migrate(conn)
}

/// Checks the session table that the connection finds: [`SessionTable::check`] for that table. Changes nothing.
///
/// # Errors
///
/// The same.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::prelude::*;
/// use diesel_session::{Error, KeyStorage, MigrationError, migrations};
///
/// let mut conn = SqliteConnection::establish(":memory:").unwrap();
/// let answer = migrations::check(&mut conn, KeyStorage::Hashed);
/// assert!(matches!(answer, Err(Error::Migration(MigrationError::Missing { .. }))));
/// # }
/// ```
pub fn check<C: SessionConnection>(conn: &mut C, storage: KeyStorage) -> Result<(), Error> {
    SessionTable::new().key_storage(storage).check(conn)
}

/// Reverts the newest migration of the session table that the connection finds: [`SessionTable::revert`] for that table.
///
/// # Errors
///
/// The same.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::prelude::*;
/// use diesel_session::{KeyStorage, migrations};
///
/// let mut conn = SqliteConnection::establish(":memory:").unwrap();
/// migrations::migrate(&mut conn, KeyStorage::Hashed)?;
/// let version = migrations::revert(&mut conn)?;
/// println!("{version} is undone; once the first is, the sessions are gone");
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
pub fn revert<C: SessionConnection>(conn: &mut C) -> Result<String, Error> {
    SessionTable::new().revert(conn)
}

impl SessionTable {
    /// Brings the table to this version's form, in one transaction, and returns how many migrations that took.
    ///
    /// Any number of processes may call it at once: one does the work, the others wait for it and then find
    /// nothing to do. A table that is newer than this version of the crate is left as it is and works.
    ///
    /// On PostgreSQL it creates the schema, if the schema was named and is missing. A `session` table of OCaml's
    /// `session-postgresql` is brought to this form with its live sessions. It gets the columns and constraints that it
    /// lacks. Of several rows with one key the longest-lived stays. Rows without a key or an expiry go. An infinite expiry
    /// becomes one week from now. The table is locked during the migration (a million rows took some ten seconds). Its
    /// keys stay as they are, so the key storage must be [`KeyStorage::Plain`] if it holds any; the feature `postgres`
    /// has `adopt`, which hashes them.
    ///
    /// It refuses a key storage that would not find the table's keys. [`KeyStorage::Plain`] is refused if any key is
    /// hashed: PostgreSQL reads the table once for that (some tenths of a second per million rows).
    /// [`KeyStorage::Hashed`] is refused if the first hundred keys are all in clear.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed:
    ///
    /// | error | meaning |
    /// |---|---|
    /// | [`NotOurs`](crate::MigrationError::NotOurs) | the table is another one of the same name |
    /// | [`PlainKeys`](crate::MigrationError::PlainKeys), [`HashedKeys`](crate::MigrationError::HashedKeys) | it holds keys in the other form |
    /// | [`TableDropped`](crate::MigrationError::TableDropped) | it was dropped by hand |
    /// | [`OtherSchema`](crate::MigrationError::OtherSchema), [`NoSchema`](crate::MigrationError::NoSchema) | no schema was named, and the connection finds the table in a later one of its `search_path`, or has none |
    /// | [`NotAMember`](crate::MigrationError::NotAMember) | the table or its record belongs to a role that the current role is not a member of |
    /// | [`UntrustedOwner`](crate::MigrationError::UntrustedOwner) | the current role is a superuser, and the owner is none that [`check`](Self::check) accepts: connect as the owner, or name it |
    /// | [`Encoding`](crate::MigrationError::Encoding) | the database's encoding cannot hold every text |
    /// | [`NoUsage`](crate::MigrationError::NoUsage) | the current role may not use the table's schema |
    /// | [`TableBusy`](crate::MigrationError::TableBusy) | others held locks on the table for 4.5 seconds |
    /// | [`Failed`](crate::MigrationError::Failed) | a statement failed |
    ///
    /// [`Error::Configuration`] for a name that no schema can have, and for a schema on SQLite, which has none.
    pub fn migrate<C: SessionConnection>(&self, conn: &mut C) -> Result<usize, Error> {
        self.migrate_on(conn)
    }

    pub(crate) fn migrate_on<C: Migrate>(&self, conn: &mut C) -> Result<usize, Error> {
        self.check_schema::<C>()?;
        Ok(conn.migrate_table(self)?)
    }

    /// Checks, without changing anything, that every migration of this version was run and that the table's keys
    /// are in the form of the key storage.
    ///
    /// It serves programs that may not create tables. On PostgreSQL their role needs `SELECT, INSERT, UPDATE, DELETE` on
    /// `session` and `SELECT` on `__diesel_session_migrations`.
    ///
    /// The owner of a table can attach code to it, which then runs in the name of each role that writes. So on PostgreSQL
    /// the table and its record must belong to one of these roles:
    ///
    /// - the current role, or a role that it is a member of (a superuser is a member of every role, so for superusers
    ///   membership does not count);
    /// - the owner of the schema, or of the database;
    /// - a superuser;
    /// - the role that [`table_owner`](Self::table_owner) names.
    ///
    /// # Errors
    ///
    /// [`MigrationError::Missing`](crate::MigrationError::Missing) names the missing versions; [`MigrationError::UntrustedOwner`](crate::MigrationError::UntrustedOwner) names the owner; the
    /// others are as for [`migrate`](Self::migrate).
    pub fn check<C: SessionConnection>(&self, conn: &mut C) -> Result<(), Error> {
        self.check_on(conn)
    }

    pub(crate) fn check_on<C: Migrate>(&self, conn: &mut C) -> Result<(), Error> {
        self.check_schema::<C>()?;
        Ok(conn.check_table(self)?)
    }

    /// Reverts the newest migration that was run, and returns its version. For version 1 that drops the table
    /// with its sessions. It touches the table beside the record, and no table of another schema.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and then nothing was changed. [`MigrationError::Failed`](crate::MigrationError::Failed) says that
    /// no migration was run, or that the newest one is not of this version of the crate, or that the table was adopted
    /// from `session-postgresql` and is not ours to drop. The lock on the table and its owner count as for
    /// [`migrate`](Self::migrate).
    pub fn revert<C: SessionConnection>(&self, conn: &mut C) -> Result<String, Error> {
        self.check_schema::<C>()?;
        Ok(conn.revert_newest(self)?)
    }
}

impl Options {
    /// Checks that operations [on](Self::on) this connection use the table that these options mean, and that the table is
    /// up to date: [`SessionTable::check`], and one query more.
    ///
    /// It serves hosts that give each tenant a schema. The operations find the table by the connection's `search_path`, so
    /// a wrong path would lead to another tenant's sessions. Check once for each tenant, at startup;
    /// `examples/tenants.rs` is a whole program. A program with diesel-async makes an `AsyncDieselSession` for each
    /// tenant, over a pool whose connections have the tenant's path: its `check` does the same.
    ///
    /// # Errors
    ///
    /// [`MigrationError::OtherSchema`](crate::MigrationError::OtherSchema) if the connection finds the table in another schema, or none; the others are as for
    /// [`SessionTable::check`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")] {
    /// use diesel::prelude::*;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    /// use diesel_session::{DieselSession, Error};
    ///
    /// fn check_tenant(pool: &Pool<ConnectionManager<PgConnection>>, tenant: &str) -> Result<(), Error> {
    ///     let options = DieselSession::<PgConnection>::builder().schema(tenant).options()?;
    ///     let mut pooled = pool.get().expect("a connection");
    ///     let conn: &mut PgConnection = &mut pooled;
    ///     conn.transaction(|conn| {
    ///         // For this transaction alone: the next borrower of the connection does not inherit the path.
    ///         diesel::sql_query("SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)")
    ///             .bind::<diesel::sql_types::Text, _>(tenant)
    ///             .execute(conn)?;
    ///         options.check(conn)
    ///     })
    /// }
    /// # }
    /// ```
    pub fn check<C: SessionConnection>(&self, conn: &mut C) -> Result<(), Error> {
        self.check_on(conn)
    }

    pub(crate) fn check_on<C: Migrate>(&self, conn: &mut C) -> Result<(), Error> {
        self.table().check_on(conn)?;
        Ok(conn.find_table(self.table())?)
    }

    /// Brings the table to this version's form, and checks that the connection finds it.
    pub(crate) fn migrate_on<C: Migrate>(&self, conn: &mut C) -> Result<usize, Error> {
        let versions = self.table().migrate_on(conn)?;
        conn.find_table(self.table())?;
        Ok(versions)
    }
}
