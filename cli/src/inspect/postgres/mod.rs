//! Asks PostgreSQL.

use diesel::dsl::{sql, sql_query};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text};

use super::clock::Clock;
use super::{Examination, Group, Inspect, Numbers, OwnerCount, Sizes, groups, record};

mod checks;
use checks::{CITUS, SERVER, SINCE_15, TABLE};

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
    integer: "bigint",
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

    fn examine(&mut self, has_table: bool) -> Examination {
        let mut has = |what| diesel::select(sql::<Bool>(what)).get_result(self);
        // If even this fails, the checks say so.
        let is_15 = has("pg_catalog.current_setting('server_version_num')::int >= 150000").unwrap_or(true);
        let is_citus =
            has("EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')").unwrap_or(false);
        let lists = [(SERVER, true), (SINCE_15, is_15), (CITUS, is_citus), (TABLE, has_table)];
        let mut examination = Examination::default();
        for check in lists.iter().filter(|(_, is_for_this)| *is_for_this).flat_map(|(checks, _)| *checks) {
            examination.add(check.findings(sql_query(check.sql).load(self)));
        }
        let clock = Clock::start();
        examination.add(clock.compare(diesel::select(clock_timestamp()).get_result(self)));
        examination
    }
}

/// Whether a pooler lends processes of the server to these connections. Each connection to the server itself has its
/// own process until its end. The same holds for a pooler in session mode. A busy pooler can hide that by chance, so
/// this asks several times.
pub(crate) fn is_lent(one: &mut PgConnection, other: &mut PgConnection) -> bool {
    const ROUNDS: usize = 4;
    let mut asked = || {
        let (ours, theirs) = (process(one)?, process(other)?);
        let mut is_lent = ours == theirs;
        for _ in 0..ROUNDS {
            // Twice, because a pooler can lend two processes in turn.
            is_lent |= [process(one)?, process(one)?, process(other)?] != [ours, ours, theirs];
        }
        QueryResult::Ok(is_lent)
    };
    // If a connection is lost in between, the other checks say so.
    asked().unwrap_or(false)
}

/// Returns the server's process that serves this connection. In a transaction, a pooler prepares and runs a statement on
/// the same process. The statement has no name, so none stays there.
fn process(conn: &mut PgConnection) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        process: i32,
    }
    let row: Row =
        conn.transaction(|conn| sql_query("SELECT pg_catalog.pg_backend_pid() AS process").get_result(conn))?;
    Ok(row.process)
}

/// Counts the sessions whose keys are in clear.
pub(crate) fn sessions_in_clear(conn: &mut PgConnection) -> QueryResult<u64> {
    let in_clear = session::table
        .filter(session::session_key.not_like("$%"))
        .filter(session::session_key.not_like("!%"));
    in_clear.count().get_result::<i64>(conn).map(i64::unsigned_abs)
}
