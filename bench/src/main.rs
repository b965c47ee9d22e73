//! `diesel-session` beside its rivals and the limit, in one run on one machine.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for the terminal")]

mod compare;
mod contenders;
mod measure;
mod plan;
mod server;
mod statements;

fn main() -> anyhow::Result<()> {
    let scale = plan::Scale { rounds: 3, divisor: 1 };
    let server = server::Postgres::start()?;
    for group in plan::quick(scale) {
        let rounds = compare::run(&group, scale, &server, &indicatif::ProgressBar::hidden())?;
        for r in rounds {
            println!("{:?} {} {} {} {} {:.0} {:.1} {:.1} {:.1}", r.database, r.rows, r.operation.name(), r.clients, r.contender, r.sample.operations_per_second, r.sample.latency_p50, r.sample.latency_p99, r.sample.client_cpu);
        }
    }
    Ok(())
}
