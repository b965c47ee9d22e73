//! Makes, checks and undoes the session table.

#[cfg(feature = "postgres")]
use diesel::PgConnection;
use diesel_session::{Error, MigrationError};

use crate::arguments::Question;
use crate::database::Target;
use crate::failure::Failure;
use crate::inspect::Inspect;
#[cfg(feature = "postgres")]
use crate::inspect::sessions_in_clear;
#[cfg(feature = "postgres")]
use crate::screen::count;
use crate::screen::{ask, say};

pub(crate) fn migrate<C: Inspect>(target: &Target<C>, dry_run: bool) -> Result<(), Failure> {
    if dry_run {
        return match target.store.check() {
            Ok(()) => say("nothing to do: the session table is up to date"),
            Err(Error::Migration(MigrationError::Missing { versions, .. })) => {
                say(&format!("missing migrations: {}", versions.join(", ")))
            }
            Err(error) => Err(error.into()),
        };
    }
    match target.store.migrate()? {
        0 => say("nothing to do: the session table is up to date"),
        number => say(&format!("{} run", count(number as u64, "migration"))),
    }
}

pub(crate) fn check<C: Inspect>(target: &Target<C>) -> Result<(), Failure> {
    target.store.check()?;
    say("the session table is up to date")
}

pub(crate) fn revert<C: Inspect>(
    target: &Target<C>,
    dry_run: bool,
    answer: &Question,
) -> Result<(), Failure> {
    let mut conn = target.connection()?;
    let Some(newest) = conn.newest_migration()? else {
        return Err(Failure::refused("no migration was run: there is nothing to undo"));
    };
    if dry_run {
        return say(&format!("the newest migration is {newest}"));
    }
    ask(
        &format!("Undo the migration {newest}? The first one drops the table with all its sessions."),
        answer,
    )?;
    let version = target.table.revert(&mut *conn)?;
    say(&format!("the migration {version} is undone"))
}

#[cfg(feature = "postgres")]
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
