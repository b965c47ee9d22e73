//! The migrations of the session table. They are embedded in the program, and recorded apart from those of your
//! application. Any number of processes can run them at once.
//!
//! A program that may create tables calls [`migrate`] (or [`DieselSession::migrate`]) at startup. If the table is up to
//! date, `migrate` only reads, and takes no lock. A program that may not create tables calls [`check`], and a step of
//! the deployment runs [`migrate`].
//!
//! The crate records its migrations in its own table, `__diesel_session_migrations`. So `diesel migration revert` and
//! `redo` in your application do not touch them.
//!
//! On PostgreSQL these functions use the table in the first schema of the connection's `search_path`. They fail if
//! queries would find the table only in a later schema, because a tenant must never get another tenant's sessions. To
//! use another schema, name it with [`SessionTable`]. Some managed providers grant other roles rights on `public`:
//! there, name a schema that belongs to your application.
//!
//! Diesel's `print-schema` lists `session` among your tables. These lines in your `diesel.toml` leave it out.
//! `print-schema` leaves out the record by itself.
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

#[cfg(feature = "mysql")]
pub use crate::mysql::migrate::MYSQL;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub use crate::postgres::migrate::POSTGRES;
#[cfg(feature = "postgres")]
pub use crate::postgres::migrate::adopt;
#[cfg(feature = "sqlite")]
pub use crate::sqlite::migrate::SQLITE;

/// Brings the session table that the connection finds to this version's form, in one transaction. Returns how many
/// migrations were run. It works as [`SessionTable::migrate`] does.
///
/// # Errors
///
/// As for [`SessionTable::migrate`].
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

/// Checks the session table that the connection finds, as [`SessionTable::check`] does. Changes nothing.
///
/// # Errors
///
/// As for [`SessionTable::check`].
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

