//! A page that counts its visits: axum, tower-sessions, and the sessions in an SQLite file.
//!
//! `cargo run -p axum_min`

#![allow(clippy::print_stderr, reason = "it prints its address")]

use axum::{Router, http::StatusCode, routing::get};
use diesel::SqliteConnection;
use diesel_session::{Blocking, DieselSession, Sweeper, TowerSessionStore};
use tower_sessions::{Session, SessionManagerLayer};

async fn count(session: Session) -> Result<String, tower_sessions::session::Error> {
    let visits = session.get("visits").await?.unwrap_or(0) + 1;
    session.insert("visits", visits).await?;
    Ok(format!("Visit number {visits}\n"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = DieselSession::<SqliteConnection>::connect("visits.db")?;
    sessions.migrate()?;
    let _sweeper = Sweeper::builder(sessions.clone()).start()?;
    // The cookie is not `Secure` only because this example has no TLS.
    let store = TowerSessionStore::new(Blocking::from(sessions));
    let layer = SessionManagerLayer::new(store).with_secure(false);
    let visit = async |session| count(session).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR);
    let app = Router::new().route("/", get(visit)).layer(layer);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
