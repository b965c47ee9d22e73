//! Takes the lock that a migration needs on a table in use.
//!
//! A statement that waits for `ACCESS EXCLUSIVE` blocks every query that comes after it. So each attempt waits only
//! briefly, and the server runs the waiting queries between two attempts. A long transaction of another program then
//! costs each query one short wait, and costs the migration one attempt. On a partitioned table the wait applies to
//! each partition.

use std::thread::sleep;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_query;

use super::BlocksOnPostgres;
use super::settings::{says, with_setting};
use crate::error::MigrationError;

/// How long each attempt waits, and then the pause before the next one, in milliseconds. The last attempt waits for
/// longer than `deadlock_timeout` (default: one second). Only then does PostgreSQL cancel an autovacuum that holds the
/// lock.
const ATTEMPTS: [u16; 5] = [100, 200, 400, 800, 1_500];

/// Locks the table in `ACCESS EXCLUSIVE` mode until the transaction ends.
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

/// Tries to lock the table once. Returns `false` if the lock is not free in time. A PL/pgSQL block catches that error
/// and writes the result into a setting. Diesel does not distinguish this error from others, and outside a block it
/// would abort the transaction.
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
