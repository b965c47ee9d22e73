//! Brings the session table up to date, as a step of a deployment. With `--check`, it changes nothing and only checks.
//!
//! `DATABASE_URL=postgres://... cargo run --example migrate --features postgres -- --check`
//!
//! `DATABASE_URL=mysql://... cargo run --example migrate --features mysql`
//!
//! `DATABASE_URL=app.sqlite cargo run --example migrate --features sqlite-bundled`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "no database")
)]

use std::error::Error as StdError;

use diesel_session::{KeyStorage, SessionConnection, migrations};

fn main() -> Result<(), Box<dyn StdError>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set: name a database")?;
    let check_only = std::env::args().any(|argument| argument == "--check");
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        on_postgres(&url, check_only)
    } else if url.starts_with("mysql:") {
        on_mariadb(&url, check_only)
    } else {
        on_sqlite(&url, check_only)
    }
}

#[cfg(feature = "mysql")]
fn on_mariadb(url: &str, check_only: bool) -> Result<(), Box<dyn StdError>> {
    migrate::<diesel::MysqlConnection>(url, check_only)
}

#[cfg(not(feature = "mysql"))]
fn on_mariadb(_url: &str, _check_only: bool) -> Result<(), Box<dyn StdError>> {
    Err("add --features mysql".into())
}

#[cfg(feature = "postgres")]
fn on_postgres(url: &str, check_only: bool) -> Result<(), Box<dyn StdError>> {
    migrate::<diesel::PgConnection>(url, check_only)
}

#[cfg(not(feature = "postgres"))]
fn on_postgres(_url: &str, _check_only: bool) -> Result<(), Box<dyn StdError>> {
    Err("add --features postgres".into())
}

#[cfg(feature = "sqlite")]
fn on_sqlite(path: &str, check_only: bool) -> Result<(), Box<dyn StdError>> {
    migrate::<diesel::SqliteConnection>(path, check_only)
}

#[cfg(not(feature = "sqlite"))]
fn on_sqlite(_path: &str, _check_only: bool) -> Result<(), Box<dyn StdError>> {
    Err("add --features sqlite-bundled".into())
}

fn migrate<C: SessionConnection>(url: &str, check_only: bool) -> Result<(), Box<dyn StdError>> {
    let mut conn = C::establish(url)?;
    if check_only {
        migrations::check(&mut conn, KeyStorage::default())?;
        println!("up to date");
    } else {
        println!("{} migration(s) run", migrations::migrate(&mut conn, KeyStorage::default())?);
    }
    Ok(())
}
