//! The owners of the session table and of its record. An owner can attach code to a table, as a trigger or a default.
//! The code runs in the name of each role that writes.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Nullable, Text};

use super::BlocksOnPostgres;
use crate::error::MigrationError;
use crate::table::{Schema, SessionTable};

/// The owner of the table or of the record.
#[derive(QueryableByName)]
pub(super) struct Owner {
    #[diesel(sql_type = Text)]
    relation: String,
    #[diesel(sql_type = Text)]
    role: String,
    /// Whether the current role is a member of the owner. A superuser is a member of every role.
    #[diesel(sql_type = Bool)]
    is_mine: bool,
    /// Whether the owner's code may run in the name of the current role.
    #[diesel(sql_type = Bool)]
    may_be_used: bool,
}

/// Which of the two exist.
#[derive(Clone, Copy)]
pub(super) struct Present {
    pub(super) table: bool,
    pub(super) record: bool,
}

impl Present {
    pub(super) fn of(owners: &[Owner]) -> Self {
        let has = |name: &str| owners.iter().any(|owner| owner.relation == name);
        Self { table: has("session"), record: has("__diesel_session_migrations") }
    }
}

/// Reads the owners. The documentation of `SessionTable::check` lists those that may be used.
const OWNERS: &str = "SELECT c.relname::text AS relation, r.rolname::text AS role, \
       pg_catalog.pg_has_role(c.relowner, 'MEMBER'::text) AS is_mine, \
       r.oid = me.oid OR r.rolsuper OR r.oid = n.nspowner OR r.oid = d.datdba \
         OR coalesce(r.rolname::text = $2, false) \
         OR NOT me.rolsuper AND pg_catalog.pg_has_role(c.relowner, 'MEMBER'::text) AS may_be_used \
     FROM pg_catalog.pg_class AS c \
       JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
       JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner \
       JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user \
       JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database() \
     WHERE n.nspname::text = $1 \
       AND (c.relname::text = 'session' OR c.relname::text = '__diesel_session_migrations') \
     ORDER BY c.relname";

impl Owner {
    /// Reads the owners of the table and of the record, if these exist.
    pub(super) fn of_both<C: BlocksOnPostgres>(
        conn: &mut C,
        schema: &Schema,
        table: &SessionTable,
    ) -> QueryResult<Vec<Self>> {
        sql_query(OWNERS)
            .bind::<Text, _>(schema.name())
            .bind::<Nullable<Text>, _>(table.table_owner.as_deref())
            .load(conn)
    }

    /// Checks an owner for a role that may have only grants.
    pub(super) fn check_for_use(self) -> Result<(), MigrationError> {
        let Self { relation: table, role: owner, may_be_used, .. } = self;
        if may_be_used { Ok(()) } else { Err(MigrationError::UntrustedOwner { table, owner }) }
    }

    /// Checks an owner for migrations, which change the table.
    pub(super) fn check_for_migrate(self) -> Result<(), MigrationError> {
        if !self.is_mine {
            let Self { relation: table, role: owner, .. } = self;
            return Err(MigrationError::NotAMember { table, owner });
        }
        self.check_for_use()
    }
}
