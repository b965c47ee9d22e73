//! Completions and the manual page.

use std::process::Command;

use crate::support::{command, text};

/// The names of all commands.
const COMMANDS: [&str; 11] =
    ["migrate", "check", "revert", "adopt", "stats", "doctor", "list", "end", "sweep", "completions", "man"];

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        for name in COMMANDS {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn bash_accepts_its_completions() {
    let script = printed(&["completions", "bash"]);
    let checked = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
}

#[test]
fn the_manual_page_has_every_command() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH diesel-session 1"), "{page}");
    for name in COMMANDS.iter().chain(&["DATABASE_URL", "PGPASSFILE"]) {
        assert!(page.contains(name), "{name}: {page}");
    }
}

#[test]
fn help_shows_no_password() {
    let help = command(&["--help"]).env("DATABASE_URL", "postgres://u:sesame@localhost/db").output().unwrap();
    let help = text(help.stdout);
    assert!(help.contains("DATABASE_URL") && !help.contains("sesame"), "{help}");
}

fn printed(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(output.stdout)
}
