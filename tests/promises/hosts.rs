//! Databases with each store that a web adapter can use, for laws that hold on all of them.

use diesel_session::{AsyncDieselSession, AsyncNow, Blocking, Builder, OwnerLimit, TimeDelta, WebStore};

use crate::support::{Database, File, MariaDb, Mysql, Postgres, Sql as _, Sqlite, Store};

/// The limits that a law tests.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) max_lifetime: Option<TimeDelta>,
    pub(crate) owner_limit: Option<OwnerLimit>,
}

impl Limits {
    fn applied<C, P>(self) -> Builder<C, P> {
        let mut builder = Builder::default();
        if let Some(lifetime) = self.max_lifetime {
            builder = builder.max_lifetime(lifetime);
        }
        if let Some(limit) = self.owner_limit {
            builder = builder.owner_limit(limit);
        }
        builder
    }
}

/// A test's own database.
pub(crate) trait Host: Sized {
    type Web: WebStore + AsyncNow;
    type Sessions: Store + Clone + Send + 'static;

    async fn limited(limits: Limits) -> Self;

    async fn new() -> Self {
        Self::limited(Limits::default()).await
    }

    /// Returns the store beneath the adapter.
    fn web(&self) -> Self::Web;

    /// Returns the store of another server, which shares only the database.
    async fn elsewhere(&self) -> Self::Web;

    /// Returns a store over the same table, to look at the rows.
    fn sessions(&self) -> &Self::Sessions;

    /// Runs a statement on the table. `{minute}` stands for a minute in the form of the database's dates.
    fn run(&self, sql: &str);

    /// Makes the table drop the row of its next INSERT, as if the key were taken.
    fn take_the_next_key(&self);
}

pub(crate) struct OnSqlite {
    sessions: Sqlite,
    file: File,
    limits: Limits,
}

impl Host for OnSqlite {
    type Web = Blocking<Sqlite>;
    type Sessions = Sqlite;

    async fn limited(limits: Limits) -> Self {
        let file = File::new();
        Self { sessions: file.store_with(limits.applied()), file, limits }
    }

    fn web(&self) -> Self::Web {
        Blocking::from(self.sessions.clone())
    }

    async fn elsewhere(&self) -> Self::Web {
        Blocking::from(self.file.store_with(self.limits.applied()))
    }

    fn sessions(&self) -> &Sqlite {
        &self.sessions
    }

    fn run(&self, sql: &str) {
        self.file.conn().run(&sql.replace("{minute}", "60000"));
    }

    fn take_the_next_key(&self) {
        self.file.conn().run(
            "CREATE TABLE taken (key TEXT); \
             CREATE TRIGGER take BEFORE INSERT ON session WHEN NOT EXISTS (SELECT 1 FROM taken) \
             BEGIN INSERT INTO taken VALUES (NEW.session_key); SELECT RAISE(IGNORE); END",
        );
    }
}

pub(crate) struct OnPostgres {
    sessions: Postgres,
    database: Database,
    limits: Limits,
}

impl Host for OnPostgres {
    type Web = Blocking<Postgres>;
    type Sessions = Postgres;

    async fn limited(limits: Limits) -> Self {
        let database = Database::new();
        Self { sessions: database.store_with(limits.applied()), database, limits }
    }

    fn web(&self) -> Self::Web {
        Blocking::from(self.sessions.clone())
    }

    async fn elsewhere(&self) -> Self::Web {
        Blocking::from(self.database.store_with(self.limits.applied()))
    }

    fn sessions(&self) -> &Postgres {
        &self.sessions
    }

    fn run(&self, sql: &str) {
        self.database.conn().run(&sql.replace("{minute}", "interval '1 minute'"));
    }

    fn take_the_next_key(&self) {
        self.database.conn().run(
            "CREATE TABLE taken (key text); \
             CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF EXISTS (SELECT FROM taken) THEN RETURN NEW; END IF; \
             INSERT INTO taken VALUES (NEW.session_key); RETURN NULL; END $$; \
             CREATE TRIGGER take BEFORE INSERT ON session FOR EACH ROW EXECUTE FUNCTION take()",
        );
    }
}

