//! Completions and the manual page.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::failure::Failure;

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "diesel-session", &mut script);
    Ok(io::Write::write_all(&mut io::stdout(), &script)?)
}

/// Prints one page for the command and all its subcommands.
pub(crate) fn manual() -> Result<(), Failure> {
    let mut page = Vec::new();
    Man::new(Arguments::command()).render(&mut page)?;
    let mut command = Arguments::command();
    command.build();
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let man = Man::new(subcommand.clone());
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(io::Write::write_all(&mut io::stdout(), &page)?)
}
