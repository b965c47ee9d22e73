//! The page 'your devices': one account on three devices, listed, and all others logged out.
//!
//! `cargo run --example devices --features sqlite-bundled`

#![allow(clippy::print_stdout, reason = "it is there to be read")]

use std::error::Error as StdError;

use diesel::SqliteConnection;
use diesel_session::{DieselSession, Error, Now, OwnerLimit, SessionHandle, SessionKey, Sessions, TimeDelta};

type Store = DieselSession<SqliteConnection>;

fn main() -> Result<(), Box<dyn StdError>> {
    let sessions = Store::builder()
        .default_period(TimeDelta::minutes(30))
        .max_lifetime(TimeDelta::hours(12))
        .owner_limit(OwnerLimit::EndOldest(5))
        .connect(":memory:")?;
    sessions.migrate()?;

    println!("1. Alice logs in on three devices. Each had a visitor's session; what that held goes into a");
    println!("   session of hers, and the visitor's key is dead.");
    let phone = log_in(&sessions, "phone")?;
    let tablet = log_in(&sessions, "tablet")?;
    let laptop = log_in(&sessions, "laptop")?;

    println!("\n2. Her page 'your devices', seen on the laptop:");
    list(&sessions, &laptop)?;
    println!("   A handle is no key: it may stand in a page and its links.");

    println!("\n3. She logs the tablet out, by the handle that the page's button sends back.");
    let from_the_page = sessions.handle(&tablet).to_string();
    let handle: SessionHandle = from_the_page.parse()?;
    assert!(sessions.clear_listed("alice", &handle)?);
    println!("   The tablet's next request: {}.", answer(&sessions, &tablet));

    println!("\n4. She changes her password on the laptop: everything else is logged out.");
    let ended = sessions.clear_owner("alice", Some(&laptop))?;
    println!("   Ended: {ended}.");
    println!("   The phone's next request: {}.", answer(&sessions, &phone));
    println!("   The laptop's: {}.", answer(&sessions, &laptop));
    list(&sessions, &laptop)?;
    Ok(())
}

/// A visitor who proves to be Alice.
fn log_in(sessions: &Store, device: &str) -> Result<SessionKey, Error> {
    let visitor = sessions.generate(Some(format!("cart of the {device}")), None)?;
    let (cart, _left) = sessions.get(&visitor)?;
    let key = sessions.generate_for("alice", Some(cart), None)?;
    sessions.clear(&visitor)?;
    Ok(key)
}

fn list(sessions: &Store, current: &SessionKey) -> Result<(), Error> {
    for session in sessions.sessions_of("alice", 100)? {
        let mark = if session.handle == sessions.handle(current) { "  <- this device" } else { "" };
        println!(
            "   {}  since {}, until {} UTC{mark}",
            session.handle,
            session.created.format("%H:%M:%S"),
            session.expires.format("%H:%M:%S")
        );
    }
    Ok(())
}

fn answer(sessions: &Store, key: &SessionKey) -> String {
    match sessions.get(key) {
        Ok((value, _left)) => format!("welcome back, {value}"),
        Err(error) => format!("{error}: log in, please"),
    }
}
