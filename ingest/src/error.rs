//! What can go wrong between a request and the log, in the words a person reads.
//!
//! The errors can be cloned, since one failed group commit is the answer to many requests.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringlake_transform::LogPartition;
use thiserror::Error;

/// A cause that several answers share.
pub type Cause = Arc<dyn Error + Send + Sync>;

#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// Another process holds the data folder.
    #[error("the data folder {} is in use by {}", path.display(), process(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },

    /// More is waiting than the log takes in advance; nothing of this request was kept.
    #[error("the log is busy: too many requests are waiting for the disk or the broker")]
    Busy,

    /// A file could not be read or written: no space, no permission, a failing disk.
    #[error("cannot use {}", path.display())]
    Storage { path: PathBuf, source: Cause },

    /// The embedded log's file is not what was written, so that it can take no more.
    #[error("{} is damaged", path.display())]
    Broken { path: PathBuf, source: Cause },

    /// A record of the embedded log is not what was written.
    #[error("{} is damaged at {partition} offset {offset}", path.display())]
    Damaged { path: PathBuf, partition: LogPartition, offset: i64 },

    /// The broker refused, or is not there.
    #[error("cannot use kafka at {brokers}")]
    Broker { brokers: String, source: Cause },

    /// Another producer's records in a compression that was left out of the build.
    #[error("records in kafka at {brokers} are compressed in a way that this build cannot unpack")]
    Packed { brokers: String, source: Cause },

    /// No answer in time. What was sent may or may not be in the log; the sender repeats it.
    #[error("the log did not answer within {} s", after.as_secs())]
    TimedOut { after: Duration },

    #[error("the log is closed")]
    Closed,

    #[error("an event of {bytes} bytes is larger than the {limit} that the log takes")]
    TooLarge { bytes: usize, limit: usize },

    /// The tables' position does not fit what the log holds: going on would skip or repeat silently.
    #[error(
        "the tables hold {partition} up to offset {position}, but the log has offsets {first} to {} there",
        next - 1
    )]
    OutOfRange { partition: LogPartition, position: i64, first: i64, next: i64 },

    /// The log was made anew and has grown past the tables' position since.
    #[error(
        "{partition} is not the log that the tables were written from: at offset {offset} it has another record"
    )]
    Another { partition: LogPartition, offset: i64 },

    /// A setting that this version decides itself, or that does not fit another.
    #[error("setting {name} cannot be used: {reason}")]
    Setting { name: String, reason: String },

    /// The file of tokens is not what this program wrote.
    #[error("cannot read the tokens in {}", path.display())]
    Tokens { path: PathBuf, source: Cause },

    /// The certificate or its key, as the text of the cause says.
    #[error("cannot use {} for tls", path.display())]
    Tls { path: PathBuf, source: Cause },

    /// The address to listen on is taken, or is not ours.
    #[error("cannot listen on {address}")]
    Listen { address: String, source: Cause },
}

impl LogError {
    pub(crate) fn storage(
        path: impl Into<PathBuf>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Storage { path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn broken(
        path: impl Into<PathBuf>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self::Broken { path: path.into(), source: Arc::new(source) }
    }

    /// Whether the same call may succeed later with nothing changed but time, space or a broker.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Storage { .. } | Self::Broker { .. } | Self::TimedOut { .. }
        )
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { .. } => {
                "stop that process, or give this one another folder with --data".into()
            }
            Self::Busy | Self::TimedOut { .. } => "send it again later".into(),
            Self::Storage { path, .. } => format!(
                "see that the disk of {} has space and that this user may write there; \
                 the log goes on by itself once it can",
                path.display()
            ),
            Self::Broken { path, .. } => broken(path),
            Self::Damaged { path, .. } => format!(
                "keep a copy of {}, check the disk, and restore the file from a backup",
                path.display()
            ),
            Self::Broker { .. } => {
                "see that the brokers are up and reachable from here; sending goes on by itself then"
                    .into()
            }
            Self::Packed { .. } => {
                "let their producer use lz4, snappy or no compression, or build ringlake with rdkafka's \
                 features for gzip (libz-static) and zstd"
                    .into()
            }
            Self::Closed => "start ringlake again".into(),
            Self::TooLarge { limit, .. } => format!("send events of at most {limit} bytes each"),
            Self::OutOfRange { partition, position, first, .. } => out_of_range(partition, *position, *first),
            Self::Another { partition, .. } => made_anew(partition),
            Self::Tls { .. } => "[tls] needs a certificate (its chain, the server's own first) and the private key that \
                 belongs to it, both in PEM files that this user may read"
                .into(),
            Self::Setting { .. } => "take the setting out of the configuration".into(),
            Self::Tokens { path, .. } => format!(
                "mend {} or remove it: new tokens are made on the next start, and then have to be \
                 pasted into each vendor's settings again",
                path.display()
            ),
            Self::Listen { .. } => "choose another address with --listen".into(),
        }
    }
}

fn out_of_range(partition: &LogPartition, position: i64, first: i64) -> String {
    if position < first {
        format!(
            "records of {partition} were removed before the tables had them: raise the retention of \
             the topic, and restore them from a backup of the log or rebuild the tables"
        )
    } else {
        made_anew(partition)
    }
}

fn broken(path: &Path) -> String {
    let path = path.display();
    format!(
        "keep a copy of {path}, check the disk, and restore the file from a backup. Without one, begin a new data \
         folder: the tables have all but what came last, and of that `ringlake log dump` may read some, to be \
         imported there"
    )
}

fn made_anew(partition: &LogPartition) -> String {
    format!(
        "the log of {partition} was emptied or made anew after the tables were filled: put the old \
         log back, or use a new topic prefix so that its offsets are not taken for old ones"
    )
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_and_where() {
        let partition = LogPartition::new("ringlake.vonage", 3);
        let out = |position, first, next| LogError::OutOfRange {
            partition: partition.clone(),
            position,
            first,
            next,
        };
        let io = LogError::storage("/d/log/events.redb", std::io::Error::other("no space left"));
        let texts: Vec<(LogError, &str)> = vec![
            (
                LogError::InUse { path: "/d".into(), pid: Some(7) },
                "the data folder /d is in use by process 7",
            ),
            (
                LogError::InUse { path: "/d".into(), pid: None },
                "the data folder /d is in use by another process",
            ),
            (io, "cannot use /d/log/events.redb"),
            (
                LogError::Damaged {
                    path: "/d/log/events.redb".into(),
                    partition: partition.clone(),
                    offset: 12,
                },
                "/d/log/events.redb is damaged at ringlake.vonage/3 offset 12",
            ),
            (
                LogError::TimedOut { after: Duration::from_secs(8) },
                "the log did not answer within 8 s",
            ),
            (
                out(99, 0, 5),
                "the tables hold ringlake.vonage/3 up to offset 99, but the log has offsets 0 to 4 there",
            ),
            (
                LogError::TooLarge { bytes: 9, limit: 8 },
                "an event of 9 bytes is larger than the 8 that the log takes",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
            assert!(!error.hint().is_empty());
        }
        assert!(out(99, 0, 5).hint().contains("made anew"));
        assert!(out(3, 10, 50).hint().contains("retention"));
    }

    #[test]
    fn the_cause_is_kept() {
        let error = LogError::storage("/d", std::io::Error::other("no space left"));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no space left"));
        assert!(error.is_temporary());
        assert!(!LogError::Closed.is_temporary());
    }
}