pub(crate) struct OnMariaDb {
    sessions: Mysql,
    database: MariaDb,
    limits: Limits,
}

impl Host for OnMariaDb {
    type Web = Blocking<Mysql>;
    type Sessions = Mysql;

    async fn limited(limits: Limits) -> Self {
        let database = MariaDb::new();
        Self { sessions: database.store_with(limits.applied()), database, limits }
    }

    fn web(&self) -> Self::Web {
        Blocking::from(self.sessions.clone())
    }

    async fn elsewhere(&self) -> Self::Web {
        Blocking::from(self.database.store_with(self.limits.applied()))
    }

    fn sessions(&self) -> &Mysql {
        &self.sessions
    }

    fn run(&self, sql: &str) {
        self.database.conn().run(&sql.replace("{minute}", "60000"));
    }

    /// The first INSERT gets the key of a row that is there already. The table of taken keys has no transactions, so it
    /// keeps what a failed INSERT writes.
    fn take_the_next_key(&self) {
        self.database.conn().run(
            "INSERT INTO session (session_key, expire_date) VALUES (CONCAT('$', REPEAT('t', 39)), 0); \
             CREATE TABLE taken (stored BINARY(40)) ENGINE = MyISAM; \
             CREATE TRIGGER take BEFORE INSERT ON session FOR EACH ROW \
             IF NOT EXISTS (SELECT 1 FROM taken) THEN INSERT INTO taken VALUES (NEW.session_key); \
             SET NEW.session_key = CONCAT('$', REPEAT('t', 39)); END IF",
        );
    }
}

pub(crate) struct Asynchronous {
    web: AsyncDieselSession,
    beside: OnPostgres,
}

impl Host for Asynchronous {
    type Web = AsyncDieselSession;
    type Sessions = Postgres;

    async fn limited(limits: Limits) -> Self {
        let beside = OnPostgres::limited(limits).await;
        let web = beside.database.async_store_with(limits.applied()).await;
        Self { web, beside }
    }

    fn web(&self) -> AsyncDieselSession {
        self.web.clone()
    }

    async fn elsewhere(&self) -> AsyncDieselSession {
        let OnPostgres { database, limits, .. } = &self.beside;
        database.async_store_with(limits.applied()).await
    }

    fn sessions(&self) -> &Postgres {
        &self.beside.sessions
    }

    fn run(&self, sql: &str) {
        self.beside.run(sql);
    }

    fn take_the_next_key(&self) {
        self.beside.take_the_next_key();
    }
}

/// The same, but reads share connections.
pub(crate) struct Pipelined(Asynchronous);

impl Host for Pipelined {
    type Web = AsyncDieselSession;
    type Sessions = Postgres;

    async fn limited(limits: Limits) -> Self {
        let beside = OnPostgres::limited(limits).await;
        let web = beside.database.async_store_with(limits.applied().pipelined(2)).await;
        Self(Asynchronous { web, beside })
    }

    fn web(&self) -> AsyncDieselSession {
        self.0.web()
    }

    async fn elsewhere(&self) -> AsyncDieselSession {
        self.0.elsewhere().await
    }

    fn sessions(&self) -> &Postgres {
        self.0.sessions()
    }

    fn run(&self, sql: &str) {
        self.0.run(sql);
    }

    fn take_the_next_key(&self) {
        self.0.take_the_next_key();
    }
}

/// Makes a test of each law on each host. A law is an asynchronous function that is generic over a [`Host`].
macro_rules! laws_on_every_host {
    ($($law:ident)*) => {
        $crate::hosts::laws_on_every_host! { @host sqlite OnSqlite $($law)* }
        $crate::hosts::laws_on_every_host! { @host mysql OnMariaDb $($law)* }
        $crate::hosts::laws_on_every_host! { @host postgres OnPostgres $($law)* }
        $crate::hosts::laws_on_every_host! { @host asynchronous Asynchronous $($law)* }
        $crate::hosts::laws_on_every_host! { @host pipelined Pipelined $($law)* }
    };
    (@host $module:ident $host:ident $($law:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $law() {
                    crate::waiting::runtime().block_on(super::$law::<crate::hosts::$host>());
                }
            )*
        }
    };
}
pub(crate) use laws_on_every_host;
