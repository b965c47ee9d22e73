//! Makes, checks and undoes the session table.

use diesel_session::{Error, MigrationError};

use crate::arguments::Question;
use crate::database::Target;
use crate::failure::Failure;
use crate::inspect::Inspect;
use crate::screen::{ask, count, say};

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
