//! Asks PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::{sql, sql_query};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::finding::Check;
use super::{Finding, Group, Inspect, Level, Numbers, OwnerCount, Sizes, groups, record};

mod checks;
use checks::{SERVER, SINCE_15, TABLE};

#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "pg_catalog.to_regclass"]
    fn to_regclass(name: Text) -> Nullable<Oid>;
    #[sql_name = "pg_catalog.clock_timestamp"]
    fn clock_timestamp() -> Timestamptz;
}

diesel::table! {
    session (session_key) {
        /// A `char(40)`.
        session_key -> Text,
    }
}

const NUMBERS: Numbers = Numbers {
    is_live: "expire_date > pg_catalog.statement_timestamp()",
    age: "pg_catalog.date_part('epoch', pg_catalog.statement_timestamp() - created_on)",
    left: "pg_catalog.date_part('epoch', expire_date - pg_catalog.statement_timestamp())",
    size: "coalesce(pg_catalog.octet_length(session_data), 0)",
    hour: "CAST(pg_catalog.date_part('epoch', created_on) AS bigint) / 3600 * 3600",
};

impl Inspect for PgConnection {
    fn newest_migration(&mut self) -> QueryResult<Option<String>> {
        let has_record = to_regclass("__diesel_session_migrations").is_not_null();
        if !diesel::select(has_record).get_result::<bool>(self)? {
            return Ok(None);
        }
        record::table.select(record::version).order(record::version.desc()).first(self).optional()
    }

    fn groups(&mut self, ages: &[i64], left: &[i64], sizes: &[i64]) -> QueryResult<Vec<Group>> {
        sql_query(groups(&NUMBERS, ages, left, sizes)).load(self)
    }

    fn owners(&mut self, limit: i64) -> QueryResult<Vec<OwnerCount>> {
        // The owner of a session that is being renewed begins with U+0001.
        sql_query(format!(
            "SELECT owner, pg_catalog.count(*) AS sessions FROM session \
             WHERE pg_catalog.left(owner, 1) <> pg_catalog.chr(1) AND {} \
             GROUP BY owner ORDER BY 2 DESC, 1 LIMIT $1",
            NUMBERS.is_live
        ))
        .bind::<BigInt, _>(limit)
        .load(self)
    }

    fn sizes(&mut self) -> QueryResult<Sizes> {
        // All partitions together, if there are any.
        sql_query(
            "SELECT CAST(coalesce(pg_catalog.sum(pg_catalog.pg_table_size(part)), 0) AS bigint) AS heap, \
               CAST(coalesce(pg_catalog.sum(pg_catalog.pg_indexes_size(part)), 0) AS bigint) AS indexes \
             FROM (SELECT CAST(relid AS oid) AS part FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass('session')) \
                   UNION SELECT CAST(pg_catalog.to_regclass('session') AS oid)) AS parts",
        )
        .get_result(self)
    }

    fn checks() -> usize {
        // With that of the clock.
        SERVER.len() + SINCE_15.len() + TABLE.len() + 1
    }

    fn findings(&mut self, has_table: bool) -> Vec<Finding> {
        let is_15 = "pg_catalog.current_setting('server_version_num')::int >= 150000";
        // If even this fails, the checks say so.
        let is_15 = diesel::select(sql::<Bool>(is_15)).get_result(self).unwrap_or(true);
        let mut checks: Vec<&Check> = SERVER.iter().collect();
        checks.extend(SINCE_15.iter().filter(|_| is_15));
        checks.extend(TABLE.iter().filter(|_| has_table));
        let findings = checks.into_iter().flat_map(|check| check.findings(sql_query(check.sql).load(self)));
        let mut findings: Vec<Finding> = findings.collect();
        findings.extend(clock(self));
        findings
    }
}

const CLOCK: &str = "clock";

/// Compares the server's clock with that of this machine. A login that takes a second is no reason to worry.
fn clock(conn: &mut PgConnection) -> Option<Finding> {
    const TOLERANCE: TimeDelta = TimeDelta::seconds(2);
    let finding =
        |reason, mend: &str| Finding { name: CLOCK, level: Level::Warning, reason, mend: mend.to_owned() };
    let before = Utc::now();
    match diesel::select(clock_timestamp()).get_result::<DateTime<Utc>>(conn) {
        Err(error) => Some(finding(format!("this could not be checked: {error}"), "try again")),
        Ok(theirs) if theirs < before - TOLERANCE || theirs > Utc::now() + TOLERANCE => Some(finding(
            format!(
                "the server's clock differs from that of this machine by {} seconds",
                (theirs - before).num_seconds()
            ),
            "run NTP on both machines",
        )),
        Ok(_) => None,
    }
}

/// Counts the sessions whose keys are in clear.
pub(crate) fn sessions_in_clear(conn: &mut PgConnection) -> QueryResult<u64> {
    let in_clear = session::table
        .filter(session::session_key.not_like("$%"))
        .filter(session::session_key.not_like("!%"));
    in_clear.count().get_result::<i64>(conn).map(i64::unsigned_abs)
}
