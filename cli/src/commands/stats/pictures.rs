//! The pictures of the report, as SVG.

use std::error::Error;

use plotters::prelude::*;

use crate::failure::Failure;

const SIZE: (u32, u32) = (900, 260);
const BLUE: RGBColor = RGBColor(0, 114, 178);

/// Draws a bar for each name.
pub(super) fn bars(title: &str, bars: &[(String, u64)]) -> Result<String, Failure> {
    if bars.is_empty() {
        return Ok(String::new());
    }
    let mut svg = String::new();
    draw(&mut svg, title, bars)
        .map_err(|error| Failure::refused(format!("no picture of {title}: {error}")))?;
    Ok(svg)
}

fn draw(svg: &mut String, title: &str, bars: &[(String, u64)]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let highest = bars.iter().map(|(_, sessions)| *sessions).max().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d((0..bars.len()).into_segmented(), 0..highest + highest.div_ceil(10))?;
    let name = |place: &SegmentValue<usize>| match place {
        SegmentValue::CenterOf(place) => bars.get(*place).map_or_else(String::new, |(name, _)| name.clone()),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(bars.len().min(12))
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&name)
        .draw()?;
    // In pixels, between two bars.
    let margin = if bars.len() > 50 { 0 } else { 2 };
    let bars = bars.iter().enumerate().map(|(place, (_, sessions))| (place, *sessions));
    chart.draw_series(Histogram::vertical(&chart).margin(margin).style(BLUE.filled()).data(bars))?;
    area.present()?;
    Ok(())
}
