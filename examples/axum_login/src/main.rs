//! Users who sign in and out: axum, axum-login, and the sessions in an SQLite file.
//!
//! `cargo run -p axum_login_example`, then open the address that it prints. `users.rs` has the names and passwords.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its address and its errors")]

mod users;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header::USER_AGENT};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use axum_login::tower_sessions::SessionManagerLayer;
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser as _, login_required, permission_required};
use diesel::SqliteConnection;
use diesel_session::{AsyncSessions as _, Blocking, DieselSession, Sweeper, TimeDelta, TowerSessionStore};
use tokio::net::TcpListener;

use users::{Credentials, Users};

type Auth = AuthSession<Users>;
type Sessions = Blocking<DieselSession<SqliteConnection>>;

/// The field of a session that names the device. The store saves it as the session's label.
const DEVICE: &str = "device";

/// The state that all requests share.
#[derive(Clone)]
struct App {
    /// The sessions, for operations that axum-login does not have.
    sessions: Sessions,
    /// The same sessions as axum-login sees them.
    store: TowerSessionStore<Sessions>,
}

async fn who_am_i(auth: Auth) -> Result<Html<String>, Failure> {
    let visits = auth.session.get("visits").await?.unwrap_or(0) + 1;
    auth.session.insert("visits", visits).await?;
    Ok(Html(match auth.user {
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
    mut auth: Auth,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Failure> {
    let Some(user) = auth.authenticate(credentials).await? else {
        return Ok((StatusCode::UNAUTHORIZED, "The name or the password is wrong.\n").into_response());
    };
    // `login` renews the session of a visitor, but not the session of a user.
    if auth.user.is_some() {
        auth.logout().await?;
    }
    auth.login(&user).await?;
    let browser = headers.get(USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or("unknown");
    // A label has 255 bytes at most.
    auth.session.insert(DEVICE, browser.chars().take(100).collect::<String>()).await?;
    Ok(Redirect::to("/").into_response())
}

async fn sign_out(mut auth: Auth) -> Result<Redirect, Failure> {
    auth.logout().await?;
    Ok(Redirect::to("/"))
}

async fn sign_out_everywhere(State(app): State<App>, mut auth: Auth) -> Result<Redirect, Failure> {
    if let Some(user) = &auth.user {
        app.sessions.clear_owner(&user.id().to_string(), None).await?;
    }
    // This session has ended with the others. The logout also removes its cookie.
    auth.logout().await?;
    Ok(Redirect::to("/"))
}

async fn devices(State(app): State<App>, auth: Auth) -> Result<Response, Failure> {
    let Some(user) = auth.user else { return Ok(StatusCode::UNAUTHORIZED.into_response()) };
    let this = auth.session.id().map(|id| app.store.handle(&id));
    let sessions = app.sessions.sessions_of(&user.id().to_string(), 100).await?;
    let lines = sessions.into_iter().map(|session| {
        let since = session.created.format("%F %R UTC");
        let mark = if Some(session.handle) == this { " (this device)" } else { "" };
        format!("{}, since {since}{mark}\n", session.label.unwrap_or_default())
    });
    Ok(lines.collect::<Vec<_>>().concat().into_response())
}

/// An internal error. Its cause goes to the log, and the visitor does not see it.
struct Failure;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        eprintln!("{error}");
        Self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = DieselSession::<SqliteConnection>::builder().max_lifetime(TimeDelta::hours(12));
    let sessions = builder.connect("axum_login.db")?;
    sessions.migrate()?;
    let _sweeper = Sweeper::builder(sessions.clone()).start()?;
    let sessions = Blocking::from(sessions);
    let store = TowerSessionStore::new(sessions.clone())
        .owner_from("/axum-login.data/user_id")
        .label_from(DEVICE)
        .on_error(|error| eprintln!("{error}"));
    // `HttpOnly` and `SameSite` are on by default. `Secure` is off only because this example has no TLS.
    let layer = SessionManagerLayer::new(store.clone()).with_secure(false);
    let app = Router::new()
        .route("/reports", get("Nothing to report.\n"))
        // The last layer sees a request first. It answers 401 without a user, and 403 without the permission.
        .route_layer(permission_required!(Users, "read reports"))
        .route_layer(login_required!(Users))
        .route("/", get(who_am_i))
        .route("/login", post(sign_in))
        .route("/logout", post(sign_out))
        .route("/logout-everywhere", post(sign_out_everywhere))
        .route("/devices", get(devices))
        .layer(AuthManagerLayerBuilder::new(Users, layer).build())
        .with_state(App { sessions, store });

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}
