//! What begins with a backslash in a session.

use std::path::PathBuf;

use crate::error::Error;

/// One such command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Quit,
    Timing,
    Tables,
    Functions,
    Table(String),
    Format(String),
    /// Writes the answer of this statement, or of the last one.
    Export {
        file: PathBuf,
        sql: Option<String>,
    },
}

/// All of them, as they are typed.
pub const NAMES: &[&str] = &["\\?", "\\d", "\\df", "\\timing", "\\format", "\\export", "\\q"];

pub const HELP: &str = "\
  SELECT …;           answer a statement; it may take several lines and ends with ;
  \\d                  list the tables and views
  \\d TABLE            its columns, what they mean, and what the product calls them
  \\df                 the functions that SQL has here beside the usual ones
  \\timing             tell how long each answer took, or no longer
  \\format FORMAT      table, csv, json or ndjson from here on
  \\export FILE [SQL]  write the last answer, or this one, as the ending says: .csv, .json, .parquet, …
  \\?                  this list
  \\q                  end the session, as Ctrl-D does
Tab completes tables, columns and words of SQL; the arrow up and Ctrl-R find what was typed before.
Ctrl-C stops a statement. Every statement sees what has come by then.";

/// Reads a line that begins with a backslash; a semicolon at its end is no part of it.
pub fn read(text: &str) -> Result<Command, Error> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let needs = |what: &str| Error::usage(format!("{name} needs {what}; \\? has an example"));
    match (name, rest) {
        ("\\?" | "\\h" | "\\help", _) => Ok(Command::Help),
        ("\\q" | "\\quit", _) => Ok(Command::Quit),
        ("\\timing", _) => Ok(Command::Timing),
        ("\\df", _) => Ok(Command::Functions),
        ("\\d" | "\\dt" | "\\dv", "") => Ok(Command::Tables),
        ("\\d", table) => Ok(Command::Table(table.to_owned())),
        ("\\format", "") => Err(needs("a format")),
        ("\\format", format) => Ok(Command::Format(format.to_owned())),
        ("\\export", "") => Err(needs("a file")),
        ("\\export", rest) => {
            let (file, sql) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let sql = Some(sql.trim().to_owned()).filter(|sql| !sql.is_empty());
            Ok(Command::Export { file: file.into(), sql })
        }
        _ => Err(Error::usage(format!("there is no {name}; \\? lists what there is"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_its_name_and_the_rest_of_the_line() {
        assert_eq!(read("\\d").unwrap(), Command::Tables);
        assert_eq!(read("\\d calls;").unwrap(), Command::Table("calls".to_owned()));
        let sql = Some("SELECT 1".to_owned());
        assert_eq!(
            read("\\export a.csv SELECT 1;").unwrap(),
            Command::Export { file: "a.csv".into(), sql }
        );
        assert_eq!(
            read("\\export").unwrap_err().to_string(),
            "\\export needs a file; \\? has an example"
        );
        assert_eq!(
            read("\\x").unwrap_err().to_string(),
            "there is no \\x; \\? lists what there is"
        );
        for name in NAMES {
            let read = read(&format!("{name} table"));
            assert!(read.is_ok() && HELP.contains(name), "{name}");
        }
    }
}
