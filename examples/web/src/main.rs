//! A small web application with its sessions in its own database: axum, Diesel, diesel-session.
//!
//! Run it with `cargo run -p diesel-session-web`. The README in this directory explains it.

#![allow(clippy::print_stdout, reason = "it prints its address")]

mod app;
mod database;
mod device;
mod failure;
mod forms;
mod headers;
mod models;
mod pages;
mod passwords;
mod settings;
mod views;
mod visitor;

use std::sync::Arc;

use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;
use diesel_session::Sweeper;
use tokio::net::TcpListener;

use app::App;
use database::Database;
use settings::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let settings = Settings::from_environment()?;
    match &settings.database_url {
        Some(url) => serve::<PgConnection>(url, &settings).await,
        None => serve::<SqliteConnection>("diesel-session-web.db", &settings).await,
    }
}

async fn serve<C: Database>(url: &str, settings: &Settings) -> anyhow::Result<()> {
    let app = Arc::new(App::<C>::open(url, settings).await?);
    // Deletes expired sessions in the background until this is dropped.
    let _sweeper = Sweeper::builder_async(app.sessions.clone())
        .on_error(|error| tracing::warn!(%error, "expired sessions were not deleted"))
        .start()?;
    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app::router(app, settings)).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

/// Waits for Ctrl-C. If that signal is not available, waits forever.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
