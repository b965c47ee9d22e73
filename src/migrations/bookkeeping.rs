//! Which migrations were run: a record of our own, kept through Diesel's harness.

use diesel::backend::Backend;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
use diesel::connection::{DefaultLoadingMode, LoadConnection};
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
use diesel::migration::MigrationConnection;
use diesel::migration::{Migration, MigrationVersion, Result};
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
use diesel::pg::Pg;
use diesel::prelude::*;
#[cfg(feature = "diesel-async")]
use diesel_async::{AsyncConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::MigrationHarness;

use crate::schema::__diesel_session_migrations as record;

/// The versions of migrations, oldest first.
pub(super) fn versions<DB: Backend>(migrations: Vec<Box<dyn Migration<DB>>>) -> Vec<String> {
    let mut versions: Vec<String> =
        migrations.iter().map(|migration| migration.name().version().to_string()).collect();
    versions.sort_unstable();
    versions
}

#[cfg(any(feature = "postgres", feature = "diesel-async"))]
/// A connection to PostgreSQL that blocks, or is made to.
pub trait BlocksOnPostgres:
    Connection<Backend = Pg> + LoadConnection<DefaultLoadingMode, Backend = Pg> + MigrationConnection + 'static
{
}

#[cfg(feature = "postgres")]
impl BlocksOnPostgres for PgConnection {}

#[cfg(feature = "diesel-async")]
impl<C: AsyncConnection<Backend = Pg> + 'static> BlocksOnPostgres for AsyncConnectionWrapper<C> {}

/// A connection as a migration harness with our record, whose table must exist.
pub(super) struct Recorded<'a, C>(pub(super) &'a mut C);

pub(super) const CREATE_RECORD: &str = "CREATE TABLE __diesel_session_migrations (\
     version TEXT PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";

macro_rules! harness {
    ([$($any:tt)*] $connection:ty, $database:ty) => {
        impl<$($any)*> MigrationHarness<$database> for Recorded<'_, $connection> {
            fn run_migration(
                &mut self,
                migration: &dyn Migration<$database>,
            ) -> Result<MigrationVersion<'static>> {
                let version = migration.name().version().as_owned();
                migration.run(self.0)?;
                diesel::insert_into(record::table).values(record::version.eq(&version)).execute(self.0)?;
                Ok(version)
            }

            fn revert_migration(
                &mut self,
                migration: &dyn Migration<$database>,
            ) -> Result<MigrationVersion<'static>> {
                let version = migration.name().version().as_owned();
                migration.revert(self.0)?;
                diesel::delete(record::table.find(&version)).execute(self.0)?;
                Ok(version)
            }

            fn applied_migrations(&mut self) -> Result<Vec<MigrationVersion<'static>>> {
                Ok(record::table.select(record::version).order(record::version.desc()).load(self.0)?)
            }
        }
    };
}

#[cfg(any(feature = "postgres", feature = "diesel-async"))]
harness!([C: BlocksOnPostgres] C, Pg);
#[cfg(feature = "sqlite")]
harness!([] SqliteConnection, diesel::sqlite::Sqlite);
