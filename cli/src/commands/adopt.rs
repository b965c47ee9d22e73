//! `adopt`: hashes the clear keys of a table of OCaml's session-postgresql.

use diesel::PgConnection;

use crate::arguments::Question;
use crate::database::Target;
use crate::failure::Failure;
use crate::inspect::sessions_in_clear;
use crate::screen::{ask, count, say};

pub(crate) fn adopt(target: &Target<PgConnection>, dry_run: bool, answer: &Question) -> Result<(), Failure> {
    let mut conn = target.connection()?;
    let clear = sessions_in_clear(&mut conn)?;
    if clear == 0 {
        return say("nothing to do: no key is in clear");
    }
    let clear = count(clear, "session");
    if dry_run {
        return say(&format!("{clear} would get hashed keys"));
    }
    ask(
        &format!(
            "Hash the keys of {clear}? You cannot undo this, and OCaml services will find none of them."
        ),
        answer,
    )?;
    let hashed = target.table.adopt(&mut conn)?;
    say(&format!("{} got hashed keys", count(hashed as u64, "session")))
}
