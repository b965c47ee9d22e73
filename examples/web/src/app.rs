//! The application: its database, its sessions, and its routes.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Router, middleware};
use chrono::TimeDelta;
use diesel::QueryResult;
use diesel_session::TowerSessionStore;
use tokio::task::spawn_blocking;
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::database::Database;
use crate::database::sessions::Pool;
use crate::failure::Failure;
use crate::passwords::Passwords;
use crate::settings::Settings;
use crate::{headers, pages, visitor};

/// The maximum size of a form, in bytes. Every form of the application is much smaller.
const LARGEST_FORM: usize = 64 * 1024;

/// The state that all requests share.
pub(crate) struct App<C: Database> {
    /// The pool for the application's own tables.
    pool: Pool<C>,
    /// The sessions, for operations that tower-sessions does not have.
    pub(crate) sessions: C::Sessions,
    /// The same sessions as tower-sessions sees them.
    pub(crate) store: TowerSessionStore<C::Sessions>,
    pub(crate) passwords: Passwords,
    pub(crate) idle: TimeDelta,
    pub(crate) longest: TimeDelta,
}

impl<C: Database> App<C> {
    /// Opens the database and creates the missing tables: those of the sessions and the application's own.
    pub(crate) async fn open(url: &str, settings: &Settings) -> anyhow::Result<Self> {
        let (pool, sessions) = C::open(url, settings).await?;
        pool.get()?.migrate()?;
        let store = TowerSessionStore::new(sessions.clone());
        Ok(Self {
            pool,
            sessions,
            store: store.owner_from(visitor::USER).label_from(visitor::DEVICE),
            passwords: Passwords::new()?,
            idle: settings.idle,
            longest: settings.longest,
        })
    }

    /// Runs queries on a connection of the pool, on a thread that may block.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        queries: impl FnOnce(&mut C) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let pool = self.pool.clone();
        spawn_blocking(move || Ok(queries(&mut *pool.get()?)?)).await?
    }
}

/// Returns the routes, behind the session layer and the headers.
pub(crate) fn router<C: Database>(app: Arc<App<C>>, settings: &Settings) -> Router {
    // A browser accepts a cookie with the prefix `__Host-` only from this host, and only over a secure connection.
    let name = if settings.insecure_cookies { "id" } else { "__Host-id" };
    let sessions = SessionManagerLayer::new(app.store.clone())
        .with_name(name)
        .with_secure(!settings.insecure_cookies)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(settings.idle.num_seconds())));
    Router::new()
        .route("/", get(Redirect::to("/notes")))
        .route("/register", get(pages::register::show).post(pages::register::submit))
        .route("/login", get(pages::login::show).post(pages::login::submit))
        .route("/logout", post(pages::login::log_out))
        .route("/notes", get(pages::notes::show).post(pages::notes::add))
        .route("/notes/delete", post(pages::notes::delete))
        .route("/devices", get(pages::devices::show))
        .route("/devices/end", post(pages::devices::end))
        .route("/devices/end-others", post(pages::devices::end_others))
        .layer(sessions)
        .route("/style.css", get(pages::style))
        .fallback(pages::missing)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::map_response(headers::harden))
        .with_state(app)
}
