//! The settings of a session table: its schema, the form of its keys, and its owner.

use crate::error::Error;
use crate::key::KeyStorage;

/// The session table that [`migrations`](crate::migrations) work on.
///
/// A [`Builder`](crate::Builder) has the same settings, for the table of its store.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use diesel::prelude::*;
/// use diesel_session::SessionTable;
///
/// let mut conn = SqliteConnection::establish(":memory:").unwrap();
/// let table = SessionTable::new();
/// assert!(table.migrate(&mut conn)? > 0);
/// table.check(&mut conn)?;
/// # }
/// # Ok::<(), diesel_session::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct SessionTable {
    pub(crate) key_storage: KeyStorage,
    pub(crate) schema: Option<Schema>,
    /// A role that may own the table although no other check accepts it.
    pub(crate) table_owner: Option<String>,
}

impl SessionTable {
    /// Returns the table that the connection finds, with hashed keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the form in which the table holds keys. Defaults to [`KeyStorage::Hashed`].
    pub fn key_storage(mut self, storage: KeyStorage) -> Self {
        self.key_storage = storage;
        self
    }

    /// Sets the schema of the table and of the record of its migrations, on PostgreSQL. Defaults to the first schema of
    /// the connection's `search_path` that exists (`current_schema()`).
    #[cfg(any(feature = "postgres", feature = "diesel-async"))]
    pub fn schema(mut self, name: &str) -> Self {
        self.schema = Some(Schema::new(name));
        self
    }

    /// Names a role that may own the table, on PostgreSQL. Defaults to none: [`check`](Self::check) lists the owners
    /// that it accepts without this.
    #[cfg(any(feature = "postgres", feature = "diesel-async"))]
    pub fn table_owner(mut self, role: &str) -> Self {
        self.table_owner = Some(role.to_owned());
        self
    }
}

/// The name of a schema on PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

#[cfg_attr(
    not(any(feature = "postgres", feature = "diesel-async")),
    allow(dead_code, reason = "no other database has schemas")
)]
impl Schema {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Checks the name. PostgreSQL would truncate a longer one: see "Identifiers and Key Words" in its manual.
    pub(crate) fn check(&self) -> Result<(), Error> {
        const LONGEST: usize = 63;
        let Self(name) = self;
        // In a search_path `$user` stands for the role's name, quoted or not.
        if name.is_empty() || name.len() > LONGEST || name.contains('\0') || name == "$user" {
            let reason = format!("use a name of 1 to {LONGEST} bytes without NUL, other than $user");
            return Err(Error::Configuration { setting: "schema", reason });
        }
        Ok(())
    }

    /// Returns the name as an SQL identifier, which may contain any character.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}
