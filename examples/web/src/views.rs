//! How often a session has seen its notes: a count that two requests at once do not spoil.
//!
//! tower-sessions reads a session's data at the beginning of a request and saves them at its end. So two requests at once
//! that count one field up read the same number, and one count is lost. The count is therefore a separate session, and
//! the visitor's session holds its key. `update` locks it from reading to writing. That key opens no page, because cookies
//! hold ids of tower-sessions.

use diesel_session::{AsyncNow as _, AsyncSessions as _, Error, Expiry, SessionKey};
use tower_sessions::Session;

use crate::app::App;
use crate::database::Database;
use crate::failure::Failure;

/// Where the visitor's session keeps the key of its count.
const KEY: &str = "views";

/// Begins a count, which lives as long as a session may: where the session ends elsewhere, it waits for the sweeper.
pub(crate) async fn begin<C: Database>(app: &App<C>, session: &Session) -> Result<(), Failure> {
    let key = app.sessions.generate(Some("0"), Some(app.longest)).await?;
    session.insert(KEY, key.as_str()).await?;
    Ok(())
}

/// Counts one more; `None` where there is no count.
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

/// Ends a count.
pub(crate) async fn end<C: Database>(app: &App<C>, key: Option<SessionKey>) -> Result<(), Failure> {
    if let Some(key) = key {
        app.sessions.clear(&key).await?;
    }
    Ok(())
}

/// The key of the session's count.
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

    /// What tower-sessions allows, with any store: the reason for this module.
    #[tokio::test]
    async fn of_two_requests_at_once_plain_tower_sessions_loses_one() {
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
        assert_eq!(views, Some(1), "two were counted");
    }
}
