//! The schema of the session table, the schema in which the connection finds it, and the checks of both.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Nullable, Text};

use super::BlocksOnPostgres;
use super::owners::{Owner, Present};
use super::settings::{say, set_local};
use crate::error::MigrationError;
use crate::table::{Schema, SessionTable};

/// The schema that the caller means, and what the connection finds by its own `search_path`.
pub(super) struct Place {
    schema: Schema,
    /// Whether the caller has named the schema.
    is_named: bool,
    /// The schema of the table that the connection finds.
    found: Option<String>,
    search_path: String,
}

impl Place {
    /// Reads both from the connection. Refuses an encoding that cannot hold every text.
    pub(super) fn of<C: BlocksOnPostgres>(
        conn: &mut C,
        table: &SessionTable,
    ) -> Result<Self, MigrationError> {
        #[derive(QueryableByName)]
        struct Surroundings {
            #[diesel(sql_type = Nullable<Text>)]
            current: Option<String>,
            #[diesel(sql_type = Nullable<Text>)]
            found: Option<String>,
            #[diesel(sql_type = Text)]
            search_path: String,
            #[diesel(sql_type = Text)]
            encoding: String,
        }
        let Surroundings { current, found, search_path, encoding } = sql_query(
            "SELECT pg_catalog.current_schema()::text AS current, \
               (SELECT n.nspname::text FROM pg_catalog.pg_class AS c \
                JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                WHERE c.oid = pg_catalog.to_regclass('session'::text)::oid) AS found, \
               pg_catalog.current_setting('search_path'::text) AS search_path, \
               pg_catalog.getdatabaseencoding()::text AS encoding",
        )
        .get_result(conn)?;
        // SQL_ASCII accepts any bytes, and this crate sends UTF-8.
        if encoding != "UTF8" && encoding != "SQL_ASCII" {
            return Err(MigrationError::Encoding { encoding });
        }
        let (schema, is_named) = match &table.schema {
            Some(named) => (named.clone(), true),
            None => (Schema::new(&current.ok_or(MigrationError::NoSchema)?), false),
        };
        Ok(Self { schema, is_named, found, search_path })
    }

    /// Checks that the connection finds this table and no other.
    pub(super) fn check_found(&self) -> Result<(), MigrationError> {
        match &self.found {
            Some(found) if found == self.schema.name() => Ok(()),
            // The table does not exist yet.
            None if !self.is_named => Ok(()),
            found => Err(MigrationError::OtherSchema {
                found: found.as_ref().map_or_else(|| "no schema".to_owned(), |name| format!("schema {name}")),
                expected: self.schema.name().to_owned(),
            }),
        }
    }

    /// Checks the owners for migrations. Returns what exists, so that the caller does not ask again: a table that
    /// appears later has another owner, who was not checked.
    pub(super) fn check_for_migrate<C: BlocksOnPostgres>(
        &self,
        conn: &mut C,
        table: &SessionTable,
    ) -> Result<Present, MigrationError> {
        self.check_unnamed()?;
        self.check_owners(conn, table, Owner::check_for_migrate)
    }

    /// Checks the owners for roles that may have only grants.
    pub(super) fn check_for_use<C: BlocksOnPostgres>(
        &self,
        conn: &mut C,
        table: &SessionTable,
    ) -> Result<Present, MigrationError> {
        self.check_unnamed()?;
        self.check_owners(conn, table, Owner::check_for_use)
    }

    /// Checks the owners for a revert. A record in this schema shows that the caller means this schema.
    pub(super) fn check_for_revert<C: BlocksOnPostgres>(
        &self,
        conn: &mut C,
        table: &SessionTable,
    ) -> Result<Present, MigrationError> {
        let present = self.check_owners(conn, table, Owner::check_for_migrate)?;
        if !present.record {
            self.check_unnamed()?;
        }
        Ok(present)
    }

    /// Checks that queries find this table, unless the caller has named a schema: a new table would hide another one.
    fn check_unnamed(&self) -> Result<(), MigrationError> {
        if self.is_named { Ok(()) } else { self.check_found() }
    }

    fn check_owners<C: BlocksOnPostgres>(
        &self,
        conn: &mut C,
        table: &SessionTable,
        check: impl Fn(Owner) -> Result<(), MigrationError>,
    ) -> Result<Present, MigrationError> {
        let owners = Owner::of_both(conn, &self.schema, table)?;
        let present = Present::of(&owners);
        owners.into_iter().try_for_each(check)?;
        Ok(present)
    }

    /// Creates the schema if it is missing. Asks first, because `CREATE SCHEMA IF NOT EXISTS` needs the right to create
    /// a schema even if it exists.
    pub(super) fn make_schema<C: BlocksOnPostgres>(&self, conn: &mut C) -> QueryResult<()> {
        if !self.exists(conn)? {
            sql_query(format!("CREATE SCHEMA {}", self.schema.quoted())).execute(conn)?;
        }
        Ok(())
    }

    fn exists<C: BlocksOnPostgres>(&self, conn: &mut C) -> QueryResult<bool> {
        #[derive(QueryableByName)]
        struct Answer {
            #[diesel(sql_type = Bool)]
            exists: bool,
        }
        let exists = "SELECT pg_catalog.to_regnamespace($1) IS NOT NULL AS exists";
        let answer = sql_query(exists).bind::<Text, _>(self.schema.quoted()).get_result(conn);
        answer.map(|Answer { exists }| exists)
    }

    /// Checks that the role may use the schema. PostgreSQL silently leaves other schemas out of the `search_path`, and
    /// new tables would then be temporary.
    fn check_usage<C: BlocksOnPostgres>(&self, conn: &mut C) -> Result<(), MigrationError> {
        let schema = self.schema.name();
        if say(conn, "coalesce(pg_catalog.current_schema()::text, ''::text)")? == schema
            || !self.exists(conn)?
        {
            return Ok(());
        }
        Err(MigrationError::NoUsage { schema: schema.to_owned() })
    }
}

/// Runs `work` in a transaction that finds tables only in the table's schema.
pub(super) fn inside<C: BlocksOnPostgres, T>(
    conn: &mut C,
    table: &SessionTable,
    work: impl FnOnce(&mut C, &Place) -> Result<T, MigrationError>,
) -> Result<T, MigrationError> {
    conn.transaction(|conn: &mut C| {
        let place = Place::of(conn, table)?;
        set_local(conn, "search_path", &format!("{}, pg_temp", place.schema.quoted()))?;
        place.check_usage(conn)?;
        let done = work(conn, &place)?;
        // The transaction may be the caller's, so it gets its path back.
        set_local(conn, "search_path", &place.search_path)?;
        Ok(done)
    })
}
