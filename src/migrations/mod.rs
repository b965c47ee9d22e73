//! The session table's migrations: embedded, recorded apart from the host's, safe for any number of
//! processes that start at once.
//!
//! A program that may create tables calls [`migrate`] (or [`DieselSession::migrate`]) at startup: when the
//! table is up to date it only reads and takes no lock. A program that may not calls [`check`], and somebody
//! else runs [`migrate`] at deployment. On PostgreSQL the table is looked for along the `search_path`, as
//! queries do, and made in the first schema of it. What was run is recorded in a table of our own,
//! `__diesel_session_migrations`, so that the host's `diesel migration revert` and `redo` never meet our
//! versions.
//!
//! [`DieselSession::migrate`]: crate::DieselSession::migrate

use diesel_migrations::EmbeddedMigrations;
use diesel_migrations::embed_migrations;

use crate::backend::{Migrate, SessionConnection};
use crate::connect::Schema;
use crate::error::{Error, MigrationError};
use crate::key::KeyStorage;

mod bookkeeping;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests;

#[cfg(feature = "postgres")]
pub use postgres::adopt;

/// The migrations for PostgreSQL, for hosts that run them with a harness of their own.
///
/// Then the record is the host's too, and [`migrate`], [`check`] and [`revert`] know nothing of it: do not mix
/// them. Nor does anything ask what an existing `session` table is: it is taken for the one of OCaml's
/// `session-postgresql`, and its keys stay in clear.
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The migrations for SQLite, for hosts that run them with a harness of their own: see `POSTGRES`.
#[cfg(feature = "sqlite")]
pub const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Brings the session table to this version's form, in one transaction, and returns how many migrations
/// that took.
///
/// Any number of processes may call it at once: one does the work, the others wait for it and then find
/// nothing to do. A table that is newer than this version of the crate is left as it is and works.
///
/// On PostgreSQL, a `session` table of OCaml's `session-postgresql` is brought to this form with its live
/// sessions: the columns and constraints that it lacks are added, of several rows with one key the longest-lived
/// stays, rows without key or expiry go, an infinite expiry becomes one week from now. The table is locked
/// meanwhile (a million rows took some ten seconds). Its keys stay as they are, so `storage` must be
/// [`KeyStorage::Plain`] where it holds any; the feature `postgres` has `adopt`, which hashes them.
///
/// A `storage` that would not find the table's keys is refused: [`KeyStorage::Plain`] where any key is hashed,
/// for which PostgreSQL reads the table once (some tenths of a second per million rows);
/// [`KeyStorage::Hashed`] where the first hundred keys are all in clear.
///
/// # Errors
///
/// [`Error::Migration`], and then nothing was changed: the table is not ours ([`NotOurs`](MigrationError::NotOurs)),
/// holds keys in the other form ([`PlainKeys`](MigrationError::PlainKeys),
/// [`HashedKeys`](MigrationError::HashedKeys)), was dropped by hand
/// ([`TableDropped`](MigrationError::TableDropped)), or a statement failed ([`Failed`](MigrationError::Failed)), for
/// example since a lock was not to be had in five seconds.
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
    migrate_in(None, conn, storage)
}

/// The same where the connection looks into this schema, which is made where it is missing.
pub(crate) fn migrate_in<C: Migrate>(
    schema: Option<&Schema>,
    conn: &mut C,
    storage: KeyStorage,
) -> Result<usize, Error> {
    if conn.missing()?.is_empty() {
        conn.check_table(storage)?;
        Ok(0)
    } else {
        Ok(conn.run_missing(schema, storage)?)
    }
}

/// Checks, without changing anything, that every migration of this version was run and that the table's keys
/// are in the form of `storage`.
///
/// For programs whose role may not create tables. On PostgreSQL that role needs `SELECT, INSERT, UPDATE,
/// DELETE` on `session` and `SELECT` on `__diesel_session_migrations`.
///
/// # Errors
///
/// [`MigrationError::Missing`] names the missing versions; the others are as for [`migrate`].
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
    check_in(conn, storage)
}

pub(crate) fn check_in<C: Migrate>(conn: &mut C, storage: KeyStorage) -> Result<(), Error> {
    let versions = conn.missing()?;
    if versions.is_empty() {
        Ok(conn.check_table(storage)?)
    } else {
        Err(MigrationError::Missing { versions }.into())
    }
}

/// Reverts the newest migration that was run, and returns its version. For version 1 that drops the table
/// with its sessions.
///
/// # Errors
///
/// [`MigrationError::Failed`], and then nothing was changed: no migration was run, or the newest one is not
/// of this version of the crate, or the table was adopted from `session-postgresql` and is not ours to drop.
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
    Ok(conn.revert_newest()?)
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> MigrationError {
    MigrationError::Failed { source }
}
