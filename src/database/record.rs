//! The record of the migrations that were run. It is separate from the host's. Diesel's harness writes it.

use diesel::backend::Backend;
use diesel::migration::Migration;

use crate::error::MigrationError;

diesel::table! {
    /// The migrations of this crate that were run. The host has another record: its `revert` and `redo` would fail at
    /// versions that they do not know. The underscores hide this table from `diesel print-schema`.
    __diesel_session_migrations (version) {
        /// The migration's version.
        version -> Text,
        /// When it was run, in UTC.
        run_on -> Timestamp,
    }
}

/// Returns the versions of these migrations, the oldest first.
pub(crate) fn versions<DB: Backend>(migrations: Vec<Box<dyn Migration<DB>>>) -> Vec<String> {
    let mut versions: Vec<String> =
        migrations.iter().map(|migration| migration.name().version().to_string()).collect();
    versions.sort_unstable();
    versions
}

/// A connection as a migration harness that uses this record. The record's table must exist.
pub(crate) struct Recorded<'a, C>(pub(crate) &'a mut C);

#[cfg(any(feature = "postgres", feature = "sqlite", feature = "diesel-async"))]
pub(crate) const CREATE_RECORD: &str = "CREATE TABLE __diesel_session_migrations (\
     version TEXT PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// Implements Diesel's harness for the connections of one database.
macro_rules! harness {
    ([$($any:tt)*] $connection:ty, $database:ty) => {
        impl<$($any)*> diesel_migrations::MigrationHarness<$database>
            for $crate::database::record::Recorded<'_, $connection>
        {
            fn run_migration(
                &mut self,
                migration: &dyn diesel::migration::Migration<$database>,
            ) -> diesel::migration::Result<diesel::migration::MigrationVersion<'static>> {
                use $crate::database::record::__diesel_session_migrations as record;
                let version = migration.name().version().as_owned();
                migration.run(self.0)?;
                diesel::insert_into(record::table).values(record::version.eq(&version)).execute(self.0)?;
                Ok(version)
            }

            fn revert_migration(
                &mut self,
                migration: &dyn diesel::migration::Migration<$database>,
            ) -> diesel::migration::Result<diesel::migration::MigrationVersion<'static>> {
                use $crate::database::record::__diesel_session_migrations as record;
                let version = migration.name().version().as_owned();
                migration.revert(self.0)?;
                diesel::delete(record::table.find(&version)).execute(self.0)?;
                Ok(version)
            }

            fn applied_migrations(
                &mut self,
            ) -> diesel::migration::Result<Vec<diesel::migration::MigrationVersion<'static>>> {
                use $crate::database::record::__diesel_session_migrations as record;
                Ok(record::table.select(record::version).order(record::version.desc()).load(self.0)?)
            }
        }
    };
}
pub(crate) use harness;

pub(crate) fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> MigrationError {
    MigrationError::Failed { source }
}
