//! Signs a user up in an application that uses SQLite through diesel-async. The account and the session are written in
//! one transaction, so either both are kept or neither is.
//!
//! diesel-async runs SQLite on tokio's blocking threads, in a [`SyncConnectionWrapper`]. Its `spawn_blocking` lends out
//! the inner connection, with the transaction that is open on it. The blocking interface works there: see
//! [`on_sessions`].

use diesel::prelude::*;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, RunQueryDsl, SimpleAsyncConnection as _};
use diesel_session::{Error, Now as _, OnConnection, Options, SessionKey, Sessions as _};

/// A connection of the application.
pub type Connection = SyncConnectionWrapper<SqliteConnection>;

diesel::table! {
    /// The users who have signed up.
    accounts (email) {
        /// The user's email address.
        email -> Text,
    }
}

diesel::table! {
    /// The invitations. Each one allows one sign-up.
    invitations (code) {
        /// The code of the invitation.
        code -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(accounts, invitations);

/// Why a sign-up failed.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The invitation does not exist or was used.
    #[error("the invitation does not exist or was used")]
    NotInvited,
    /// A database error, for example because the address already has an account.
    #[error("the account could not be saved")]
    Database(#[from] diesel::result::Error),
    /// The session could not be generated.
    #[error("the session could not be generated")]
    Session(#[from] Error),
}

/// Opens the database and brings the application's tables and the session table up to date.
///
/// # Errors
///
/// Fails if the file cannot be opened or a migration fails.
pub async fn open(file: &str, options: &Options) -> Result<Connection, Box<dyn std::error::Error>> {
    let mut conn = Connection::establish(file).await?;
    // Without a timeout, a write fails at once if another connection is writing.
    conn.batch_execute(
        "PRAGMA busy_timeout = 5000;
         CREATE TABLE IF NOT EXISTS accounts (email TEXT NOT NULL PRIMARY KEY);
         CREATE TABLE IF NOT EXISTS invitations (code TEXT NOT NULL PRIMARY KEY);",
    )
    .await?;
    let table = options.table().clone();
    conn.spawn_blocking(move |conn| Ok(table.migrate(conn))).await??;
    Ok(conn)
}

/// Signs up a user who has an invitation. Returns the key for the visitor's cookie.
///
/// # Errors
///
/// Returns a [`SignUpError`]. In that case there is no account and no session, and the invitation can still be used.
pub async fn sign_up(
    conn: &mut Connection,
    options: &Options,
    email: &str,
    invitation: &str,
) -> Result<SessionKey, SignUpError> {
    // Takes SQLite's write lock at the start, so that no other write comes in between.
    conn.immediate_transaction(async |conn| {
        diesel::insert_into(accounts::table).values(accounts::email.eq(email)).execute(conn).await?;
        let owner = email.to_owned();
        let key =
            on_sessions(conn, options, move |sessions| sessions.generate_for(&owner, Some("new"), None))
                .await?;
        let used = diesel::delete(invitations::table.find(invitation)).execute(conn).await?;
        if used == 1 { Ok(key) } else { Err(SignUpError::NotInvited) }
    })
    .await
}

/// Reads the session of a request.
///
/// # Errors
///
/// Returns [`Error::NotFound`] if there is none.
pub async fn session(conn: &mut Connection, options: &Options, key: SessionKey) -> Result<String, Error> {
    on_sessions(conn, options, move |sessions| sessions.get(&key)).await.map(|(value, _left)| value)
}

/// Runs session operations on a connection of diesel-async, in its open transaction if there is one.
///
/// The work runs on another thread and must own everything that it uses: copy a key, and clone options and text.
/// `spawn_blocking` knows only Diesel's errors, so it returns a result inside a result. `?` unwraps the outer one.
///
/// # Errors
///
/// Returns the errors of the work, or [`Error::Database`] if the work panicked.
pub async fn on_sessions<T: Send + 'static>(
    conn: &mut Connection,
    options: &Options,
    work: impl FnOnce(&OnConnection<'_, SqliteConnection>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let options = options.clone();
    conn.spawn_blocking(move |conn| Ok(work(&options.on(conn)))).await?
}
