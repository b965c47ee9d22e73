//! The visitor: what the application keeps in a session, from login to logout.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, TimeDelta, Utc};
use diesel_session::SessionKey;
use tower_sessions::Session;

use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;
use crate::models::User;
use crate::{forms, views};

/// The field with the user's id. The store makes it the session's owner.
pub(crate) const USER: &str = "user_id";

/// The field with the device's name. The store makes it the session's label.
pub(crate) const DEVICE: &str = "device";

/// The field with the time when the session was last extended, in milliseconds since 1970.
const PROLONGED: &str = "prolonged";

/// A request of a user who is logged in. Without such a session, the request is redirected to the login.
pub(crate) struct LoggedIn {
    pub(crate) user: User,
    pub(crate) session: Session,
}

/// What every page shows to a user who is logged in.
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) csrf: String,
    /// The time until the session ends if no request comes.
    pub(crate) idle: String,
    /// The time until the session ends in any case.
    pub(crate) longest: String,
}

/// Makes the visitor's session the user's. It gets another id, and its forms get another token, so an id or a token
/// that somebody planted or saw before is useless. The idle timeout starts now. The maximum lifetime runs from the
/// visitor's first page.
///
/// If the session was logged out since this request began, on this server or another one, the store refuses to save it.
pub(crate) async fn log_in<C: Database>(
    app: &App<C>,
    session: &Session,
    user: &User,
    device: Option<String>,
) -> Result<(), Failure> {
    session.insert(USER, user.id).await?;
    session.insert(DEVICE, device).await?;
    session.insert(PROLONGED, Utc::now().timestamp_millis()).await?;
    // Not on the first page: two pages that open at once would each generate a token, and one token would be lost.
    forms::renew_token(session).await?;
    views::begin(app, session).await?;
    // Last, because if the request failed or were cancelled after this, the visitor would have no session.
    session.cycle_id().await?;
    Ok(())
}

/// Ends the session. No request brings it back, not even one that is in progress.
pub(crate) async fn log_out<C: Database>(app: &App<C>, session: &Session) -> Result<(), Failure> {
    let count = views::key(session).await?;
    // The session ends first, because it matters more than the counter.
    session.flush().await?;
    views::end(app, count).await
}

impl LoggedIn {
    /// Returns the user as the owner of sessions.
    pub(crate) fn owner(&self) -> String {
        self.user.id.to_string()
    }

    /// Returns the session's key in the database.
    pub(crate) fn key<C: Database>(&self, app: &App<C>) -> Result<SessionKey, Failure> {
        let id = self.session.id().context("a session that was loaded has an id")?;
        Ok(app.store.key(&id))
    }

    pub(crate) async fn frame<C: Database>(&self, app: &App<C>) -> Result<Frame, Failure> {
        let prolonged = self.session.get(PROLONGED).await?.and_then(DateTime::from_timestamp_millis);
        Ok(Frame {
            name: self.user.name.clone(),
            csrf: forms::token(&self.session).await?,
            idle: left_of(app.idle, prolonged),
            longest: left_of(app.longest, app.store.created(&self.session).await?),
        })
    }
}

impl<C: Database> FromRequestParts<Arc<App<C>>> for LoggedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App<C>>) -> Result<Self, Failure> {
        let session = Session::from_request_parts(parts, app).await.map_err(|(_, reason)| anyhow!(reason))?;
        let Some(id) = session.get(USER).await? else { return Err(Failure::LoggedOut) };
        let Some(user) = app.query(move |conn| conn.user(id)).await? else {
            session.flush().await?;
            return Err(Failure::LoggedOut);
        };
        prolong(&session, app.idle).await?;
        Ok(Self { user, session })
    }
}

/// Restarts the idle timeout. tower-sessions does that only if a request has changed the session's data, so this
/// changes it. To save writes, it does so at most once in every tenth of the timeout.
async fn prolong(session: &Session, idle: TimeDelta) -> Result<(), Failure> {
    let now = Utc::now().timestamp_millis();
    let last: i64 = session.get(PROLONGED).await?.unwrap_or(0);
    if now - last >= idle.num_milliseconds() / 10 {
        session.insert(PROLONGED, now).await?;
    }
    Ok(())
}

/// Returns the rest of a period in its largest units.
fn left_of(period: TimeDelta, since: Option<DateTime<Utc>>) -> String {
    let now = Utc::now();
    let seconds = (since.unwrap_or(now) + period - now).num_seconds().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
