//! Pictures, with the font that they need: a text that nobody has a font for would be no text.

use std::error::Error;
use std::sync::OnceLock;

use plotters::prelude::*;
use plotters::style::FontStyle;

use super::Plot;
use super::data::{Panel, Point};

/// DejaVu Sans, Latin, Greek and Cyrillic letters only; its licence lies beside it.
static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
const FAMILY: &str = "sans-serif";
const SIZE: (u32, u32) = (960, 420);
const TITLE: i32 = 20;
const TEXT: i32 = 14;
const MOST_LABELS: usize = 12;

type Failure = Box<dyn Error + Send + Sync>;

pub fn svg(panels: &[Panel], plot: &Plot) -> Result<String, Failure> {
    let mut text = String::new();
    draw(SVGBackend::with_string(&mut text, size(panels)).into_drawing_area(), panels, plot)?;
    Ok(text)
}

pub fn png(panels: &[Panel], plot: &Plot) -> Result<Vec<u8>, Failure> {
    const BYTES_A_PIXEL: usize = 3;
    let (width, height) = size(panels);
    let mut pixels = vec![0_u8; width as usize * height as usize * BYTES_A_PIXEL];
    let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
    draw(backend.into_drawing_area(), panels, plot)?;
    png_file(&pixels, width, height)
}

fn size(panels: &[Panel]) -> (u32, u32) {
    let (width, height) = SIZE;
    (width, height * u32::try_from(panels.len().max(1)).unwrap_or(1))
}

fn font() -> Result<(), Failure> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let known = REGISTERED
        .get_or_init(|| plotters::style::register_font(FAMILY, FontStyle::Normal, FONT).is_ok());
    if *known { Ok(()) } else { Err("the font cannot be read".into()) }
}

fn draw<B: DrawingBackend>(
    area: DrawingArea<B, plotters::coord::Shift>,
    panels: &[Panel],
    plot: &Plot,
) -> Result<(), Failure> {
    font()?;
    let failed =
        |error: DrawingAreaErrorKind<B::ErrorType>| -> Failure { error.to_string().into() };
    area.fill(&WHITE).map_err(failed)?;
    for (panel, area) in panels.iter().zip(area.split_evenly((panels.len().max(1), 1))) {
        one(&area, panel, plot).map_err(failed)?;
    }
    area.present().map_err(failed)
}

fn one<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    panel: &Panel,
    plot: &Plot,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let values = || panel.points.iter().map(|point| point.value);
    let low = values().fold(0.0, f64::min);
    let high = values().fold(0.0, f64::max);
    let high = if high > low { high * 1.05 } else { low + 1.0 };
    let parts = [plot.title.as_str(), plot.measure.as_str(), panel.name.as_str()];
    let title = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let count = panel.points.len().max(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FAMILY, TITLE))
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(90)
        .build_cartesian_2d(-0.5..count as f64 - 0.5, low..high)?;
    let label = |place: &f64| label_at(&panel.points, *place);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(count.min(MOST_LABELS) * 2 + 1)
        .x_label_formatter(&label)
        .label_style((FAMILY, TEXT))
        .draw()?;
    let colour = RGBColor(31, 119, 180);
    let points = || panel.points.iter().enumerate().map(|(at, point)| (at as f64, point.value));
    if plot.is_over_time {
        chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
    } else {
        let bar =
            |(x, y): (f64, f64)| Rectangle::new([(x - 0.4, 0.0), (x + 0.4, y)], colour.filled());
        chart.draw_series(points().map(bar))?;
    }
    Ok(())
}

/// Marks stand between points as well, and have no label there.
fn label_at(points: &[Point], place: f64) -> String {
    let nearest = place.round();
    if nearest < 0.0 || (place - nearest).abs() > 0.01 {
        return String::new();
    }
    points.get(nearest as usize).map(|point| point.label.clone()).unwrap_or_default()
}

fn png_file(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, Failure> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        pixels,
        width,
        height,
        image::ColorType::Rgb8,
        image::ImageFormat::Png,
    )?;
    Ok(bytes.into_inner())
}
