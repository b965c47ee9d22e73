//! Server-side web sessions for applications that already use Diesel.
//!
//! The key sits in the visitor's cookie, the session in the application's own database. [`DieselSession`] is
//! the store; [`Now`] is what every store does: `generate`, `get`, `set`, `clear`.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use diesel::sqlite::SqliteConnection;
//! use diesel_session::{DieselSession, Now, SessionKey, TimeDelta};
//!
//! let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
//! sessions.migrate()?;
//!
//! let key = sessions.generate(Some("cart=3".to_owned()), Some(TimeDelta::minutes(30)))?;
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
//! - Over your own pool: [`DieselSession::new`]; without a pool: [`Rules::on`]. Settings: [`DieselSession::builder`].
//! - The table, and who may make it: [`migrations`].
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
//! | `json` | typed values: `Json` |
//! | `testing` | a transaction for each test, and the conformance suite |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without a database, only its absence is explained"
    )
)]

mod backend;
mod connect;
mod error;
#[cfg(feature = "json")]
mod json;
mod key;
mod memory;
pub mod migrations;
mod now;
mod operations;
mod rules;
mod schema;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use backend::SessionConnection;
#[doc(no_inline)]
pub use chrono::TimeDelta;
#[cfg(feature = "postgres")]
pub use connect::postgres::ConnectOptions;
pub use error::{Error, MigrationError};
#[cfg(feature = "json")]
pub use json::{Json, JsonError};
pub use key::{KeyStorage, SessionKey};
pub use memory::MemorySession;
pub use now::Now;
pub use rules::Rules;
pub use store::{Builder, DieselSession, OnConnection};

#[cfg(all(doctest, feature = "sqlite", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
