//! The session of a request, as a request guard.

use std::sync::Arc;

use diesel::SqliteConnection;
use diesel_session::{Error, Expiry, Options, Session, SessionKey, Sessions as _};
use rocket::http::{Cookie, CookieJar, SameSite, Status};
use rocket::outcome::try_outcome;
use rocket::request::{FromRequest, Outcome};
use rocket::{Request, State, error};
use rocket_sync_db_pools::database;

use crate::failure::Failure;

/// The name of the cookie.
const COOKIE: &str = "session";

/// A connection of Rocket's pool.
#[database("shop")]
pub(crate) struct Db(SqliteConnection);

/// The visitor of a request, with or without a live session.
///
/// The guard holds a connection until the request ends. A route with this guard must not also have the guard `Db`.
/// Requests that hold one connection and wait for a second one can deadlock.
pub(crate) struct Visitor<'r> {
    /// The live session for the cookie's key, as it was when the request arrived.
    pub(crate) session: Option<(SessionKey, Session)>,
    cookies: &'r CookieJar<'r>,
    db: Db,
    options: Arc<Options>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Visitor<'r> {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        let cookies = request.cookies();
        let options = Arc::clone(try_outcome!(request.guard::<&State<Arc<Options>>>().await));
        let db = try_outcome!(request.guard::<Db>().await);
        let mut visitor = Self { session: None, cookies, db, options };
        // A cookie that is not a key names no session. It costs no query.
        let Some(Ok(key)) = cookies.get(COOKIE).map(|cookie| cookie.value().parse::<SessionKey>()) else {
            return Outcome::Success(visitor);
        };
        let found = visitor.run(move |conn, options| {
            let sessions = options.on(conn);
            let session = sessions.find(&key)?;
            // Each request restarts the idle timeout. At most one request per minute writes to the database.
            sessions.touch(&key, Expiry::Default)?;
            Ok(session)
        });
        match found.await {
            Ok(session) => visitor.session = Some((key, session)),
            // The cookie is kept, because another request may just have set a newer one.
            Err(Error::NotFound) => {}
            Err(error) => {
                error!("the session cannot be read: {error:?}");
                return Outcome::Error((Status::InternalServerError, ()));
            }
        }
        Outcome::Success(visitor)
    }
}

impl Visitor<'_> {
    /// Returns the session's key and owner, or the response 401 if the visitor has not signed in.
    pub(crate) fn signed_in(&self) -> Result<(SessionKey, String), Failure> {
        let (key, session) = self.session.as_ref().ok_or(Error::NotFound)?;
        Ok((*key, session.owner.clone().ok_or(Error::NotFound)?))
    }

    /// Runs `work` with the connection on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection, &Options) -> T + Send + 'static,
    ) -> T {
        let options = Arc::clone(&self.options);
        self.db.run(move |conn| work(conn, &options)).await
    }

    /// Sets the cookie to the key of a session.
    pub(crate) fn set_cookie(&self, key: &SessionKey) {
        self.cookies.add(cookie(key.as_str()));
    }

    /// Removes the cookie.
    pub(crate) fn remove_cookie(&self) {
        self.cookies.remove(cookie(""));
    }
}

/// Returns the cookie for this key. No script can read it, and no form of another site sends it. It has no expiry,
/// because the server's timeouts apply.
fn cookie(key: &str) -> Cookie<'static> {
    Cookie::build((COOKIE, key.to_owned()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        // A debug build serves plain HTTP, over which browsers accept no secure cookie.
        .secure(!cfg!(debug_assertions))
        .build()
}
