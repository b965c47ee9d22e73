//! An application that reaches SQLite through diesel-async signs a user up. The account and the session are written in one
//! transaction, so both are kept, or neither is.
//!
//! diesel-async runs SQLite on tokio's blocking threads, in a [`SyncConnectionWrapper`]. Its `spawn_blocking` lends the
//! connection beneath, inside the transaction that is open on it. There the blocking interface works: see [`on_sessions`].

use diesel::prelude::*;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, RunQueryDsl, SimpleAsyncConnection as _};
use diesel_session::{Error, Now as _, OnConnection, Options, SessionKey, Sessions as _};

/// A connection of the application's.
pub type Connection = SyncConnectionWrapper<SqliteConnection>;

diesel::table! {
    /// Who has signed up.
    accounts (email) {
        /// Where to write to.
        email -> Text,
    }
}

diesel::table! {
    /// Who may sign up, once.
    invitations (code) {
        /// The text of the invitation.
        code -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(accounts, invitations);

/// Why a sign-up failed.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// There is no such invitation, or it was used.
    #[error("there is no such invitation")]
    NotInvited,
    /// The database refused, for example a second account of the same address.
    #[error("the account could not be written")]
    Database(#[from] diesel::result::Error),
    /// The session could not be generated.
    #[error("the session could not be generated")]
    Session(#[from] Error),
}

/// Opens the database, and brings the application's tables and the session table up to date.
///
/// # Errors
///
/// If the file cannot be opened, or a migration fails.
pub async fn open(file: &str, options: &Options) -> Result<Connection, Box<dyn std::error::Error>> {
    let mut conn = Connection::establish(file).await?;
    // Without a timeout, a write fails at once while another connection writes.
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

/// Signs a user up who has an invitation, and returns the key for the visitor's cookie.
///
/// # Errors
///
/// [`SignUpError`]. Then there is no account and no session, and the invitation can still be used.
pub async fn sign_up(
    conn: &mut Connection,
    options: &Options,
    email: &str,
    invitation: &str,
) -> Result<SessionKey, SignUpError> {
    // It takes SQLite's write lock at its start, so that no other writer comes in between.
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
/// [`Error::NotFound`] if there is none.
pub async fn session(conn: &mut Connection, options: &Options, key: SessionKey) -> Result<String, Error> {
    on_sessions(conn, options, move |sessions| sessions.get(&key)).await.map(|(value, _left)| value)
}

/// Runs session operations on a connection of diesel-async's, inside its open transaction, if there is one.
///
/// The work runs on another thread, so it owns all that it uses: copy a key, and clone options and text. `spawn_blocking`
/// knows only Diesel's errors. So it returns a result inside a result, and `?` unwraps the outer one.
///
/// # Errors
///
/// Those of the work; [`Error::Database`] if the work panicked.
pub async fn on_sessions<T: Send + 'static>(
    conn: &mut Connection,
    options: &Options,
    work: impl FnOnce(&OnConnection<'_, SqliteConnection>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let options = options.clone();
    conn.spawn_blocking(move |conn| Ok(work(&options.on(conn)))).await?
}
