//! The queries on the application's own tables, for both databases.

use anyhow::anyhow;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use crate::models::{Note, User, notes, users};

pub(crate) mod sessions;

use sessions::WithSessions;

/// A connection to the application's database, which has its own tables and the session table.
pub(crate) trait Database: WithSessions {
    /// Creates the application's tables if they are missing.
    fn migrate(&mut self) -> anyhow::Result<()>;

    /// Adds a user. Returns `false` if the name is taken.
    fn add_user(&mut self, name: &str, password_hash: &str) -> QueryResult<bool>;

    fn user(&mut self, id: i64) -> QueryResult<Option<User>>;

    fn user_of_name(&mut self, name: &str) -> QueryResult<Option<User>>;

    /// Returns a user's notes, newest first.
    fn notes_of(&mut self, user: i64) -> QueryResult<Vec<Note>>;

    fn add_note(&mut self, user: i64, body: &str) -> QueryResult<()>;

    /// Deletes a note if it belongs to this user.
    fn delete_note(&mut self, user: i64, note: i64) -> QueryResult<()>;
}

/// Generates the queries for a connection type. A generic function would have to name every trait that each part of
/// each query needs.
macro_rules! database {
    ($connection:ty, $migrations:literal) => {
        impl Database for $connection {
            fn migrate(&mut self) -> anyhow::Result<()> {
                const MIGRATIONS: EmbeddedMigrations = embed_migrations!($migrations);
                self.run_pending_migrations(MIGRATIONS).map_err(|error| anyhow!(error))?;
                Ok(())
            }

            fn add_user(&mut self, name: &str, password_hash: &str) -> QueryResult<bool> {
                let user = (users::name.eq(name), users::password_hash.eq(password_hash));
                let added = diesel::insert_into(users::table)
                    .values(user)
                    .on_conflict(users::name)
                    .do_nothing()
                    .execute(self)?;
                Ok(added == 1)
            }

            fn user(&mut self, id: i64) -> QueryResult<Option<User>> {
                users::table.find(id).select(User::as_select()).first(self).optional()
            }

            fn user_of_name(&mut self, name: &str) -> QueryResult<Option<User>> {
                users::table.filter(users::name.eq(name)).select(User::as_select()).first(self).optional()
            }

            fn notes_of(&mut self, user: i64) -> QueryResult<Vec<Note>> {
                notes::table
                    .filter(notes::user_id.eq(user))
                    .order(notes::id.desc())
                    .select(Note::as_select())
                    .load(self)
            }

            fn add_note(&mut self, user: i64, body: &str) -> QueryResult<()> {
                let note = (notes::user_id.eq(user), notes::body.eq(body));
                diesel::insert_into(notes::table).values(note).execute(self)?;
                Ok(())
            }

            fn delete_note(&mut self, user: i64, note: i64) -> QueryResult<()> {
                diesel::delete(notes::table.find(note).filter(notes::user_id.eq(user))).execute(self)?;
                Ok(())
            }
        }
    };
}

database!(PgConnection, "migrations/postgres");
database!(SqliteConnection, "migrations/sqlite");
