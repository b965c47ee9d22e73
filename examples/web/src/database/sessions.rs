//! The session store of each database.

use diesel::pg::PgConnection;
use diesel::r2d2::{self, ConnectionManager, R2D2Connection};
use diesel::sqlite::SqliteConnection;
use diesel_session::{AsyncDieselSession, Blocking, Builder, DieselSession, OwnerLimit, WebStore};

use crate::settings::Settings;

/// The maximum number of devices on which a user can be logged in. One more login ends the oldest session.
const MOST_DEVICES: u32 = 20;

pub(crate) type Pool<C> = r2d2::Pool<ConnectionManager<C>>;

/// A connection to a database that has the session table and the application's own tables.
pub(crate) trait WithSessions: R2D2Connection + 'static {
    /// The store of the sessions.
    type Sessions: WebStore;

    /// Opens the database: a pool for the application's own queries, and the session store. Creates the tables of the
    /// sessions if they are missing.
    async fn open(url: &str, settings: &Settings) -> anyhow::Result<(Pool<Self>, Self::Sessions)>;
}

/// The sessions have their own connections, which do not block. The application's queries block, so they have a
/// separate pool.
impl WithSessions for PgConnection {
    type Sessions = AsyncDieselSession;

    async fn open(url: &str, settings: &Settings) -> anyhow::Result<(Pool<Self>, Self::Sessions)> {
        let sessions = configured(AsyncDieselSession::builder(), settings).connect(url).await?;
        sessions.migrate().await?;
        // Without this, the pool opens all its connections at once.
        let pool = Pool::builder().min_idle(Some(1)).build(ConnectionManager::new(url))?;
        Ok((pool, sessions))
    }
}

/// One pool serves both. The store has configured its connections.
impl WithSessions for SqliteConnection {
    type Sessions = Blocking<DieselSession<Self>>;

    async fn open(url: &str, settings: &Settings) -> anyhow::Result<(Pool<Self>, Self::Sessions)> {
        let sessions = configured(DieselSession::<Self>::builder(), settings).connect(url)?;
        sessions.migrate()?;
        Ok((sessions.pool(), Blocking::from(sessions)))
    }
}

fn configured<C, P>(builder: Builder<C, P>, settings: &Settings) -> Builder<C, P> {
    builder
        .default_period(settings.idle)
        .max_lifetime(settings.longest)
        .owner_limit(OwnerLimit::EndOldest(MOST_DEVICES))
}
