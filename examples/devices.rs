//! The page "Your devices": one account on three devices is listed, one device signs another out, and then all others.
//!
//! `cargo run --example devices --features sqlite-bundled`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]

use std::error::Error as StdError;
use std::thread::sleep;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_session::{
    DieselSession, Error, Expiry, NewSession, Now, OwnerLimit, SessionHandle, SessionKey, Sessions,
};

type Store = DieselSession<SqliteConnection>;

fn main() -> Result<(), Box<dyn StdError>> {
    let sessions =
        Store::builder().recommended_timeouts().owner_limit(OwnerLimit::EndOldest(5)).connect(":memory:")?;
    sessions.migrate()?;

    println!("1. Alice signs in on three devices. Each time, the value of the visitor's session moves to");
    println!("   a new session of hers, and the visitor's key is dead.");
    let phone = log_in(&sessions, "phone", "Firefox on Android")?;
    let tablet = log_in(&sessions, "tablet", "Safari on iPad")?;
    let laptop = log_in(&sessions, "laptop", "Firefox on Linux")?;
    sleep(Duration::from_secs(1));
    sessions.put(&phone, "cart of the phone: a book", Expiry::Default)?;
    println!("   A second later the phone puts a book into its cart.");

    println!("\n2. Her page \"Your devices\", opened on the laptop:");
    list(&sessions, &laptop)?;

    println!("\n3. She signs the tablet out. The page's button sends back the handle of that session:");
    let from_the_page = sessions.handle(&tablet).to_string();
    println!("   {from_the_page}. A handle is not a key, so a page and its links may show it.");
    let handle: SessionHandle = from_the_page.parse()?;
    assert!(sessions.clear_listed("alice", &handle)?);
    println!("   The tablet's next request: {}.", answer(&sessions, &tablet));

    println!("\n4. She changes her password on the laptop, which signs out all other devices.");
    let ended = sessions.clear_owner("alice", Some(&laptop))?;
    println!("   Ended: {ended}.");
    println!("   The phone's next request: {}.", answer(&sessions, &phone));
    println!("   The laptop's: {}.", answer(&sessions, &laptop));
    list(&sessions, &laptop)?;
    Ok(())
}

/// Signs Alice in on a device. A web application makes the label from the request's `User-Agent`.
fn log_in(sessions: &Store, device: &str, label: &str) -> Result<SessionKey, Error> {
    let visitor = sessions.generate(Some(&format!("cart of the {device}")), None)?;
    let (cart, _left) = sessions.get(&visitor)?;
    let key = sessions.generate_with(&NewSession::new().owner("alice").label(label).value(&cart))?;
    sessions.clear(&visitor)?;
    Ok(key)
}

fn list(sessions: &Store, current: &SessionKey) -> Result<(), Error> {
    for session in sessions.sessions_of("alice", 100)? {
        let label = session.label.as_deref().unwrap_or("an unknown device");
        let mark = if session.handle == sessions.handle(current) { "  <- this device" } else { "" };
        println!(
            "   {label:<18}  since {}, last used {}, until {} UTC{mark}",
            session.created.format("%H:%M:%S"),
            session.used.format("%H:%M:%S"),
            session.expires.format("%H:%M:%S")
        );
    }
    Ok(())
}

fn answer(sessions: &Store, key: &SessionKey) -> String {
    match sessions.get(key) {
        Ok((value, _left)) => format!("welcome back, {value}"),
        Err(error) => format!("{error}: please sign in"),
    }
}
