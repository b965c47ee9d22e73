//! Reads SQL expressions, and changes settings of a transaction.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

use super::BlocksOnPostgres;

/// Returns whether a condition in SQL is true.
pub(super) fn says<C: BlocksOnPostgres>(conn: &mut C, question: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        yes: bool,
    }
    sql_query(format!("SELECT {question} AS yes")).get_result(conn).map(|answer: Answer| answer.yes)
}

/// Returns the value of an SQL expression of type text.
pub(super) fn say<C: BlocksOnPostgres>(conn: &mut C, expression: &str) -> QueryResult<String> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        text: String,
    }
    sql_query(format!("SELECT {expression} AS text")).get_result(conn).map(|answer: Answer| answer.text)
}

/// Runs `work` with another value of a setting, and then restores the setting. After an error the caller rolls back,
/// which also restores it.
pub(super) fn with_setting<C: BlocksOnPostgres, T, E: From<diesel::result::Error>>(
    conn: &mut C,
    setting: &str,
    value: &str,
    work: impl FnOnce(&mut C) -> Result<T, E>,
) -> Result<T, E> {
    let before = say(conn, &format!("pg_catalog.current_setting('{setting}'::text)"))?;
    set_local(conn, setting, value)?;
    let done = work(conn)?;
    set_local(conn, setting, &before)?;
    Ok(done)
}

/// Changes a setting for the rest of the transaction.
pub(super) fn set_local<C: BlocksOnPostgres>(conn: &mut C, setting: &str, value: &str) -> QueryResult<()> {
    sql_query("SELECT pg_catalog.set_config($1, $2, true)")
        .bind::<Text, _>(setting)
        .bind::<Text, _>(value)
        .execute(conn)
        .map(drop)
}
