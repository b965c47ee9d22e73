//! Users who sign in and out: actix-web, actix-identity, and the sessions in an SQLite file.
//!
//! `cargo run -p actix_identity_example`, then open the address that it prints. `users.rs` has the names and passwords.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its address and its errors")]

mod users;

use actix_identity::{Identity, IdentityMiddleware};
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::error::{ErrorForbidden, ErrorInternalServerError, ErrorUnauthorized};
use actix_web::http::header::USER_AGENT;
use actix_web::web::{self, Data, Form, Html, Redirect};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpServer, Result};
use diesel::SqliteConnection;
use diesel_session::{ActixSessionStore, AsyncSessions as _, Blocking, DieselSession, Sweeper, TimeDelta};

use users::{Credentials, User};

type Sessions = Blocking<DieselSession<SqliteConnection>>;
type Store = ActixSessionStore<Sessions>;

/// The entry of a session that names the device. The store saves it as the session's label.
const DEVICE: &str = "device";

async fn who_am_i(identity: Option<Identity>, session: Session) -> Result<Html> {
    let visits = session.get("visits")?.unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    let user = identity.and_then(|identity| user_of(&identity).ok());
    Ok(Html::new(match user {
        Some(user) => format!(
            "<p>You are {}. Visit number {visits}.\
             <p><a href=/reports>The reports</a> <a href=/devices>Your devices</a>\
             <form method=post action=/logout><button>Sign out</button></form>\
             <form method=post action=/logout-everywhere><button>Sign out everywhere</button></form>\n",
            user.name
        ),
        None => format!(
            "<p>You are a visitor. Visit number {visits}.\
             <form method=post action=/login><input name=name placeholder=Name>\
             <input name=password type=password placeholder=Password><button>Sign in</button></form>\
             <p>This is a demo: its source holds the passwords. Store password hashes, for example with argon2.\n"
        ),
    }))
}

async fn sign_in(
    request: HttpRequest,
    before: Option<Identity>,
    session: Session,
    credentials: Form<Credentials>,
) -> Result<Redirect> {
    let Some(user) = User::authenticate(&credentials) else {
        return Err(ErrorUnauthorized("The name or the password is wrong.\n"));
    };
    // The session of a visitor keeps its entries. The next user must not see what the last one had.
    if before.is_some() {
        session.clear();
    }
    Identity::login(&request.extensions(), user.id.to_owned())?;
    let browser = request.headers().get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or("unknown");
    // A label has 255 bytes at most.
    session.insert(DEVICE, browser.chars().take(100).collect::<String>())?;
    Ok(Redirect::to("/").see_other())
}

async fn sign_out(identity: Option<Identity>) -> Redirect {
    if let Some(identity) = identity {
        identity.logout();
    }
    Redirect::to("/").see_other()
}

async fn sign_out_everywhere(sessions: Data<Sessions>, identity: Identity) -> Result<Redirect> {
    sessions.clear_owner(user_of(&identity)?.id, None).await.map_err(internal)?;
    // This session has ended with the others. The logout also removes its cookie.
    identity.logout();
    Ok(Redirect::to("/").see_other())
}

async fn devices(
    sessions: Data<Sessions>,
    store: Data<Store>,
    identity: Identity,
    session: Session,
) -> Result<String> {
    let this = store.handle(&session);
    let sessions = sessions.sessions_of(user_of(&identity)?.id, 100).await.map_err(internal)?;
    let lines = sessions.into_iter().map(|session| {
        let since = session.created.format("%F %R UTC");
        let mark = if Some(session.handle) == this { " (this device)" } else { "" };
        format!("{}, since {since}{mark}\n", session.label.unwrap_or_default())
    });
    Ok(lines.collect::<Vec<_>>().concat())
}

async fn reports(identity: Identity) -> Result<&'static str> {
    if user_of(&identity)?.may("read reports") {
        Ok("Nothing to report.\n")
    } else {
        Err(ErrorForbidden("You may not read reports.\n"))
    }
}

/// Returns the user of a session.
fn user_of(identity: &Identity) -> Result<&'static User> {
    User::with_id(&identity.id()?).ok_or_else(|| ErrorUnauthorized("This user no longer exists.\n"))
}

/// Returns an internal error. Its cause goes to the log, and the visitor does not see it.
fn internal(error: diesel_session::Error) -> actix_web::Error {
    eprintln!("{error}");
    ErrorInternalServerError("")
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = DieselSession::<SqliteConnection>::builder().max_lifetime(TimeDelta::hours(12));
    let sessions = builder.connect("actix_identity.db")?;
    sessions.migrate()?;
    let _sweeper = Sweeper::builder(sessions.clone()).start()?;
    let sessions = Blocking::from(sessions);
    let store =
        ActixSessionStore::new(sessions.clone()).owner_from("actix_identity.user_id").label_from(DEVICE);
    // The key that signs cookies. Keep one in your configuration, because a new key ends all sessions.
    let key = Key::generate();
    let app = move || {
        // `HttpOnly` and `SameSite` are on by default. `Secure` is off only because this example has no TLS.
        let layer = SessionMiddleware::builder(store.clone(), key.clone()).cookie_secure(false).build();
        App::new()
            .app_data(Data::new(sessions.clone()))
            .app_data(Data::new(store.clone()))
            // The last middleware sees a request first. It must be the session's, because the session has the identity.
            .wrap(IdentityMiddleware::default())
            .wrap(layer)
            .route("/", web::get().to(who_am_i))
            .route("/login", web::post().to(sign_in))
            .route("/logout", web::post().to(sign_out))
            .route("/logout-everywhere", web::post().to(sign_out_everywhere))
            .route("/devices", web::get().to(devices))
            .route("/reports", web::get().to(reports))
    };

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let server = HttpServer::new(app).bind(format!("127.0.0.1:{port}"))?;
    println!("listening on http://{}", server.addrs()[0]);
    Ok(server.run().await?)
}
