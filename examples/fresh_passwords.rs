//! A pool whose connections use passwords that expire. Each new connection gets a fresh password. IAM authentication on
//! Amazon RDS, a proxy of Google Cloud SQL and Vault need this.
//!
//! `DATABASE_ADDRESS="host=... dbname=... user=..." DATABASE_PASSWORD=... cargo run --example fresh_passwords --features
//! postgres`

#![allow(clippy::print_stdout, reason = "the example prints what it does")]

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Error as ConnectionError, ManageConnection, Pool};
use diesel_session::{DieselSession, Now};

/// Opens each connection with a fresh password.
struct FreshPasswords {
    /// `keyword='value'` pairs, without a password.
    address: String,
    /// Returns a password. In your program, this calls AWS or Vault. It must return in time, because the pool waits for
    /// it.
    password: fn() -> Result<String, ConnectionError>,
    /// Diesel's own manager, for everything except opening connections.
    existing: ConnectionManager<PgConnection>,
}

impl FreshPasswords {
    fn new(address: &str, password: fn() -> Result<String, ConnectionError>) -> Self {
        Self { address: address.to_owned(), password, existing: ConnectionManager::new(address) }
    }
}

impl ManageConnection for FreshPasswords {
    type Connection = PgConnection;
    type Error = ConnectionError;

    fn connect(&self) -> Result<PgConnection, ConnectionError> {
        // In a quoted value, a quote and a backslash need a backslash before them.
        let password = (self.password)()?.replace('\\', "\\\\").replace('\'', "\\'");
        let address = format!("{} password='{password}'", self.address);
        PgConnection::establish(&address).map_err(ConnectionError::ConnectionError)
    }

    fn is_valid(&self, conn: &mut PgConnection) -> Result<(), ConnectionError> {
        self.existing.is_valid(conn)
    }

    fn has_broken(&self, conn: &mut PgConnection) -> bool {
        self.existing.has_broken(conn)
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let manager = FreshPasswords::new(&std::env::var("DATABASE_ADDRESS")?, || {
        println!("a connection asks for a password");
        Ok(std::env::var("DATABASE_PASSWORD").unwrap_or_default())
    });
    let pool = Pool::builder().max_size(2).test_on_check_out(false).build(manager)?;
    let sessions = DieselSession::new(pool);
    sessions.migrate()?;
    let key = sessions.generate(Some("cart=3"), None)?;
    println!("{}", sessions.get(&key)?.0);
    Ok(())
}
