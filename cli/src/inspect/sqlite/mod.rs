//! Asks SQLite.

use std::path::PathBuf;

use diesel::dsl::sql_query;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Examination, Group, Inspect, Numbers, OwnerCount, Sizes, groups, record};

mod checks;
use checks::{FILE, TABLE};

diesel::table! {
    sqlite_master (name) {
        name -> Text,
        #[sql_name = "type"]
        kind -> Text,
    }
}

/// In milliseconds since 1970, as all dates of the table.
macro_rules! now {
    () => {
        "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"
    };
}

const NUMBERS: Numbers = Numbers {
    integer: "INTEGER",
    is_live: concat!("expire_date > ", now!()),
    age: concat!("(", now!(), " - created_on) / 1000"),
    left: concat!("(expire_date - ", now!(), ") / 1000"),
    size: "coalesce(length(CAST(session_data AS BLOB)), 0)",
    hour: "created_on / 3600000 * 3600",
};

impl Inspect for SqliteConnection {
    fn newest_migration(&mut self) -> QueryResult<Option<String>> {
        let tables = sqlite_master::table.filter(sqlite_master::kind.eq("table"));
        let records = tables.filter(sqlite_master::name.eq("__diesel_session_migrations"));
        if records.count().get_result::<i64>(self)? == 0 {
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
            "SELECT owner, count(*) AS sessions FROM session WHERE substr(owner, 1, 1) <> char(1) AND {} \
             GROUP BY owner ORDER BY 2 DESC, 1 LIMIT ?",
            NUMBERS.is_live
        ))
        .bind::<BigInt, _>(limit)
        .load(self)
    }

    /// Reads the whole file, because SQLite keeps no such figures.
    fn sizes(&mut self) -> QueryResult<Sizes> {
        sql_query(
            "SELECT coalesce(sum(CASE WHEN name = 'session' THEN pgsize END), 0) AS heap, \
               coalesce(sum(CASE WHEN name <> 'session' THEN pgsize END), 0) AS indexes \
             FROM dbstat WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name = 'session')",
        )
        .get_result(self)
    }

    fn examine(&mut self, has_table: bool) -> Examination {
        let mut examination = Examination::default();
        for check in FILE.iter().chain(TABLE.iter().filter(|_| has_table)) {
            examination.add(check.findings(sql_query(check.sql).load(self)));
        }
        if let Some(path) = file(self) {
            examination.add(checks::permissions(&path));
            examination.add(checks::wal_size(&path));
        }
        examination
    }
}

/// Returns the path of the database; `None` if it has no file.
fn file(conn: &mut SqliteConnection) -> Option<PathBuf> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        file: String,
    }
    let row: QueryResult<Row> =
        sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'").get_result(conn);
    row.ok().map(|row| PathBuf::from(row.file)).filter(|path| !path.as_os_str().is_empty())
}
