//! Tests of the example, on a database file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use async_sqlite_example::{
    Connection, SignUpError, accounts, invitations, on_sessions, open, session, sign_up,
};
use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use diesel_session::{Error, Now as _, Options, Sessions as _};
use tempfile::TempDir;

const ALICE: &str = "alice@example.org";

/// Creates a database with one invitation.
async fn invited(directory: &TempDir) -> (Connection, Options) {
    let options = Options::default();
    let file = directory.path().join("shop.db");
    let mut conn = open(file.to_str().unwrap(), &options).await.unwrap();
    diesel::insert_into(invitations::table)
        .values(invitations::code.eq("welcome"))
        .execute(&mut conn)
        .await
        .unwrap();
    (conn, options)
}

/// Returns the numbers of accounts, of Alice's sessions, and of invitations.
async fn counts(conn: &mut Connection, options: &Options) -> (i64, usize, i64) {
    let accounts = accounts::table.count().get_result(conn).await.unwrap();
    let sessions = on_sessions(conn, options, |sessions| sessions.sessions_of(ALICE, 10)).await.unwrap();
    let invitations = invitations::table.count().get_result(conn).await.unwrap();
    (accounts, sessions.len(), invitations)
}

#[tokio::test]
async fn a_sign_up_keeps_the_account_and_the_session() {
    let directory = TempDir::new().unwrap();
    let (mut conn, options) = invited(&directory).await;
    let key = sign_up(&mut conn, &options, ALICE, "welcome").await.unwrap();
    assert_eq!(counts(&mut conn, &options).await, (1, 1, 0));
    // Another connection sees the session, so it was committed.
    let file = directory.path().join("shop.db");
    let mut other = open(file.to_str().unwrap(), &options).await.unwrap();
    assert_eq!(session(&mut other, &options, key).await.unwrap(), "new");
}

#[tokio::test]
async fn a_rollback_undoes_the_account_and_the_session() {
    let directory = TempDir::new().unwrap();
    let (mut conn, options) = invited(&directory).await;
    let refused = sign_up(&mut conn, &options, ALICE, "guessed").await;
    assert!(matches!(refused, Err(SignUpError::NotInvited)), "{refused:?}");
    assert_eq!(counts(&mut conn, &options).await, (0, 0, 1));
    sign_up(&mut conn, &options, ALICE, "welcome").await.unwrap();
    assert_eq!(counts(&mut conn, &options).await, (1, 1, 0));
}

/// A missing session is not a database error, so the transaction continues.
#[tokio::test]
async fn a_transaction_continues_after_a_session_was_not_found() {
    let directory = TempDir::new().unwrap();
    let (mut conn, options) = invited(&directory).await;
    let key = sign_up(&mut conn, &options, ALICE, "welcome").await.unwrap();
    on_sessions(&mut conn, &options, move |sessions| sessions.clear(&key)).await.unwrap();
    conn.transaction(async |conn| {
        assert!(matches!(session(conn, &options, key).await, Err(Error::NotFound)));
        diesel::delete(accounts::table.find(ALICE)).execute(conn).await
    })
    .await
    .unwrap();
    assert_eq!(counts(&mut conn, &options).await, (0, 0, 0));
}

#[tokio::test]
async fn work_that_panics_returns_an_error_and_commits_nothing() {
    let directory = TempDir::new().unwrap();
    let (mut conn, options) = invited(&directory).await;
    let failed = conn
        .immediate_transaction(async |conn| {
            diesel::insert_into(accounts::table).values(accounts::email.eq(ALICE)).execute(conn).await?;
            on_sessions(conn, &options, |sessions| -> Result<(), Error> {
                sessions.generate_for(ALICE, None, None)?;
                panic!("as a bug would")
            })
            .await
        })
        .await;
    assert!(matches!(failed, Err(Error::Database(_))), "{failed:?}");
    assert_eq!(counts(&mut conn, &options).await, (0, 0, 1));
}
