//! Two plots as SVG: operations per second by contender and clients, and latency by the size of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use bench_measure::{Operation, median};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::compare::Round;
use crate::contenders::Name;
use crate::plan::Database;

const CONTENDERS: [(Name, RGBColor); 6] = [
    (Name::Unbounded, RGBColor(0, 114, 178)),
    (Name::Bounded, RGBColor(86, 180, 233)),
    (Name::Async, RGBColor(0, 158, 115)),
    (Name::AsyncPipelined, RGBColor(204, 121, 167)),
    (Name::Sqlx, RGBColor(213, 94, 0)),
    (Name::PgBench, RGBColor(110, 110, 110)),
];

const SIZE: (u32, u32) = (960, 400);

/// Writes `throughput.svg` and `latency.svg` into the directory.
pub(crate) fn write(directory: &Path, rounds: &[Round], base_rows: usize) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    plot(&directory.join("throughput.svg"), rounds, "operations per second, by clients", |round| {
        (round.rows == base_rows).then_some((round.clients, round.sample.operations_per_second))
    })?;
    plot(
        &directory.join("latency.svg"),
        rounds,
        "median latency of 8 clients in µs, by sessions in the table",
        |round| (round.clients == 8).then_some((round.rows, round.sample.latency_p50)),
    )
}

/// Draws `get` on one half and `set` on the other. `point` returns a round's place on the axis and its height.
fn plot(
    path: &Path,
    rounds: &[Round],
    title: &str,
    point: impl Fn(&Round) -> Option<(usize, f64)>,
) -> Result<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    for (half, operation) in area.split_evenly((1, 2)).iter().zip([Operation::Get, Operation::Set]) {
        let lines = lines(rounds, |round| (round.operation == operation).then(|| point(round))?)?;
        draw(half, &format!("{}: {title}", operation.name()), &lines)?;
    }
    Ok(area.present()?)
}

/// A contender's medians by place on the plot's axis.
struct Line {
    contender: Name,
    color: RGBColor,
    points: BTreeMap<usize, f64>,
}

fn lines(rounds: &[Round], point: impl Fn(&Round) -> Option<(usize, f64)>) -> Result<Vec<Line>> {
    CONTENDERS
        .into_iter()
        .map(|(contender, color)| {
            let mut values = BTreeMap::<usize, Vec<f64>>::new();
            let at_base = |round: &&Round| {
                round.contender == contender && round.database == Database::Postgres && round.is_at_base()
            };
            for (place, value) in rounds.iter().filter(at_base).filter_map(&point) {
                values.entry(place).or_default().push(value);
            }
            let points = values.into_iter().map(|(place, values)| Ok((place, median(values)?)));
            Ok(Line { contender, color, points: points.collect::<Result<_>>()? })
        })
        .collect()
}

/// Draws the lines. The places on the axis are in order and at equal distances.
fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, lines: &[Line]) -> Result<()> {
    let places: Vec<usize> = lines
        .iter()
        .flat_map(|line| line.points.keys().copied())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let highest = lines.iter().flat_map(|line| line.points.values().copied()).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.3..places.len() as f64 - 0.7, 0.0..highest * 1.4)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(places.len() * 2 + 1)
        .x_label_formatter(&|x| {
            let place = places.iter().enumerate().find(|(index, _)| (*index as f64 - x).abs() < 1e-6);
            place.map_or_else(String::new, |(_, place)| place.to_string())
        })
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for Line { contender, color, points } in lines {
        let color = *color;
        let points: Vec<(f64, f64)> = places
            .iter()
            .enumerate()
            .filter_map(|(index, place)| Some((index as f64, *points.get(place)?)))
            .collect();
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(contender.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
