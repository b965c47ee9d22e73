//! The session table of OCaml's `session-postgresql`.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use super::BlocksOnPostgres;
use super::settings::say;
use crate::error::MigrationError;

/// Refuses any relation with the name `session` that is not the table of `session-postgresql`.
pub(super) fn check_shape<C: BlocksOnPostgres>(conn: &mut C) -> Result<(), MigrationError> {
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        kind: String,
    }
    const THEIRS: [(&str, &str); 3] = [
        ("session_key", "character(40)"),
        ("expire_date", "timestamp(2) with time zone"),
        ("session_data", "text"),
    ];
    const ADVICE: &str = "rename it, or give the sessions another schema (`Builder::schema`)";

    let refuse = |reason: String| Err(MigrationError::NotOurs { reason, advice: ADVICE });
    let kind = "(SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = 'session'::regclass::oid)";
    match say(conn, kind)?.as_str() {
        "r" => {}
        "p" => return refuse("it is partitioned, which can only be done after the migrations".to_owned()),
        _ => return refuse("it is not a table".to_owned()),
    }
    let columns: Vec<Column> = sql_query(
        "SELECT attname::text AS name, pg_catalog.format_type(atttypid, atttypmod) AS kind \
         FROM pg_catalog.pg_attribute \
         WHERE attrelid = 'session'::regclass::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    .load(conn)?;
    for (name, kind) in THEIRS {
        if !columns.iter().any(|column| column.name == name && column.kind == kind) {
            return refuse(format!("it has no column {name} of type {kind}"));
        }
    }
    let known = |name: &str| name == "created_on" || THEIRS.iter().any(|(theirs, _)| *theirs == name);
    match columns.iter().find(|column| !known(&column.name)) {
        Some(stranger) => refuse(format!("it has a column {}", stranger.name)),
        None => Ok(()),
    }
}
