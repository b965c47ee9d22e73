//! Compares the tables that the migrations make with the schemas that type the queries.

use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::debug_query;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::migrate;
use crate::key::KeyStorage;
use crate::postgres::table as postgres;
use crate::sqlite::table as sqlite;

/// When a session was created, when it expires, and when it was last used.
type Dates<T> = (T, T, Option<T>);

/// A session's value, owner and label.
type Texts = (Option<String>, Option<String>, Option<String>);

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Returns the columns that a schema selects, by name. Reads them from the SQL that Diesel makes.
fn selected(sql: &str) -> Vec<String> {
    let sql = sql.replace(['`', '"'], "");
    let (columns, _) = sql.split_once(" -- ").expect("Diesel's marker of the parameters");
    let mut names: Vec<String> =
        columns.split(", ").map(|column| column.trim_start_matches("session.").to_owned()).collect();
    names.sort_unstable();
    names
}

fn names(columns: Vec<Column>) -> Vec<String> {
    columns.into_iter().map(|column| column.name).collect()
}

#[test]
fn the_postgres_schema_is_the_table() {
    use postgres::session;
    let server = throwaway_postgres::Server::start(&[]).unwrap();
    let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
    migrate(&mut conn, KeyStorage::Hashed).unwrap();
    let real = "SELECT column_name::text AS name FROM information_schema.columns \
         WHERE table_name = 'session' ORDER BY column_name COLLATE \"C\"";
    let real: Vec<Column> = diesel::sql_query(real).load(&mut conn).unwrap();
    assert_eq!(selected(&debug_query::<diesel::pg::Pg, _>(&session::all_columns).to_string()), names(real));

    // Each column has the type of the schema, and is null where the schema allows it.
    let insert =
        "INSERT INTO session (session_key, expire_date) VALUES (repeat('k', 40), '2000-01-01 10:30:00+00')";
    diesel::sql_query(insert).execute(&mut conn).unwrap();
    let (dates, texts, hour): (Dates<DateTime<Utc>>, Texts, NaiveDateTime) = session::table
        .select((
            (session::created_on, session::expire_date, session::used_on),
            (session::session_data, session::owner, session::label),
            session::expire_hour,
        ))
        .first(&mut conn)
        .unwrap();
    assert!(dates.0 > dates.1 && dates.2.is_none());
    assert_eq!(hour.to_string(), "2000-01-01 10:00:00");
    assert_eq!(texts, (None, None, None));
}

#[test]
fn the_sqlite_schema_is_the_table() {
    use sqlite::session;
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    migrate(&mut conn, KeyStorage::Hashed).unwrap();
    let real = "SELECT name FROM pragma_table_xinfo('session') ORDER BY name";
    let real: Vec<Column> = diesel::sql_query(real).load(&mut conn).unwrap();
    assert_eq!(
        selected(&debug_query::<diesel::sqlite::Sqlite, _>(&session::all_columns).to_string()),
        names(real)
    );

    let insert = "INSERT INTO session (session_key, expire_date) VALUES ('k', 946722600000)";
    diesel::sql_query(insert).execute(&mut conn).unwrap();
    let (dates, texts, hour): (Dates<i64>, Texts, Option<i64>) = session::table
        .select((
            (session::created_on, session::expire_date, session::used_on),
            (session::session_data, session::owner, session::label),
            session::expire_hour,
        ))
        .first(&mut conn)
        .unwrap();
    assert!(dates.0 > dates.1 && dates.2.is_none());
    assert_eq!(hour, Some(946_722_600 / 3_600));
    assert_eq!(texts, (None, None, None));
}
