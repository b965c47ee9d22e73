//! A server that pauses in the middle of a login.

use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::LATE;

/// A lock on the table of users, held until this is dropped. A login that has read its session waits here for the user.
pub(crate) struct LockedUsers(PgConnection);

impl LockedUsers {
    pub(crate) fn lock(url: &str) -> Self {
        let mut conn = PgConnection::establish(url).unwrap();
        conn.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").unwrap();
        Self(conn)
    }

    /// Returns when `logins` logins wait for the lock.
    pub(crate) async fn wait_for(&mut self, logins: i64) {
        let waiting = "(SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted)";
        let began = Instant::now();
        while diesel::select(sql::<BigInt>(waiting)).get_result::<i64>(&mut self.0).unwrap() < logins {
            assert!(began.elapsed() < LATE, "fewer than {logins} logins arrive");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A process that is paused until this is dropped.
pub(crate) struct Stopped(u32);

impl Stopped {
    pub(super) fn process(number: u32) -> Self {
        signal("-STOP", number);
        Self(number)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(signal: &str, process: u32) {
    assert!(Command::new("kill").arg(signal).arg(process.to_string()).status().unwrap().success());
}
