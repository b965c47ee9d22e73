//! Settings of a store that exist only on PostgreSQL.

use super::RunQuery;
use crate::options::Builder;

impl<C: RunQuery, P> Builder<C, P> {
    /// Sets the schema that holds the session table and the record of its migrations. `migrate` creates it if it is
    /// missing. Defaults to the first schema of the connections' `search_path` that exists.
    ///
    /// The connections of a pool that this store makes look for tables in this schema only. For your own tables, name
    /// their schema in your queries, or use another pool. Stores in different schemas of one database do not see each
    /// other's sessions. You cannot combine this with `pgbouncer`: there, give the role a `search_path`.
    ///
    /// [Your own pool](Builder::over) and your own connections keep their `search_path`. `migrate` and `check` then
    /// fail with [`MigrationError::OtherSchema`](crate::MigrationError::OtherSchema) if that path leads to another
    /// schema.
    pub fn schema(mut self, name: &str) -> Self {
        self.options.table = self.options.table.schema(name);
        self
    }

    /// Names a role that may own the session table and its record. Defaults to none.
    ///
    /// [`SessionTable::check`](crate::SessionTable::check) accepts the current role, the roles that it is a member of,
    /// the owner of the schema, the owner of the database and superusers. Name the role that runs your migrations if it
    /// is none of these.
    pub fn table_owner(mut self, role: &str) -> Self {
        self.options.table = self.options.table.table_owner(role);
        self
    }
}
