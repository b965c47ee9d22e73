//! The lock that a migration needs on a table in use.
//!
//! A statement that waits for `ACCESS EXCLUSIVE` holds up every query behind it. So an attempt waits briefly, and between
//! two attempts the server runs the queries that waited. A long transaction of another program then costs each query one
//! short wait, and the migration one attempt. On a partitioned table the wait counts for each partition.

use std::thread::sleep;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;

use super::BlocksOnPostgres;
use super::settings::{says, with_setting};
use crate::error::MigrationError;

/// How long each attempt waits, in milliseconds, and the pause before the next. The last one waits for longer than
/// `deadlock_timeout`, a second by default: only then PostgreSQL ends an autovacuum that holds the lock.
const ATTEMPTS: [u16; 5] = [100, 200, 400, 800, 1_500];

/// Locks the table against everybody until the transaction ends.
pub(super) fn lock_table<C: BlocksOnPostgres>(conn: &mut C) -> Result<(), MigrationError> {
    let started = Instant::now();
    let mut pause = Duration::ZERO;
    for milliseconds in ATTEMPTS {
        sleep(pause);
        if try_to_lock(conn, &milliseconds.to_string())? {
            return Ok(());
        }
        pause = Duration::from_millis(milliseconds.into());
    }
    Err(MigrationError::TableBusy { waited: started.elapsed() })
}

/// Returns `false` if the lock did not come in time. A block of PL/pgSQL catches that error and writes the result into a
/// setting: Diesel does not tell this error from others, and outside of a block it would end the transaction.
fn try_to_lock<C: BlocksOnPostgres>(conn: &mut C, milliseconds: &str) -> QueryResult<bool> {
    const TRY: &str = "DO $$ BEGIN \
         LOCK TABLE session IN ACCESS EXCLUSIVE MODE; \
         PERFORM pg_catalog.set_config('diesel_session.lock'::text, 'held'::text, true); \
       EXCEPTION WHEN lock_not_available THEN \
         PERFORM pg_catalog.set_config('diesel_session.lock'::text, 'missing'::text, true); \
       END $$";

    with_setting(conn, "lock_timeout", milliseconds, |conn| sql_query(TRY).execute(conn))?;
    says(conn, "pg_catalog.current_setting('diesel_session.lock'::text) = 'held'")
}
