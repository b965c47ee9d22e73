//! Server-side web sessions in your own PostgreSQL, SQLite or MariaDB database, for applications that already use Diesel.
//!
//! The visitor's cookie holds a random key. The session is a row in your database, and it commits or rolls back with your
//! own rows. [`DieselSession`] is the store. Every store implements two traits: [`Now`] (`generate`, `get`, `set`,
//! `clear`) and [`Sessions`] (owners, devices, expiry, concurrent writes).
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
//! | to | use |
//! |---|---|
//! | learn it | [`guides`]: axum, actix-web, Rocket, sign-in, tests, deploying |
//! | serve axum or actix-web | `TowerSessionStore`, `ActixSessionStore` |
//! | serve asynchronous programs | `AsyncDieselSession` on PostgreSQL, `Blocking` on SQLite; [`AsyncNow`], [`AsyncSessions`] |
//! | work inside your transaction | [`DieselSession::on`], or [`Options::on`] without a pool |
//! | use your own pool | [`DieselSession::new`] |
//! | change a setting | [`DieselSession::builder`] |
//! | make and check the table | [`migrations`] |
//! | delete expired sessions | [`Sweeper`] |
//! | do without a database | [`MemorySession`] |
//!
//! # Features
//!
//! No database is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `postgres` | sessions on PostgreSQL, through the system's libpq |
//! | `sqlite` | sessions on SQLite, through the system's libsqlite3 |
//! | `mysql` | sessions on MariaDB 10.6 or later, through the system's libmariadb |
//! | `postgres-bundled` | `postgres` with a bundled libpq without TLS: to try it out, not for production |
//! | `sqlite-bundled` | `sqlite` with a bundled SQLite |
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
//! With the feature `tracing` each operation of [`Now`] and [`Sessions`] runs in a span `session` at level DEBUG. It ends with
//! an event: at level WARN if something failed that should not fail, otherwise at DEBUG. The span and the event have no key,
//! no value, no owner and no address in them.
//!
//! | field | content |
//! |---|---|
//! | `operation` | the method's name: `get`, `find`, `rotate`, ...; `generate`, `set` and `clear_owner` also stand for `generate_for`, `generate_with`, `put` and `clear_others`; web frameworks have `create`, `save`, `delete` and `import` |
//! | `database` | `postgres`, `sqlite`, `mysql` or `memory` |
//! | `outcome` | `ok`, `not_found`, `not_set`, `changed`, `refused` (an argument that the store cannot hold, the owner limit, or a call inside of an update), `abandoned` or `panicked` (by the function of an update), `failed` |
//! | `elapsed_us` | the duration with all attempts, in microseconds |
//! | `error` | if the outcome is `failed`: the error, without its source |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite", feature = "diesel-async")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without a database, nothing uses what the databases share"
    )
)]

mod async_now;
#[cfg(any(feature = "postgres", feature = "diesel-async"))]
mod conninfo;
mod database;
mod error;
#[cfg(doc)]
pub mod guides;
#[cfg(feature = "json")]
pub mod json;
mod key;
mod memory;
pub mod migrations;
#[cfg(feature = "mysql")]
mod mysql;
mod now;
mod operations;
mod options;
mod page;
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
pub use page::{SessionCursor, SessionPage};
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
pub use web::tower_sessions::{ImportOutcome, TowerId, TowerRecord, TowerSession, TowerSessionStore};
#[cfg(feature = "web")]
pub use web::{OnMissing, TextSource, WebStore};
