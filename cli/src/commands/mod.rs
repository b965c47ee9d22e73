//! The commands, one file for each subject.

#[cfg(feature = "postgres")]
mod adopt;
mod doctor;
mod end;
mod import;
mod list;
mod shell;
mod stats;
mod sweep;
mod table;

#[cfg(feature = "postgres")]
pub(crate) use adopt::adopt;
#[cfg(feature = "postgres")]
pub(crate) use doctor::doctor_before_connecting;
pub(crate) use doctor::{doctor, no_patient};
pub(crate) use end::end;
pub(crate) use import::import;
pub(crate) use list::list;
pub(crate) use shell::{completions, manual};
pub(crate) use stats::stats;
pub(crate) use sweep::sweep;
pub(crate) use table::{check, migrate, revert};
