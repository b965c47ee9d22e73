//! What the tests do on MariaDB without the crate.

use anyhow::{Result, ensure};
use diesel::connection::SimpleConnection;
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_session::{KeyStorage, migrations};
use throwaway_mariadb::Server;

use crate::store::{Kind, Store};

/// Starts a server that keeps acknowledged writes when it crashes. Returns it with a store on an empty database of it.
pub fn start(settings: &[&str]) -> Result<(Server, Store)> {
    const DURABLE: [&str; 2] = ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1"];
    let server = Server::start(&[&DURABLE[..], settings].concat())?;
    MysqlConnection::establish(&server.url("mysql"))?.batch_execute("CREATE DATABASE app")?;
    let store = Store::new(Kind::Mysql, &server.url("app"));
    Ok((server, store))
}

/// Returns the server's numbers of all connections to this database but one.
fn others(conn: &mut MysqlConnection) -> Result<Vec<i64>> {
    let others = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
                  WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    Ok(dsl::sql::<BigInt>(others).load(conn)?)
}

/// Counts the clients' connections.
pub(crate) fn connections(url: &str) -> Result<usize> {
    Ok(others(&mut MysqlConnection::establish(url)?)?.len())
}

/// Ends every connection to this database.
pub fn end_connections(url: &str) -> Result<()> {
    let mut conn = MysqlConnection::establish(url)?;
    for id in others(&mut conn)? {
        // It may have ended by itself.
        let _gone = conn.batch_execute(&format!("KILL {id}"));
    }
    Ok(())
}

/// Migrates as after a run that was interrupted before its record was written.
pub(crate) fn migrate_again(url: &str) -> Result<()> {
    let mut conn = MysqlConnection::establish(url)?;
    conn.batch_execute("DELETE FROM __diesel_session_migrations")?;
    let ran = migrations::migrate(&mut conn, KeyStorage::Hashed)?;
    ensure!(ran == 1, "{ran} migrations ran instead of one");
    Ok(())
}
