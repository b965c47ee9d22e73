//! A user signs up with an invitation. Another one tries to use the same invitation.
//!
//! `cargo run -p async_sqlite_example`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]

use async_sqlite_example::{invitations, open, session, sign_up};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use diesel_session::Options;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::default();
    let mut conn = open(":memory:", &options).await?;
    diesel::insert_into(invitations::table)
        .values(invitations::code.eq("welcome"))
        .execute(&mut conn)
        .await?;

    let key = sign_up(&mut conn, &options, "alice@example.org", "welcome").await?;
    println!("Alice is signed up, and her session holds {}.", session(&mut conn, &options, key).await?);
    let refused = sign_up(&mut conn, &options, "bob@example.org", "welcome").await;
    println!("Bob: {}.", refused.expect_err("the invitation was used"));
    Ok(())
}
