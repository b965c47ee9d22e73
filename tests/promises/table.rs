//! The table itself refuses these rows, whichever program writes them (faults 10 and 11 of the original).

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_query;

use diesel_session::{KeyStorage, migrations};

use crate::adoption::ORIGINAL;
use crate::support::{Database, File, Sql};

/// Locale data that changes with the operating system must not change what an index finds.
#[test]
fn keys_and_owners_compare_by_bytes_whatever_the_databases_locale() {
    let collations = "SELECT string_agg(DISTINCT collname::text, ', ') FROM pg_index \
         JOIN pg_attribute ON attrelid = indexrelid JOIN pg_collation AS c ON c.oid = attcollation \
         WHERE indrelid = 'session'::regclass";
    let database = Database::new();
    database.store();
    assert_eq!(database.conn().text(collations), "C");
    let adopted = Database::new();
    let mut conn = adopted.conn();
    conn.run(ORIGINAL);
    migrations::adopt(&mut conn).unwrap();
    assert_eq!(conn.text(collations), "C");
    let partitioned = Database::partitioned();
    assert_eq!(partitioned.conn().text(collations), "C");
    // The same holds for a table that is shared with OCaml services.
    let shared = Database::new();
    let mut conn = shared.conn();
    conn.run(ORIGINAL);
    migrations::migrate(&mut conn, KeyStorage::Plain).unwrap();
    assert_eq!(conn.text(collations), "C");
    // SQLite compares bytes by default, and no column asks for anything else.
    let file = File::new();
    file.store();
    let other = "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%COLLATE%'";
    assert_eq!(file.conn().number(other), 0);
}

#[test]
fn the_table_refuses_a_second_row_with_the_same_key() {
    let insert = |date: &str| {
        format!(
            "INSERT INTO session (session_key, expire_date) VALUES ('0123456789012345678901234567890123456789', {date})"
        )
    };
    let twice = |result: QueryResult<usize>| {
        assert!(
            matches!(result, Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))),
            "{result:?}"
        );
    };

    let database = Database::new();
    let mut store_conn = database.store().pool().get().unwrap();
    sql_query(insert("now()")).execute(&mut store_conn).unwrap();
    twice(sql_query(insert("now()")).execute(&mut store_conn));

    let file = File::new();
    let mut store_conn = file.store().pool().get().unwrap();
    sql_query(insert("0")).execute(&mut store_conn).unwrap();
    twice(sql_query(insert("0")).execute(&mut store_conn));
}

#[test]
fn the_table_refuses_a_session_without_a_finite_expiry() {
    let insert = |key: &str, date: &str| {
        format!("INSERT INTO session (session_key, expire_date) VALUES ({key}, {date})")
    };
    let refused = |result: QueryResult<usize>| {
        use DatabaseErrorKind::{CheckViolation, NotNullViolation};
        assert!(
            matches!(result, Err(Error::DatabaseError(NotNullViolation | CheckViolation, _))),
            "{result:?}"
        );
    };

    let database = Database::new();
    let mut conn = database.store().pool().get().unwrap();
    for date in ["NULL", "'infinity'", "'-infinity'"] {
        refused(sql_query(insert("repeat('k', 40)", date)).execute(&mut conn));
    }
    refused(sql_query(insert("NULL", "now()")).execute(&mut conn));

    let file = File::new();
    let mut conn = file.store().pool().get().unwrap();
    for date in ["NULL", "9e999", "-9e999", "'never'"] {
        refused(sql_query(insert("'k'", date)).execute(&mut conn));
    }
    refused(sql_query(insert("NULL", "0")).execute(&mut conn));
}
