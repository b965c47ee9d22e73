//! The life of a session, step by step.
//!
//! On SQLite, in a file in the temporary directory: `cargo run --example quickstart --features sqlite-bundled`
//!
//! On PostgreSQL: `DATABASE_URL=postgres://... cargo run --example quickstart --features postgres`
//!
//! On MariaDB: `DATABASE_URL=mysql://... cargo run --example quickstart --features mysql`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "no database")
)]

use std::error::Error as StdError;
use std::thread::sleep;
use std::time::Duration;

use diesel_session::{Error, SessionKey, Sessions, TimeDelta};

fn main() -> Result<(), Box<dyn StdError>> {
    match std::env::var("DATABASE_URL") {
        Ok(url) if url.starts_with("mysql:") => on_mariadb(&url),
        Ok(url) => on_postgres(&url),
        Err(_) => on_sqlite(),
    }
}

#[cfg(feature = "mysql")]
fn on_mariadb(url: &str) -> Result<(), Box<dyn StdError>> {
    let sessions = diesel_session::DieselSession::<diesel::MysqlConnection>::connect(url)?;
    println!("1. Connected to the MariaDB that DATABASE_URL names.");
    println!("2. Migrated: {} migration(s) were missing.", sessions.migrate()?);
    Ok(life_of_a_session(&sessions)?)
}

#[cfg(not(feature = "mysql"))]
fn on_mariadb(_url: &str) -> Result<(), Box<dyn StdError>> {
    Err("DATABASE_URL names MariaDB: add --features mysql, or unset it to use SQLite".into())
}

#[cfg(feature = "postgres")]
fn on_postgres(url: &str) -> Result<(), Box<dyn StdError>> {
    let sessions = diesel_session::DieselSession::<diesel::PgConnection>::connect(url)?;
    println!("1. Connected to the PostgreSQL that DATABASE_URL names.");
    println!("2. Migrated: {} migration(s) were missing.", sessions.migrate()?);
    Ok(life_of_a_session(&sessions)?)
}

#[cfg(not(feature = "postgres"))]
fn on_postgres(_url: &str) -> Result<(), Box<dyn StdError>> {
    Err("DATABASE_URL is set: add --features postgres, or unset it to use SQLite".into())
}

#[cfg(feature = "sqlite")]
fn on_sqlite() -> Result<(), Box<dyn StdError>> {
    let file = std::env::temp_dir().join("diesel-session-quickstart.db");
    let file = file.to_str().ok_or("the temporary directory's name is not UTF-8")?;
    let sessions = diesel_session::DieselSession::<diesel::SqliteConnection>::connect(file)?;
    println!("1. Opened {file}, an SQLite database.");
    println!("2. Migrated: {} migration(s) were missing.", sessions.migrate()?);
    Ok(life_of_a_session(&sessions)?)
}

#[cfg(not(feature = "sqlite"))]
fn on_sqlite() -> Result<(), Box<dyn StdError>> {
    Err("add --features sqlite-bundled, or set DATABASE_URL and add --features postgres".into())
}

fn life_of_a_session(sessions: &dyn Sessions) -> Result<(), Error> {
    let key = sessions.generate(None, Some(TimeDelta::minutes(30)))?;
    println!(
        "3. Generated a session for 30 minutes. Its key has {} characters and goes into the",
        key.as_str().len()
    );
    println!("   visitor's cookie. The database holds only a hash of it, which is useless as a key.");

    let answer = sessions.get(&key);
    println!("4. It has no value yet, so `get` returns: {}.", answer.expect_err("nothing was set"));

    sessions.set(&key, r#"{"cart":[3,5]}"#, Some(TimeDelta::minutes(30)))?;
    println!("5. Set a value, which restarts the 30 minutes.");

    // A request brings text. Text that is not a key is handled like a missing session.
    let cookie: SessionKey = key.as_str().parse()?;
    let (value, left) = sessions.get(&cookie)?;
    println!("6. The next request's cookie gets {value}, with {} seconds left.", left.num_seconds());

    let short = sessions.generate(Some("short-lived"), Some(TimeDelta::seconds(1)))?;
    let mut served = 0;
    while sessions.get(&short).is_ok() {
        served += 1;
        sleep(Duration::from_millis(100));
    }
    println!(
        "7. A session of one second was served {served} times, then it was gone, by the database's clock."
    );

    let answer = sessions.set(&short, "revived?", None);
    println!("8. `set` does not bring it back: {}.", answer.expect_err("it is dead"));

    sessions.clear(&key)?;
    let answer = sessions.get(&key);
    println!("9. Cleared the first session: {}.", answer.expect_err("it is cleared"));
    Ok(())
}
