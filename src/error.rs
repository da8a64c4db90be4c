//! Why a command failed, what might mend it, and the exit code.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use ringlake_ingest::LogError;
use ringlake_queries::{QueryError, script};
use ringlake_sinks::SinkError;
use thiserror::Error;

use crate::config::{LoadError, Mistake};

#[derive(Debug, Error)]
pub enum Error {
    /// Wrong usage, found after the flags were read.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    #[error("{}", count(.0.len(), "mistake in the settings", "mistakes in the settings"))]
    Settings(Vec<Mistake>),
    #[error("{}", count(.0.len(), "mistake in the tariffs", "mistakes in the tariffs"))]
    Tariffs(Vec<Mistake>),
    #[error("{message}")]
    Failed { message: String, hint: Option<String> },
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    #[error("cannot reach {url}")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error(transparent)]
    UnknownName(#[from] ringlake_transform::UnknownName),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Sink(Box<SinkError>),
    #[error(transparent)]
    Query(Box<QueryError>),
    /// A statement that cannot be answered, and the place in it where that is.
    #[error("{source}")]
    Statement { pointer: String, source: Box<QueryError> },
    /// A question that its flags got wrong.
    #[error(transparent)]
    Question(Box<QueryError>),
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("a task ended early")]
    Task(#[from] tokio::task::JoinError),
    #[error("stopped at once, as asked")]
    Stopped,
}

impl From<SinkError> for Error {
    fn from(error: SinkError) -> Self {
        Self::Sink(Box::new(error))
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::Query(Box::new(error))
    }
}

impl Error {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: Some(hint.into()) }
    }

    /// Why there is no answer to this SQL, pointing at the place.
    pub fn statement(sql: &str) -> impl FnOnce(QueryError) -> Self {
        move |error| match error.place().and_then(|place| script::pointer(sql, place)) {
            Some(pointer) => Self::Statement { pointer, source: Box::new(error) },
            None => error.into(),
        }
    }

    pub fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// 2 for wrong usage or settings, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. }
            | Self::Settings(_)
            | Self::Tariffs(_)
            | Self::UnknownName(_)
            | Self::Question(_) => 2,
            _ => 1,
        }
    }

    /// Whether the reader of our output has gone, as `head` does.
    pub fn is_broken_pipe(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if kind == Some(io::ErrorKind::BrokenPipe) {
                return matches!(self, Self::Output(_) | Self::Query(_) | Self::Question(_));
            }
            cause = error.source();
        }
        false
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::Settings(_) => {
                Some("every setting and its default is in config/default.toml".into())
            }
            Self::Tariffs(_) => Some("docs/tariffs.md has an example".into()),
            Self::Unreachable { .. } => Some("is `ringlake serve` running there?".into()),
            Self::Log(error) => Some(error.hint()),
            Self::Sink(error) => Some(error.hint().to_owned()),
            Self::Query(error) | Self::Question(error) | Self::Statement { source: error, .. } => {
                error.hint()
            }
            Self::Metrics(_) | Self::Task(_) => {
                Some("this is a fault of ringlake; please report it with this text".into())
            }
            Self::Stopped => Some("nothing is lost: the log has what the tables lack".into()),
            _ => None,
        }
    }

    /// The same as [`Self::report`] in one line, without what says that it is an error.
    pub fn line(&self) -> String {
        let report = self.report();
        let lines: Vec<&str> =
            report.trim_start_matches("error: ").lines().map(str::trim).collect();
        lines.join("; ")
    }

    /// The message, its causes and the hint, as shown to people.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}\n");
        if let Self::Statement { pointer, .. } = self {
            text.push_str(pointer);
        }
        if let Self::Settings(mistakes) | Self::Tariffs(mistakes) = self {
            for mistake in mistakes {
                let _ = writeln!(text, "  {}: {}", mistake.at, mistake.message);
            }
        }
        let mut last = brief(self.to_string());
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = brief(error.to_string());
            // Transparent wrappers say the same again, and some say their cause themselves.
            if !last.ends_with(&message) {
                let _ = writeln!(text, "  caused by: {message}");
            }
            last = message;
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unreadable(path, source) => Self::File { what: "read", path, source },
            LoadError::Wrong(mistakes) => Self::Settings(mistakes),
        }
    }
}

/// An object store's answer without its XML: the code and the message in it.
fn brief(mut message: String) -> String {
    let Some(start) = message.find("<?xml") else { return message };
    let xml = message.split_off(start);
    let inside = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(text, _)| text.to_owned())
    };
    let told: Vec<String> = ["Code", "Message"].into_iter().filter_map(inside).collect();
    message + &told.join(": ")
}

/// `1 mistake`, `2 mistakes`.
fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_message_its_causes_and_a_hint() {
        let error = Error::file("read", "a.toml")(io::Error::other("no such thing"));
        assert_eq!(error.report(), "error: cannot read a.toml\n  caused by: no such thing\n");
        let mistake = |at: &str| Mistake { at: at.to_owned(), message: "wrong".to_owned() };
        let error = Error::Settings(vec![mistake("a.toml:1"), mistake("RINGLAKE_LISTEN")]);
        assert_eq!(
            error.report(),
            "error: 2 mistakes in the settings\n  a.toml:1: wrong\n  RINGLAKE_LISTEN: wrong\n\
             hint: every setting and its default is in config/default.toml\n"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn what_a_store_answers_is_told_in_brief() {
        let answer = "404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code>\
                      <Message>It is not there.</Message><HostId>x</HostId></Error>";
        assert_eq!(brief(answer.to_owned()), "404 Not Found: NoSuchBucket: It is not there.");
        let error = Error::file("read", "a")(io::Error::other(answer));
        assert!(
            error.report().ends_with("caused by: 404 Not Found: NoSuchBucket: It is not there.\n")
        );
        assert!(
            error.line().ends_with("; caused by: 404 Not Found: NoSuchBucket: It is not there.")
        );
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Error::Output(gone()).is_broken_pipe());
        assert!(!Error::file("write", "a")(gone()).is_broken_pipe());
        assert!(!Error::Output(io::Error::other("full")).is_broken_pipe());
    }
}
