//! Server-side web sessions for applications that already use Diesel.
//!
//! The key sits in the visitor's cookie, the session in the application's own database. [`DieselSession`] is
//! the store; [`Now`] is what every store does: `generate`, `get`, `set`, `clear`; [`Sessions`] what a login, a busy
//! page, two requests at once and a page 'your devices' need besides.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use diesel::sqlite::SqliteConnection;
//! use diesel_session::{DieselSession, Now, SessionKey, TimeDelta};
//!
//! let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
//! sessions.migrate()?;
//!
//! let key = sessions.generate(Some("cart=3"), Some(TimeDelta::minutes(30)))?;
//! let cookie = key.as_str();
//!
//! let key: SessionKey = cookie.parse()?;
//! let (value, left) = sessions.get(&key)?;
//! assert_eq!(value, "cart=3");
//! assert!(left <= TimeDelta::minutes(30));
//! # }
//! # Ok::<(), diesel_session::Error>(())
//! ```
//!
//! - On a connection that you hold, inside your transaction: [`DieselSession::on`].
//! - Over your own pool: [`DieselSession::new`]; without a pool: [`Options::on`]. Settings: [`DieselSession::builder`].
//! - The table, and who may make it: [`migrations`].
//! - Expired rows, in the background: [`Sweeper`].
//! - In asynchronous programs: [`AsyncNow`] and [`AsyncSessions`], on PostgreSQL by
//!   `AsyncDieselSession` (feature `diesel-async`), elsewhere by `Blocking` (feature `tokio`).
//! - Without a database: [`MemorySession`].
//!
//! # Features
//!
//! No database is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `postgres` | sessions on PostgreSQL, through the system's libpq |
//! | `sqlite` | sessions on SQLite, through the system's libsqlite3 |
//! | `postgres-bundled` | `postgres` with a libpq compiled in, without TLS: for trying out, not for production |
//! | `sqlite-bundled` | `sqlite` with an SQLite compiled in |
//! | `json` | typed values: the functions of `json` |
//! | `tokio` | any store in asynchronous programs: `Blocking` |
//! | `diesel-async` | sessions on PostgreSQL without blocking and without libpq: `AsyncDieselSession` |
//! | `deadpool`, `bb8`, `mobc` | the same over your own pool of this kind |
//! | `rustls` | TLS for `AsyncDieselSession`, without OpenSSL |
//! | `actix-session` | the store for actix-session: `ActixSessionStore` |
//! | `tower-sessions` | the store for tower-sessions 0.15, axum's session layer: `TowerSessionStore` |
//! | `tower-sessions-0-14` | the same store for tower-sessions 0.14, which axum-login 0.18 needs |
//! | `web` | nothing by itself: the stores for web frameworks switch it on |
//! | `tracing` | a span and an event for each operation: see below |
//! | `testing` | a transaction for each test, and the conformance suite |
//!
//! # Tracing
//!
//! With the feature `tracing` each operation of [`Now`] and [`Sessions`] runs in a span `session` at
//! level DEBUG and ends with an event: DEBUG, or WARN where something failed that should not. No key, no value, no
//! owner and no address is in them.
//!
//! | field | what it holds |
//! |---|---|
//! | `operation` | the method's name: `get`, `find`, `rotate`, ...; `generate` and `set` also stand for `generate_for`, `generate_with` and `put`, and web frameworks have `create`, `save` and `delete` |
//! | `database` | `postgres`, `sqlite` or `memory` |
//! | `outcome` | `ok`, `not_found`, `not_set`, `changed`, `refused` (an argument that the store cannot hold, the owner's limit, or a call within an update), `abandoned` or `panicked` (an update, by its function), `failed` |
//! | `elapsed_us` | how long it took with all its attempts, in microseconds |
//! | `error` | of an event with the outcome `failed`: the error, without its source |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite", feature = "diesel-async")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without a database, nobody uses what databases share"
    )
)]

mod async_now;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod conninfo;
mod database;
mod error;
#[cfg(feature = "json")]
pub mod json;
mod key;
mod memory;
pub mod migrations;
mod now;
mod operations;
mod options;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod postgres;
mod retry;
mod session;
mod sessions;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stores;
mod sweeper;
mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
#[cfg(feature = "web")]
mod web;

pub use async_now::AsyncNow;
#[doc(no_inline)]
pub use chrono::{DateTime, TimeDelta, Utc};
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
pub use conninfo::ConnectOptions;
pub use database::SessionConnection;
pub use error::{Error, MigrationError};
pub use key::{KeyStorage, SessionKey};
pub use now::Now;
pub use operations::AsyncSessions;
#[cfg(feature = "web")]
pub use operations::Conflicts;
pub use options::{Builder, Options, OwnerLimit};
pub use session::{Expiry, NewSession, OwnedSession, Session, SessionCount, SessionHandle};
pub use sessions::Sessions;
#[cfg(feature = "sqlite")]
pub use sqlite::Synchronous;
#[cfg(feature = "tokio")]
pub use stores::Blocking;
#[cfg(feature = "diesel-async")]
pub use stores::{AsyncBuilder, AsyncDieselSession, AsyncOnConnection, AsyncPool};
pub use stores::{DieselSession, MemorySession, OnConnection};
pub use sweeper::{Sweeper, SweeperBuilder};
pub use table::SessionTable;
#[cfg(feature = "actix-session")]
pub use web::actix_session::ActixSessionStore;
#[cfg(any(feature = "tower-sessions", feature = "tower-sessions-0-14"))]
pub use web::tower_sessions::{TowerId, TowerSession, TowerSessionStore};
#[cfg(feature = "web")]
pub use web::{OnMissing, TextSource, WebStore};
