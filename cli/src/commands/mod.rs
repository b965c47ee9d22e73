//! The commands, one file for each subject.

mod end;
mod list;
mod shell;
mod stats;
mod sweep;
mod table;

pub(crate) use end::end;
pub(crate) use list::list;
pub(crate) use shell::{completions, manual};
pub(crate) use stats::stats;
pub(crate) use sweep::sweep;
pub(crate) use table::{adopt, check, migrate, revert};
