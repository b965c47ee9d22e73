//! Prints, and asks.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Table, presets};
use dialoguer::Confirm;
use indicatif::{ProgressBar, ProgressStyle};

use crate::arguments::Question;
use crate::failure::Failure;

/// Prints one line.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(anstream::stdout(), "{line}")?)
}

/// Prints one line that is not part of the result.
pub(crate) fn remark(line: &str) -> Result<(), Failure> {
    Ok(writeln!(anstream::stderr(), "{line}")?)
}

/// Prints JSON. It escapes more characters than JSON asks for: all that can control a terminal.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    let escaped =
        |c: char| if is_harmful(c) && c != '\n' { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
    say(&format!("{value:#}").chars().map(escaped).collect::<String>())
}

/// Prints rows in columns, with spaces only, so that other programs can read them.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header).add_rows(rows);
    for line in table.lines() {
        say(line.trim())?;
    }
    Ok(())
}

/// Returns a progress bar for items that were `done`. Without a terminal it shows nothing, and nothing is counted.
/// Without a total it has no end.
pub(crate) fn bar(done: &str, total: impl FnOnce() -> Option<u64>) -> Result<ProgressBar, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, template) = match total() {
        Some(total) => (
            ProgressBar::new(total),
            format!("{{wide_bar}} {{pos}} of {{len}} {done}, {{per_sec}}, {{eta}} left"),
        ),
        None => (ProgressBar::new_spinner(), format!("{{spinner}} {{pos}} {done}, {{per_sec}}")),
    };
    let style =
        ProgressStyle::with_template(&template).map_err(|error| Failure::refused(error.to_string()))?;
    Ok(bar.with_style(style))
}

/// Asks whether to go on. Returns an error for any answer but yes.
pub(crate) fn ask(question: &str, answer: &Question) -> Result<(), Failure> {
    if answer.yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::refused(format!(
            "{question} Nothing was changed: say --yes, or run it in a terminal"
        )));
    }
    // A terminal that goes away is no answer.
    let goes_on = Confirm::new().with_prompt(question).default(false).interact().unwrap_or(false);
    if goes_on { Ok(()) } else { Err(Failure::refused("nothing was changed")) }
}

/// Makes a text from the database harmless for a terminal.
pub(crate) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) { harmless.extend(c.escape_default()) } else { harmless.push(c) }
    }
    harmless
}

/// Whether this is a control character, or one that ends a line or changes the direction of writing.
fn is_harmful(c: char) -> bool {
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns(c)
}

/// Returns `1 live session` or `2 live sessions`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_text_cannot_control_the_terminal() {
        assert_eq!(harmless("\u{1b}[2J\u{202e}Zoë 日本"), "\\u{1b}[2J\\u{202e}Zoë 日本");
    }
}
