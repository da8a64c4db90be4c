//! Reads a request's body within its limits of size and time, and within its system's room.
//!
//! What is refused for its size, or since the room is full, is not buffered. Its rest is read and thrown away on the side for a
//! while, since a sender that is still writing would otherwise see a reset connection in place of
//! the answer that tells it what to mend.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::refusal::Refusal;
use super::room::Share;

/// Reads the whole body; `head` may already announce that it is too large.
pub(super) async fn read(
    mut body: Body,
    head: &HeaderMap,
    share: &mut Share,
    limit: usize,
    time: Duration,
) -> Result<Bytes, Refusal> {
    if content_length(head).is_some_and(|length| length > limit as u64) {
        // A sender that waits to be asked for the body (100-continue) is simply not asked.
        if !head.contains_key(EXPECT) {
            throw_away(body, time);
        }
        return Err(Refusal::TooLarge { limit });
    }
    match tokio::time::timeout(time, collect(&mut body, share, limit)).await {
        Err(_) => Err(Refusal::Slow { after: time }),
        Ok(Err(refusal @ (Refusal::TooLarge { .. } | Refusal::Unavailable(_)))) => {
            throw_away(body, time);
            Err(refusal)
        }
        Ok(read) => read,
    }
}

fn content_length(head: &HeaderMap) -> Option<u64> {
    head.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect(body: &mut Body, share: &mut Share, limit: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        share.grow(data.len())?;
        // Most bodies come in one piece, which then needs no copy.
        if first.is_empty() && all.is_empty() {
            first = data;
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn throw_away(mut body: Body, time: Duration) {
    let rest = async move { while let Some(Ok(_)) = body.frame().await {} };
    tokio::spawn(tokio::time::timeout(time, rest));
}
