//! Charts of a report: bars and lines, on a terminal or in a file.
//!
//! A picture is for the eye: lengths are floats, the digits beside them are the report's own. Amounts of
//! different currencies never share an axis.

mod data;
mod plot;
mod terminal;

use std::io::Write;
use std::path::Path;

use data::Panel;

use crate::answer::Answer;
use crate::error::QueryError;
use crate::report::{Kind, Rendered};

/// More panels than anybody looks at.
const MOST_PANELS: usize = 12;

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Plot {
    pub title: String,
    /// The column that is drawn.
    pub measure: String,
    /// Whether the first group is a time, and so a line is drawn instead of bars.
    pub is_over_time: bool,
}

/// The kinds of file a chart can be, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    Svg,
    Png,
}

impl Picture {
    pub fn of(path: &Path) -> Result<Self, QueryError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            _ => Err(QueryError::Unknown {
                what: "kind of picture",
                name: path.display().to_string(),
                known: vec!["FILE.svg".to_owned(), "FILE.png".to_owned()],
                place: None,
            }),
        }
    }
}

/// Whether the report has the measure, and it is a number.
pub fn check(rendered: &Rendered, measure: &str) -> Result<(), QueryError> {
    let measures = rendered.columns.iter().filter(|(_, kind)| is_number(*kind));
    let known: Vec<String> = measures.map(|(name, _)| name.clone()).collect();
    if known.iter().any(|name| name == measure) {
        return Ok(());
    }
    let name = measure.to_owned();
    Err(QueryError::Unknown { what: "measure", name, known, place: None })
}

fn is_number(kind: Kind) -> bool {
    !matches!(kind, Kind::Text | Kind::Time)
}

/// What was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    pub values: usize,
    /// Panels that were left out.
    pub left_out: usize,
}

/// Draws on a terminal of so many columns.
pub async fn draw(
    answer: Answer,
    plot: &Plot,
    width: Option<u16>,
    out: &mut (dyn Write + Send),
) -> Result<Drawn, QueryError> {
    let (panels, drawn) = panels(answer, plot).await?;
    writeln!(out, "{} ({})", plot.title, plot.measure)?;
    for panel in &panels {
        let width = width.map_or(terminal::WIDTH, usize::from);
        let text = if plot.is_over_time {
            terminal::line(panel, width)
        } else {
            terminal::bars(panel, width)
        };
        writeln!(out)?;
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(drawn)
}

/// Draws a picture as the bytes of a file.
pub async fn picture(
    answer: Answer,
    plot: &Plot,
    kind: Picture,
) -> Result<(Vec<u8>, Drawn), QueryError> {
    let (panels, drawn) = panels(answer, plot).await?;
    let bytes = match kind {
        Picture::Svg => plot::svg(&panels, plot).map(String::into_bytes),
        Picture::Png => plot::png(&panels, plot),
    };
    Ok((bytes.map_err(|source| QueryError::Encode { format: "picture", source })?, drawn))
}

async fn panels(answer: Answer, plot: &Plot) -> Result<(Vec<Panel>, Drawn), QueryError> {
    let mut panels = data::panels(answer, &plot.measure, plot.is_over_time).await?;
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    let values = panels.iter().map(|panel| panel.points.len()).sum();
    Ok((panels, Drawn { values, left_out }))
}
