//! The database that the command works on.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "postgres")]
use chrono::TimeDelta;
#[cfg(feature = "postgres")]
use diesel::PgConnection;
#[cfg(feature = "sqlite")]
use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use diesel::r2d2::{ConnectionManager, PooledConnection};
#[cfg(feature = "sqlite")]
use diesel::r2d2::{CustomizeConnection, Error as ConnectionError, Pool};
use diesel_session::{DieselSession, KeyStorage, SessionConnection, SessionTable};

use crate::arguments::DatabaseArguments;
use crate::failure::Failure;
use crate::inspect::Inspect;

/// A database, by the kind of its connections.
pub(crate) enum Database {
    #[cfg(feature = "postgres")]
    Postgres(Target<PgConnection>),
    #[cfg(feature = "sqlite")]
    Sqlite(Target<SqliteConnection>),
}

/// What a command needs of its database.
#[derive(Clone, Copy, Default)]
pub(crate) struct Needs {
    /// It may create an SQLite file.
    pub(crate) creates: bool,
    /// It compares two connections to a server.
    pub(crate) compares: bool,
}

/// How long one statement may take, unless the operator says more.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The table of the sessions, and the store that uses it.
pub(crate) struct Target<C: SessionConnection> {
    pub(crate) store: DieselSession<C>,
    pub(crate) table: SessionTable,
}

impl<C: Inspect> Target<C> {
    /// Returns the store's connection. There is only one, unless the command [needs](Needs) another.
    pub(crate) fn connection(&self) -> Result<PooledConnection<ConnectionManager<C>>, Failure> {
        self.store.pool().get().map_err(|error| Failure::refused(format!("no connection: {error}")))
    }

    /// Returns the other connection, unless the server gives none.
    pub(crate) fn another_connection(&self) -> Option<PooledConnection<ConnectionManager<C>>> {
        const PATIENCE: Duration = Duration::from_secs(2);
        let pool = self.store.pool();
        (pool.max_size() > 1).then(|| pool.get_timeout(PATIENCE).ok()).flatten()
    }
}

impl Database {
    pub(crate) fn connect(arguments: &DatabaseArguments, needs: Needs) -> Result<Self, Failure> {
        let Some(url) = arguments.database_url.as_deref().filter(|url| !url.is_empty()) else {
            return Err(Failure::refused(
                "no database: set DATABASE_URL to a URL of PostgreSQL or to the path of an SQLite file",
            ));
        };
        match Kind::of(url) {
            Kind::Postgres => Self::postgres(url, arguments, needs.compares),
            Kind::Sqlite(file) => Self::sqlite(url, &file, arguments, needs.creates),
            // It may hold a password, so it is not shown.
            Kind::Unknown => Err(Failure::refused(
                "the address is neither a URL of PostgreSQL nor the path of an SQLite file: check DATABASE_URL",
            )),
        }
    }

    #[cfg(feature = "postgres")]
    fn postgres(url: &str, arguments: &DatabaseArguments, compares: bool) -> Result<Self, Failure> {
        let storage = key_storage(arguments);
        let timeout = TimeDelta::from_std(arguments.timeout.unwrap_or(TIMEOUT))
            .map_err(|_| Failure::refused("--timeout is too long: use at most 1day"))?;
        let builder = DieselSession::<PgConnection>::builder().key_storage(storage);
        let builder = builder.statement_timeout(timeout).pgbouncer(arguments.pgbouncer);
        let mut builder = builder.pool_size(if compares { 2 } else { 1 });
        let mut table = SessionTable::new().key_storage(storage);
        if let Some(schema) = &arguments.schema {
            (builder, table) = (builder.schema(schema), table.schema(schema));
        }
        if let Some(owner) = &arguments.table_owner {
            (builder, table) = (builder.table_owner(owner), table.table_owner(owner));
        }
        let target = Target { store: builder.connect(url)?, table };
        if arguments.timeout.is_some() {
            // The store respects a limit of the role. The operator's own word counts more.
            let limit = format!("SET statement_timeout = {}", timeout.num_milliseconds());
            target.connection()?.batch_execute(&limit)?;
        }
        Ok(Self::Postgres(target))
    }

    #[cfg(not(feature = "postgres"))]
    fn postgres(_url: &str, _arguments: &DatabaseArguments, _compares: bool) -> Result<Self, Failure> {
        Err(Failure::refused(
            "this command was built without PostgreSQL: install it with the feature `postgres`",
        ))
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(url: &str, file: &Path, arguments: &DatabaseArguments, creates: bool) -> Result<Self, Failure> {
        let DatabaseArguments { schema, table_owner, pgbouncer, .. } = arguments;
        let of_postgres = [
            (schema.is_some(), "--schema"),
            (table_owner.is_some(), "--table-owner"),
            (*pgbouncer, "--pgbouncer"),
        ];
        for (is_given, option) in of_postgres {
            if is_given {
                return Err(Failure::refused(format!("{option} is for PostgreSQL only: leave it out")));
            }
        }
        if !creates && !file.is_file() {
            return Err(Failure::refused(format!(
                "there is no SQLite file {}: check DATABASE_URL, or create it with `diesel-session migrate`",
                file.display()
            )));
        }
        let storage = key_storage(arguments);
        let builder = DieselSession::<SqliteConnection>::builder().key_storage(storage);
        let table = SessionTable::new().key_storage(storage);
        if creates {
            return Ok(Self::Sqlite(Target { store: builder.connect(url)?, table }));
        }
        // The library's own pool would switch the file to WAL, and the other commands have no business with that.
        let pool = Pool::builder().max_size(1).connection_timeout(Duration::from_secs(5));
        let pool = pool.connection_customizer(Box::new(BusyTimeout(arguments.timeout.unwrap_or(TIMEOUT))));
        let pool = pool.build(ConnectionManager::new(url));
        let pool =
            pool.map_err(|error| Failure::refused(format!("{} cannot be opened: {error}", file.display())))?;
        Ok(Self::Sqlite(Target { store: builder.over(pool)?, table }))
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite(
        _url: &str,
        _file: &Path,
        _arguments: &DatabaseArguments,
        _creates: bool,
    ) -> Result<Self, Failure> {
        Err(Failure::refused("this command was built without SQLite: install it with the feature `sqlite`"))
    }
}

/// The kind of an address.
enum Kind {
    /// A URL, or a string of keywords.
    Postgres,
    /// A path, or a URI of SQLite; and the file that it names.
    Sqlite(PathBuf),
    Unknown,
}

impl Kind {
    fn of(url: &str) -> Self {
        let path = ["sqlite://", "file://", "file:"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if let Some(path) = path {
            return Self::Sqlite(path.split('?').next().unwrap_or(path).into());
        }
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Self::Postgres;
        }
        // The name of a file can have any form.
        if Path::new(url).is_file() {
            return Self::Sqlite(url.into());
        }
        if url.contains("://") || url.contains('@') {
            return Self::Unknown;
        }
        if url.contains('=') { Self::Postgres } else { Self::Sqlite(url.into()) }
    }
}

fn key_storage(arguments: &DatabaseArguments) -> KeyStorage {
    if arguments.plain_keys { KeyStorage::Plain } else { KeyStorage::Hashed }
}

/// How long a connection waits for the lock of another.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
struct BusyTimeout(Duration);

#[cfg(feature = "sqlite")]
impl CustomizeConnection<SqliteConnection, ConnectionError> for BusyTimeout {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), ConnectionError> {
        Ok(conn.batch_execute(&format!("PRAGMA busy_timeout = {}", self.0.as_millis()))?)
    }
}
