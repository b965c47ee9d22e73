//! Who the visitor is: what a session of ours holds, from login to logout.

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

/// Whose session it is: the store makes this its owner.
pub(crate) const USER: &str = "user_id";

/// What the device is called: the store makes this the session's label.
pub(crate) const DEVICE: &str = "device";

/// When the session was last prolonged, in milliseconds since 1970.
const PROLONGED: &str = "prolonged";

/// A request of somebody who is logged in. Without a session there is no such request: it leads to the login.
pub(crate) struct LoggedIn {
    pub(crate) user: User,
    pub(crate) session: Session,
}

/// What every page shows to somebody who is logged in.
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) csrf: String,
    /// What is left without another request.
    pub(crate) idle: String,
    /// What is left at all.
    pub(crate) longest: String,
}

/// Makes the visitor's session the user's, under another id and with another token for its forms. So somebody who planted
/// or saw the old ones cannot use it. The idle timeout begins now. The longest lifetime runs from the visitor's first page.
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
    // Not by the first page: two that open at once would draw a token each, and one of the two would be lost.
    forms::renew_token(session).await?;
    views::begin(app, session).await?;
    // Last: if the request failed or were cancelled after this, the visitor would have no session.
    session.cycle_id().await?;
    Ok(())
}

/// Ends the session: no request brings it back, not even one that is under way.
pub(crate) async fn log_out<C: Database>(app: &App<C>, session: &Session) -> Result<(), Failure> {
    let count = views::key(session).await?;
    // First what matters.
    session.flush().await?;
    views::end(app, count).await
}

impl LoggedIn {
    /// The user as the owner of sessions.
    pub(crate) fn owner(&self) -> String {
        self.user.id.to_string()
    }

    /// The key under which this session lies in the database.
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

/// Begins the idle timeout anew. tower-sessions does so where a request has changed the session's data, which this
/// does, but no more often than every tenth of the timeout: what is read needs no write.
async fn prolong(session: &Session, idle: TimeDelta) -> Result<(), Failure> {
    let now = Utc::now().timestamp_millis();
    let last: i64 = session.get(PROLONGED).await?.unwrap_or(0);
    if now - last >= idle.num_milliseconds() / 10 {
        session.insert(PROLONGED, now).await?;
    }
    Ok(())
}

/// What is left of a period, in its largest units.
fn left_of(period: TimeDelta, since: Option<DateTime<Utc>>) -> String {
    let now = Utc::now();
    let seconds = (since.unwrap_or(now) + period - now).num_seconds().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
