//! Tables for the terminal.

use comfy_table::{CellAlignment, Table, presets};

use anyhow::Result;
use bench_measure::{Sample, extremes, median};

use super::environment::Environment;
use crate::compare::Round;
use crate::figures::{Figure, Target};
use crate::plan::Group;
use crate::wire::Traffic;

pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Returns the results of each contender over the rounds.
pub(crate) fn samples(group: &Group, rounds: &[Round]) -> Result<Table> {
    let mut table = table(&[
        "contender",
        "rows",
        "operation",
        "clients",
        "per second",
        "lowest",
        "highest",
        "p50 µs",
        "p99 µs",
        "client CPU µs",
    ]);
    for (operation, clients) in &group.cells {
        for rows in &group.rows {
            for contender in &group.contenders {
                let samples: Vec<&Sample> = rounds
                    .iter()
                    .filter(|round| {
                        (round.operation, round.clients, round.rows) == (*operation, *clients, *rows)
                            && round.contender == *contender
                    })
                    .map(|round| &round.sample)
                    .collect();
                let each = |of: fn(&Sample) -> f64| samples.iter().copied().map(of).collect::<Vec<f64>>();
                let speeds = each(|sample| sample.operations_per_second);
                let (lowest, highest) = extremes(&speeds);
                table.add_row([
                    contender.to_string(),
                    rows.to_string(),
                    operation.name().to_owned(),
                    clients.to_string(),
                    format!("{:.0}", median(speeds)?),
                    format!("{lowest:.0}"),
                    format!("{highest:.0}"),
                    format!("{:.0}", median(each(|sample| sample.latency_p50))?),
                    format!("{:.0}", median(each(|sample| sample.latency_p99))?),
                    format!("{:.1}", median(each(|sample| sample.client_cpu))?),
                ]);
            }
        }
    }
    Ok(table)
}

/// Returns the traffic between client and server.
pub(crate) fn traffic(traffic: &[Traffic]) -> Table {
    let mut table = table(&["contender", "operation", "round trips", "statements", "parsed"]);
    for seen in traffic {
        table.add_row([
            seen.contender.to_string(),
            seen.operation.name().to_owned(),
            seen.round_trips.to_string(),
            seen.statements.to_string(),
            seen.parsed.to_string(),
        ]);
    }
    table
}

/// Returns the figures with their targets.
pub(crate) fn figures(figures: &[Figure]) -> Table {
    let mut table = table(&["figure", "median", "lowest", "highest", "target", "met"]);
    for figure in figures {
        let (target, met) = match figure.target {
            None => (String::new(), ""),
            Some(target) => {
                let words = match target {
                    Target::AtLeast(least) => format!("at least {least}"),
                    Target::AtMost(most) => format!("at most {most}"),
                    Target::Exactly(exactly) => format!("exactly {exactly}"),
                };
                (words, if target.is_met_by(figure.value) { "yes" } else { "NO" })
            }
        };
        let (lowest, highest) = extremes(&figure.rounds);
        table.add_row([
            figure.name.clone(),
            format!("{:.4}", figure.value),
            format!("{lowest:.4}"),
            format!("{highest:.4}"),
            target,
            met.to_owned(),
        ]);
    }
    table
}

/// Returns the contenders, the machine and the settings, as text.
pub(crate) fn environment(environment: &Environment) -> String {
    let contenders = environment.contenders.iter().map(|(name, what)| format!("{name}: {what}"));
    let facts = environment.machine.iter().chain(&environment.versions);
    let facts = facts.map(|(name, value)| format!("{name}: {value}"));
    let settings = environment.settings.iter().map(|(name, value)| format!("{name}: {value}"));
    contenders.chain(facts).chain(settings).collect::<Vec<_>>().join("\n")
}
