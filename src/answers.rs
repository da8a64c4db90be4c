//! From an answer to the file or terminal it is for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ringlake_queries::chart::{self, Drawn, Picture, Plot};
use ringlake_queries::{Answer, Format, output};

use crate::config::{ByteSize, Span};
use crate::console::{Console, Revealing};
use crate::error::Error;

/// The flags that say how an answer is written.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// table (default on a terminal), csv (default elsewhere), json, ndjson, parquet, arrow
    #[arg(long, short = 'F', value_name = "FORMAT")]
    pub format: Option<String>,
    /// Write to this file, whole or not at all; its ending chooses the format
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The flags that say which state of the tables is asked, and bound what an answer may take.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// Memory before more is spilled to disk or refused, as 512MiB [default: memory_limit of the settings]
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<ByteSize>,
    /// How long the answer may take, as 30s or 5m [default: query_timeout of the settings]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// Ask the tables as they were at a time, or at a version of the table progress; the last seven days are
    /// kept
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<String>,
}

impl OutputArgs {
    fn format(&self, console: Console) -> Result<Format, Error> {
        let named = |name: &str| name.parse().map_err(|error| Error::Question(Box::new(error)));
        if let Some(name) = &self.format {
            return named(name);
        }
        let ending = self.output.as_deref().and_then(Path::extension).and_then(|end| end.to_str());
        if let Some(format) = ending.and_then(|ending| ending.parse().ok()) {
            return Ok(format);
        }
        let table = self.output.is_none() && console.stdout_is_terminal();
        Ok(if table { Format::Table } else { Format::Csv })
    }
}

/// Writes the answer, and tells on stderr what people should know besides.
pub async fn write(answer: Answer, args: &OutputArgs, console: Console) -> Result<(), Error> {
    write_counted(answer, args, console).await.map(drop)
}

/// The same; returns what was written.
pub async fn write_counted(
    answer: Answer,
    args: &OutputArgs,
    console: Console,
) -> Result<output::Written, Error> {
    let format = args.format(console)?;
    if args.output.is_none() && format.is_binary() && console.stdout_is_terminal() {
        return Err(Error::usage(format!("{} is not for a terminal; give -o FILE", format.name())));
    }
    let (hint, footnote) = (answer.hint.clone(), answer.footnote.clone());
    let waiting = console.waiting("waiting for the answer; Ctrl-C stops");
    let written = match &args.output {
        Some(path) => to_file(answer, format, path).await?,
        None => {
            let mut out = Revealing { waiting: Some(waiting), inner: console.data() };
            let written = output::write(answer, format, &mut out, console.width()).await?;
            out.flush().map_err(Error::Output)?;
            written
        }
    };
    if written.left_out > 0 {
        console.note(format!("{} more rows; --format csv writes all of them", written.left_out));
    }
    if let (0, Some(hint)) = (written.rows, hint) {
        console.note(format!("hint: {hint}"));
    }
    if let Some(text) = footnote.and_then(|footnote| footnote.text()) {
        console.note(format!("note: {text}"));
    }
    Ok(written)
}

/// Draws the answer on the terminal, or for whoever reads stdout.
pub async fn draw(answer: Answer, plot: &Plot, console: Console) -> Result<(), Error> {
    let hint = answer.hint.clone();
    let mut out = console.data();
    let drawn = chart::draw(answer, plot, console.width(), &mut out).await?;
    tell(drawn, hint, console);
    Ok(())
}

/// Draws the answer into a file, whole or not at all; its ending says what kind of picture it is.
pub async fn draw_to_file(
    answer: Answer,
    plot: &Plot,
    path: &Path,
    console: Console,
) -> Result<(), Error> {
    let kind = Picture::of(path).map_err(|error| Error::Question(Box::new(error)))?;
    let hint = answer.hint.clone();
    let (bytes, drawn) = chart::picture(answer, plot, kind).await?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder).map_err(Error::file("write", path))?;
    part.write_all(&bytes).map_err(Error::file("write", path))?;
    part.persist(path).map_err(|error| Error::file("write", path)(error.error))?;
    tell(drawn, hint, console);
    Ok(())
}

fn tell(drawn: Drawn, hint: Option<String>, console: Console) {
    if drawn.left_out > 0 {
        console.note(format!("{} more charts; group by less to see them", drawn.left_out));
    }
    if drawn.values == 0 {
        console.note(format!("hint: {}", hint.as_deref().unwrap_or("there is nothing to draw")));
    }
}

/// Writes beside the file and renames, so that nobody sees half an answer.
async fn to_file(answer: Answer, format: Format, path: &Path) -> Result<output::Written, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let part = tempfile::NamedTempFile::new_in(folder).map_err(Error::file("write", path))?;
    let file: File = part.reopen().map_err(Error::file("write", path))?;
    let mut out = BufWriter::new(file);
    let written = output::write(answer, format, &mut out, None).await?;
    out.flush().map_err(Error::file("write", path))?;
    part.persist(path).map_err(|error| Error::file("write", path)(error.error))?;
    Ok(written)
}
