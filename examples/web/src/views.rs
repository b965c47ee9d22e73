//! A counter of how often a session has seen its notes. It stays correct under concurrent requests.
//!
//! tower-sessions reads a session's data at the beginning of a request and saves it at the end. If two requests at once
//! increment a field, both read the same number, and one increment is lost. The counter is therefore a separate
//! session, and the visitor's session holds its key. `update` lets no other write come between. The key opens
//! no page, because cookies hold ids of tower-sessions.

use diesel_session::{AsyncNow as _, AsyncSessions as _, Error, Expiry, SessionKey};
use tower_sessions::Session;

use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;

/// The field of the visitor's session with the counter's key.
const KEY: &str = "views";

/// Begins a counter. It lives for the maximum lifetime of a session. If the session ends without a logout, the counter
/// remains until the sweeper deletes it.
pub(crate) async fn begin<C: Database>(app: &App<C>, session: &Session) -> Result<(), Failure> {
    let key = app.sessions.generate(Some("0"), Some(app.longest)).await?;
    session.insert(KEY, key.as_str()).await?;
    Ok(())
}

/// Increments the counter and returns it. Returns `None` if there is no counter.
pub(crate) async fn count<C: Database>(app: &App<C>, session: &Session) -> Result<Option<u64>, Failure> {
    let Some(key) = key(session).await? else { return Ok(None) };
    let one_more = |views: Option<String>| {
        let views: u64 = views.and_then(|views| views.parse().ok()).unwrap_or(0);
        Ok::<_, Error>((views + 1).to_string())
    };
    match app.sessions.update(&key, Expiry::Keep, one_more).await {
        Ok(views) => Ok(Some(views.parse()?)),
        Err(Error::NotFound) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Ends a counter.
pub(crate) async fn end<C: Database>(app: &App<C>, key: Option<SessionKey>) -> Result<(), Failure> {
    if let Some(key) = key {
        app.sessions.clear(&key).await?;
    }
    Ok(())
}

/// Returns the key of the session's counter.
pub(crate) async fn key(session: &Session) -> Result<Option<SessionKey>, Failure> {
    let key: Option<String> = session.get(KEY).await?;
    Ok(key.and_then(|key| key.parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diesel::sqlite::SqliteConnection;
    use diesel_session::{Blocking, DieselSession, TowerSessionStore};
    use tower_sessions::Session;

    /// Shows why this module exists: tower-sessions loses an update with any store.
    #[tokio::test]
    async fn plain_tower_sessions_loses_one_of_two_concurrent_updates() {
        let sessions = DieselSession::<SqliteConnection>::connect(":memory:").unwrap();
        sessions.migrate().unwrap();
        let store = Arc::new(TowerSessionStore::new(Blocking::from(sessions)));
        let first = Session::new(None, store.clone(), None);
        first.insert("views", 0).await.unwrap();
        first.save().await.unwrap();

        let requests = [(); 2].map(|()| Session::new(first.id(), store.clone(), None));
        for request in &requests {
            let views: u64 = request.get("views").await.unwrap().unwrap();
            request.insert("views", views + 1).await.unwrap();
        }
        for request in &requests {
            request.save().await.unwrap();
        }
        let views: Option<u64> = Session::new(first.id(), store, None).get("views").await.unwrap();
        assert_eq!(views, Some(1), "both updates were counted");
    }
}
