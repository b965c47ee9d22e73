//! A page that counts its visits: actix-web, actix-session, and the sessions in an SQLite file.
//!
//! `cargo run -p actix_min`

#![allow(clippy::print_stderr, reason = "it prints its address")]

use actix_session::{Session, SessionMiddleware};
use actix_web::{App, HttpServer, Result, cookie::Key, web};
use diesel::SqliteConnection;
use diesel_session::{ActixSessionStore, Blocking, DieselSession, Sweeper};

async fn count(session: Session) -> Result<String> {
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    Ok(format!("Visit number {visits}\n"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = DieselSession::<SqliteConnection>::connect("visits.db")?;
    sessions.migrate()?;
    let _sweeper = Sweeper::builder(sessions.clone()).start()?;
    let store = ActixSessionStore::new(Blocking::from(sessions));
    // The key that signs cookies. Keep one in your configuration, because a new key ends all sessions.
    let key = Key::generate();
    let app = move || {
        // The cookie is not `Secure` only because this example has no TLS.
        let session = SessionMiddleware::builder(store.clone(), key.clone()).cookie_secure(false).build();
        App::new().wrap(session).route("/", web::get().to(count))
    };

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let server = HttpServer::new(app).bind(format!("127.0.0.1:{port}"))?;
    eprintln!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}
