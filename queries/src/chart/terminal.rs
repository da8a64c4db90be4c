//! Bars of eighths of a block, and lines of braille dots.

use super::data::{Panel, Point};

/// Columns where nobody tells how wide the terminal is.
pub const WIDTH: usize = 80;
const LEAST_BAR: usize = 10;
const MOST_LABEL: usize = 32;
/// Lines of text that a line chart takes.
const HEIGHT: usize = 10;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

pub fn bars(panel: &Panel, width: usize) -> String {
    let labels: Vec<String> = panel.points.iter().map(|point| cut(&point.label)).collect();
    let label_width = labels.iter().map(|label| length(label)).max().unwrap_or_default();
    let digits = panel.points.iter().map(|point| length(&point.digits)).max().unwrap_or_default();
    let room = width.saturating_sub(label_width + digits + 4).max(LEAST_BAR);
    let most = panel.points.iter().map(|point| point.value.abs()).fold(0.0, f64::max);
    let mut text = head(panel);
    for (point, label) in panel.points.iter().zip(&labels) {
        let pad = " ".repeat(label_width - length(label));
        let bar = bar(point, most, room);
        let line = format!("{label}{pad}  {:>digits$}  {bar}", point.digits);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value other than zero has at least the thinnest bar.
fn bar(point: &Point, most: f64, room: usize) -> String {
    if point.value == 0.0 || most == 0.0 {
        return String::new();
    }
    let eighths = ((point.value.abs() / most) * (room * 8) as f64).round().max(1.0) as usize;
    let part = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    let sign = if point.value < 0.0 { "−" } else { "" };
    format!("{sign}{}{part}", "█".repeat(eighths / 8))
}

pub fn line(panel: &Panel, width: usize) -> String {
    let values: Vec<f64> = panel.points.iter().map(|point| point.value).collect();
    let (low, high) = range(&values);
    let by_value = |wanted: f64| panel.points.iter().find(|point| point.value == wanted);
    let top = by_value(high).map_or_else(|| high.to_string(), |point| point.digits.clone());
    let bottom = by_value(low).map_or_else(|| low.to_string(), |point| point.digits.clone());
    let margin = length(&top).max(length(&bottom));
    let columns = width.saturating_sub(margin + 3).max(LEAST_BAR);
    let mut text = head(panel);
    for (row, dots) in braille(&values, low, high, columns).iter().enumerate() {
        let label = match row {
            0 => top.as_str(),
            _ if row + 1 == HEIGHT => bottom.as_str(),
            _ => "",
        };
        let pad = " ".repeat(margin - length(label));
        let side = if label.is_empty() { "│" } else { "┤" };
        text.push_str(format!("{pad}{label} {side}{dots}").trim_end());
        text.push('\n');
    }
    let first = panel.points.first().map_or("", |point| point.label.as_str());
    let last = panel.points.last().map_or("", |point| point.label.as_str());
    let gap = columns.saturating_sub(length(first) + length(last)).max(1);
    text.push_str(&format!("{} └{first}{}{last}\n", " ".repeat(margin), " ".repeat(gap)));
    text
}

/// From the least to the most; zero is the bottom of what is not below it.
fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(0.0, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max).max(low);
    (low, if high > low { high } else { low + 1.0 })
}

/// The line as rows of characters, each of which has two columns and four rows of dots.
fn braille(values: &[f64], low: f64, high: f64, columns: usize) -> Vec<String> {
    const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    let (wide, tall) = (columns * 2, HEIGHT * 4);
    let mut cells = vec![vec![0_u32; columns]; HEIGHT];
    let steps = values.len().saturating_sub(1).max(1) as f64;
    let mut before: Option<usize> = None;
    for x in 0..wide {
        let place = x as f64 / (wide - 1) as f64 * steps;
        let Some(value) = between(values, place) else { continue };
        let up = (value - low) / (high - low) * (tall - 1) as f64;
        let y = (tall - 1).saturating_sub(up.round() as usize);
        let from =
            before.map_or(
                y,
                |before| if before < y { (before + 1).min(y) } else { before.max(y + 1) - 1 },
            );
        for y in from.min(y)..=from.max(y) {
            let dot =
                DOTS.get(x % 2).and_then(|column| column.get(y % 4)).copied().unwrap_or_default();
            if let Some(cell) = cells.get_mut(y / 4).and_then(|row| row.get_mut(x / 2)) {
                *cell |= dot;
            }
        }
        before = Some(y);
    }
    let row = |row: &Vec<u32>| {
        row.iter()
            .map(|dots| match dots {
                0 => ' ',
                dots => char::from_u32(0x2800 + dots).unwrap_or(' '),
            })
            .collect()
    };
    cells.iter().map(row).collect()
}

/// The value at a place between two points, on the line that joins them.
fn between(values: &[f64], place: f64) -> Option<f64> {
    let at = place.floor() as usize;
    let here = values.get(at).copied()?;
    let next = values.get(at + 1).copied().unwrap_or(here);
    Some(here + (next - here) * (place - at as f64))
}

fn head(panel: &Panel) -> String {
    if panel.name.is_empty() { String::new() } else { format!("{}\n", panel.name) }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(label: &str) -> String {
    if length(label) <= MOST_LABEL {
        return label.to_owned();
    }
    label.chars().take(MOST_LABEL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(values: &[(&str, &str)]) -> Panel {
        let point = |(label, digits): &(&str, &str)| Point {
            label: (*label).to_owned(),
            digits: (*digits).to_owned(),
            value: digits.parse().unwrap(),
        };
        Panel { name: String::new(), points: values.iter().map(point).collect() }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let text = bars(&panel(&[("a", "10"), ("bc", "5"), ("d", "0"), ("e", "-2.5")]), 30);
        let room = 30 - 2 - 4 - 4;
        assert_eq!(
            text,
            format!(
                "a     10  {}\nbc     5  {}\nd      0\ne   -2.5  −{}\n",
                "█".repeat(room),
                "█".repeat(room / 2),
                "█".repeat(room / 4)
            )
        );
    }

    #[test]
    fn a_line_goes_from_its_first_value_to_its_last() {
        let text =
            line(&panel(&[("2026-03-01", "0"), ("2026-03-02", "4"), ("2026-03-03", "8")]), 40);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 1);
        let dots =
            |line: &str| line.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
        assert!(lines[0].starts_with("8 ┤") && dots(lines[0]) > 0, "{text}");
        assert!(lines[..HEIGHT].iter().all(|line| dots(line) > 0), "it is torn: {text}");
        assert!(lines[HEIGHT - 1].starts_with("0 ┤"), "{text}");
        assert!(
            lines[HEIGHT].starts_with("  └2026-03-01") && lines[HEIGHT].ends_with("2026-03-03"),
            "{text}"
        );
        assert_eq!(line(&panel(&[("a", "1")]), 40).lines().count(), HEIGHT + 1);
    }
}
