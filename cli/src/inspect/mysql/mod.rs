//! Asks MariaDB.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, select, sql_query};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::clock::Clock;
use super::{Examination, Group, Inspect, Numbers, OwnerCount, Sizes, groups, record};

mod checks;
use checks::{SERVER, TABLE};

#[diesel::declare_sql_function]
extern "SQL" {
    fn database() -> Nullable<Text>;
}

diesel::table! {
    information_schema.tables (table_schema, table_name) {
        table_schema -> Text,
        table_name -> Text,
    }
}

/// In milliseconds since 1970, as all dates of the table.
macro_rules! now {
    () => {
        "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000"
    };
}

const NUMBERS: Numbers = Numbers {
    integer: "SIGNED",
    is_live: concat!("expire_date > ", now!()),
    age: concat!("(", now!(), " - created_on) DIV 1000"),
    left: concat!("(expire_date - ", now!(), ") DIV 1000"),
    size: "COALESCE(LENGTH(session_data), 0)",
    hour: "created_on DIV 3600000 * 3600",
};

impl Inspect for MysqlConnection {
    fn newest_migration(&mut self) -> QueryResult<Option<String>> {
        let records = tables::table
            .filter(tables::table_schema.nullable().eq(database()))
            .filter(tables::table_name.eq("__diesel_session_migrations"));
        if !select(exists(records)).get_result::<bool>(self)? {
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
            "SELECT owner, COUNT(*) AS sessions FROM session WHERE LEFT(owner, 1) <> CHAR(1) AND {} \
             GROUP BY owner ORDER BY 2 DESC, 1 LIMIT ?",
            NUMBERS.is_live
        ))
        .bind::<BigInt, _>(limit)
        .load(self)
    }

    /// The server estimates them.
    fn sizes(&mut self) -> QueryResult<Sizes> {
        sql_query(
            "SELECT CAST(COALESCE(SUM(data_length), 0) AS SIGNED) AS heap, \
               CAST(COALESCE(SUM(index_length), 0) AS SIGNED) AS indexes \
             FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'session'",
        )
        .get_result(self)
    }

    fn examine(&mut self, has_table: bool) -> Examination {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            milliseconds: i64,
        }
        let mut examination = Examination::default();
        for check in SERVER.iter().chain(TABLE.iter().filter(|_| has_table)) {
            examination.add(check.findings(sql_query(check.sql).load(self)));
        }
        let clock = Clock::start();
        let now = sql_query(concat!("SELECT ", now!(), " AS milliseconds")).get_result(self);
        examination.add(clock.compare(now.map(|Row { milliseconds }| date(milliseconds))));
        examination
    }
}

/// Converts milliseconds since 1970.
fn date(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}
