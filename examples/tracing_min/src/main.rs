//! Shows what an application's log says about its sessions: each operation with its database, outcome and duration, and
//! the errors of a sweeper. It never shows a key, a value or an owner.
//!
//! `cargo run -p tracing_min`

use std::error::Error as StdError;
use std::sync::mpsc::channel;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;
use diesel_session::{DieselSession, Error, Expiry, Now, Sessions, Sweeper, TimeDelta};
use tracing_subscriber::filter::LevelFilter;

fn main() -> Result<(), Box<dyn StdError>> {
    tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_ansi(false).init();

    let sessions = DieselSession::<SqliteConnection>::connect(":memory:")?;
    sessions.migrate()?;

    let visitor = sessions.generate(Some("cart=3"), None)?;
    let key = sessions.rotate(&visitor)?;
    sessions.bind(&key, "alice")?;
    sessions.update(&key, Expiry::Default, |value| Ok::<_, Error>(value.unwrap_or_default() + ",5"))?;
    assert!(matches!(sessions.get(&visitor), Err(Error::NotFound)));
    assert!(matches!(sessions.set(&key, "\0", None), Err(Error::ValueHasNul { .. })));

    // Drop the table, so that the sweeper fails.
    sessions.pool().get()?.batch_execute("DROP TABLE session")?;
    let (failed, failure) = channel();
    let sweeper = Sweeper::builder(sessions)
        .jitter(TimeDelta::zero())
        .on_error(move |_| {
            // Only the first failure has a receiver.
            let _ = failed.send(());
        })
        .start()?;
    failure.recv()?;
    drop(sweeper);
    Ok(())
}