/// Reverts the newest migration of the session table that the connection finds, as [`SessionTable::revert`] does.
/// Returns the version of the migration.
///
/// # Errors
///
/// As for [`SessionTable::revert`].
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
    /// Brings the table to this version's form, in one transaction. Returns how many migrations were run.
    ///
    /// Any number of processes may call it at once. One does the work, and the others wait for it and then find nothing
    /// to do. A table that is newer than this version of the crate works, and stays as it is.
    ///
    /// On PostgreSQL it creates the schema if you named one and it is missing.
    ///
    /// It also brings a `session` table of OCaml's `session-postgresql` to this form, and keeps the live sessions. It
    /// adds the columns and constraints that are missing. If several rows have one key, the one that lives longest
    /// stays. Rows without a key or an expiry are deleted. An infinite expiry becomes one week from now. The table is
    /// locked during the migration: a million rows took about ten seconds.
    ///
    /// The keys of such a table stay as they are. So if it holds any keys, the key storage must be
    /// [`KeyStorage::Plain`]. To hash the keys instead, use `adopt` (feature `postgres`).
    ///
    /// It refuses a key storage that would not find the table's keys:
    ///
    /// - [`KeyStorage::Plain`] if any key is hashed. PostgreSQL reads the table once for that (some tenths of a second
    ///   per million rows).
    /// - [`KeyStorage::Hashed`] if the first hundred keys are all in clear.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`], and nothing was changed:
    ///
    /// | error | meaning |
    /// |---|---|
    /// | [`NotOurs`](crate::MigrationError::NotOurs) | another table has the same name |
    /// | [`PlainKeys`](crate::MigrationError::PlainKeys), [`HashedKeys`](crate::MigrationError::HashedKeys) | the table holds keys in the other form |
    /// | [`TableDropped`](crate::MigrationError::TableDropped) | the table was dropped by hand |
    /// | [`OtherSchema`](crate::MigrationError::OtherSchema) | you named no schema, and the connection finds the table in a later schema of its `search_path` |
    /// | [`NoSchema`](crate::MigrationError::NoSchema) | you named no schema, and no schema of the `search_path` exists |
    /// | [`NotAMember`](crate::MigrationError::NotAMember) | the current role is not a member of the role that owns the table or its record |
    /// | [`UntrustedOwner`](crate::MigrationError::UntrustedOwner) | the current role is a superuser, and [`check`](Self::check) does not accept the owner: connect as the owner, or name it |
    /// | [`Encoding`](crate::MigrationError::Encoding) | the database's encoding cannot hold every text |
    /// | [`NoUsage`](crate::MigrationError::NoUsage) | the current role may not use the table's schema |
    /// | [`TableBusy`](crate::MigrationError::TableBusy) | other transactions held locks on the table for 4.5 seconds |
    /// | [`Failed`](crate::MigrationError::Failed) | a statement failed |
    ///
    /// [`Error::Configuration`] for an invalid name of a schema, and for any schema on SQLite, which has none.
    pub fn migrate<C: SessionConnection>(&self, conn: &mut C) -> Result<usize, Error> {
        self.migrate_on(conn)
    }

    pub(crate) fn migrate_on<C: Migrate>(&self, conn: &mut C) -> Result<usize, Error> {
        self.check_schema::<C>()?;
        Ok(conn.migrate_table(self)?)
    }

    /// Checks that every migration of this version was run, and that the table's keys are in the form of the key
    /// storage. Changes nothing.
    ///
    /// This is for programs that may not create tables. On PostgreSQL their role needs `SELECT, INSERT, UPDATE, DELETE`
    /// on `session` and `SELECT` on `__diesel_session_migrations`.
    ///
    /// The owner of a table can attach code to it. The code then runs in the name of each role that writes. So on
    /// PostgreSQL the table and its record must belong to one of these roles:
    ///
    /// - the current role, or a role that it is a member of; superusers are members of every role, so for them
    ///   membership does not count;
    /// - the owner of the schema, or of the database;
    /// - a superuser;
    /// - the role that [`table_owner`](Self::table_owner) names.
    ///
    /// # Errors
    ///
    /// [`MigrationError::Missing`](crate::MigrationError::Missing) names the missing versions.
    /// [`MigrationError::UntrustedOwner`](crate::MigrationError::UntrustedOwner) names the owner. The others are as for
    /// [`migrate`](Self::migrate).
    pub fn check<C: SessionConnection>(&self, conn: &mut C) -> Result<(), Error> {
        self.check_on(conn)
    }

    pub(crate) fn check_on<C: Migrate>(&self, conn: &mut C) -> Result<(), Error> {
        self.check_schema::<C>()?;
        Ok(conn.check_table(self)?)
    }

    /// Reverts the newest migration that was run, and returns its version. The revert of version 1 drops the table with
    /// its sessions. It changes only the table in the schema of the record, and no table of another schema.
    ///
    /// # Errors
    ///
    /// [`Error::Migration`]. Nothing was changed then. A busy table and its owner give the same errors as in
    /// [`migrate`](Self::migrate). [`MigrationError::Failed`](crate::MigrationError::Failed) also covers three cases:
    ///
    /// - No migration was run.
    /// - The newest migration is not one of this version of the crate.
    /// - The table was adopted from `session-postgresql`, so this crate does not drop it.
    pub fn revert<C: SessionConnection>(&self, conn: &mut C) -> Result<String, Error> {
        self.check_schema::<C>()?;
        Ok(conn.revert_newest(self)?)
    }
}

impl Options {
    /// Checks that operations [on](Self::on) this connection use the table that these options mean, and that the table
    /// is up to date. Does what [`SessionTable::check`] does, with one more query.
    ///
    /// This is for applications that give each tenant a schema. The operations find the table by the connection's
    /// `search_path`, so a wrong path would lead to another tenant's sessions. Check once for each tenant, at startup.
    /// `examples/tenants.rs` is a complete program.
    ///
    /// With diesel-async, make an `AsyncDieselSession` for each tenant, over a pool that sets the tenant's path on its
    /// connections. Its `check` does the same.
    ///
    /// # Errors
    ///
    /// [`MigrationError::OtherSchema`](crate::MigrationError::OtherSchema) if the connection finds the table in another
    /// schema, or finds none. The others are as for [`SessionTable::check`].
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
    ///         // Only for this transaction, so the next borrower of the connection does not get this path.
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
        Ok(conn.find_table(self.table(), self.value_limit().bytes())?)
    }

    /// Brings the table to this version's form, and checks that the connection finds it.
    pub(crate) fn migrate_on<C: Migrate>(&self, conn: &mut C) -> Result<usize, Error> {
        let versions = self.table().migrate_on(conn)?;
        conn.find_table(self.table(), self.value_limit().bytes())?;
        Ok(versions)
    }
}
