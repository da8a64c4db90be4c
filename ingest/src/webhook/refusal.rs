//! Why a request is refused, and what its sender's owner is to mend.
//!
//! The answers are JSON, `{"error": …, "hint": …}`. None of them repeats what was sent.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use ringlake_transform::systems::Unverified;
use ringlake_transform::{SYSTEMS, System};
use serde_json::json;

use crate::error::LogError;

/// Media types that a hint may name where a system accepts them.
const MEDIA_TYPES: &[&str] =
    &["application/json", "application/x-ndjson", "application/x-www-form-urlencoded"];

pub(super) enum Refusal {
    NotFound,
    UnknownSystem,
    UnknownRoute(&'static dyn System),
    Method(&'static dyn System),
    Unauthorized,
    Unverified(Unverified),
    Limited { system: &'static dyn System, wait: Duration },
    MediaType(&'static dyn System),
    Encoded,
    TooLarge { limit: usize },
    EventTooLarge { limit: usize },
    TooMany { limit: usize },
    Slow { after: Duration },
    Broken,
    Empty,
    Unavailable(LogError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownSystem | Self::UnknownRoute(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized | Self::Unverified(_) => StatusCode::UNAUTHORIZED,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MediaType(_) | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::EventTooLarge { .. } | Self::TooMany { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Empty => StatusCode::BAD_REQUEST,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The metric's label; one of [`crate::metrics::OUTCOMES`].
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::NotFound | Self::UnknownSystem | Self::UnknownRoute(_) | Self::Method(_) => {
                "unknown"
            }
            Self::Unauthorized | Self::Unverified(_) => "unauthorized",
            Self::Limited { .. } => "limited",
            Self::MediaType(_) | Self::Encoded => "unsupported",
            Self::TooLarge { .. } | Self::EventTooLarge { .. } | Self::TooMany { .. } => {
                "too_large"
            }
            Self::Slow { .. } | Self::Broken => "slow",
            Self::Empty => "empty",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn error(&self) -> String {
        match self {
            Self::NotFound => "nothing is here".into(),
            Self::UnknownSystem => format!("unknown system; there are {}", names()),
            Self::UnknownRoute(system) if system.routes().is_empty() => {
                format!("{} has no further routes", system.name())
            }
            Self::UnknownRoute(system) => {
                format!(
                    "unknown route of {}; there are {}",
                    system.name(),
                    system.routes().join(", ")
                )
            }
            Self::Method(system) => {
                format!("{} takes {}", system.name(), methods(*system).replace(", ", " and "))
            }
            Self::Unauthorized => "the token is missing or wrong".into(),
            Self::Unverified(why) => why.to_string(),
            Self::Limited { system, .. } => format!("too many requests for {}", system.name()),
            Self::MediaType(system) => {
                format!("this content type cannot be an event of {}", system.name())
            }
            Self::Encoded => "a compressed body is not taken".into(),
            Self::TooLarge { limit } => format!("the body is larger than {limit} bytes"),
            Self::EventTooLarge { limit } => format!("an event is larger than {limit} bytes"),
            Self::TooMany { limit } => {
                format!("there are more than {limit} events in the request")
            }
            Self::Slow { after } => {
                format!("the body did not arrive within {} s", after.as_secs())
            }
            Self::Broken => "the body ended before it was complete".into(),
            Self::Empty => "there is no event in the request".into(),
            Self::Unavailable(LogError::Busy) => {
                "more requests are waiting than can be kept".into()
            }
            Self::Unavailable(_) => "the events could not be made durable".into(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NotFound => "webhooks go to /webhooks/{system}, followed by the token".into(),
            Self::UnknownSystem => "send to /webhooks/{system} with one of these names".into(),
            Self::UnknownRoute(system) if system.routes().is_empty() => {
                format!("send to /webhooks/{}, followed by the token", system.name())
            }
            Self::UnknownRoute(system) => {
                format!("send to /webhooks/{}/{{route}}, followed by the token", system.name())
            }
            Self::Method(_) => "set this method in the vendor's settings".into(),
            Self::Unauthorized => {
                "send the token as 'Authorization: Bearer TOKEN' or as the last part \
                 of the path; 'ringlake tokens' shows it"
                    .into()
            }
            Self::Unverified(_) => {
                "see that the vendor's settings and ringlake have the same secret for \
                 these webhooks"
                    .into()
            }
            Self::Limited { .. } => "send it again after the time in Retry-After, or raise \
                 limits.rate in ringlake.toml"
                .into(),
            Self::MediaType(system) => format!("send {}", media_types(*system)),
            Self::Encoded => "send it without Content-Encoding".into(),
            Self::TooLarge { .. } => {
                "send fewer events in a request, or raise limits.max_body in ringlake.toml".into()
            }
            Self::EventTooLarge { .. } => {
                "leave attachments out of the event; larger ones do not fit \
                 a log record"
                    .into()
            }
            Self::TooMany { .. } => "send fewer events in a request".into(),
            Self::Slow { .. } | Self::Broken => {
                "send it again; if it fails again, look at the network between".into()
            }
            Self::Empty => "send one event, a JSON array of events, or one event a line".into(),
            Self::Unavailable(_) => {
                "send it again after the time in Retry-After; nothing is wrong with the request"
                    .into()
            }
        }
    }

    /// Whole seconds after which the same request may succeed.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited { wait, .. } => Some(wait.as_secs() + 1),
            Self::Unavailable(LogError::Busy) => Some(1),
            Self::Unavailable(_) => Some(5),
            _ => None,
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let body = json!({ "error": self.error(), "hint": self.hint() });
        let mut response = json_response(self.status(), &body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self {
            Self::Method(system) => {
                headers.insert(ALLOW, HeaderValue::from_static(methods(*system)));
            }
            Self::Unauthorized => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::TooLarge { limit, .. } => Self::EventTooLarge { limit },
            error => Self::Unavailable(error),
        }
    }
}

pub(super) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn names() -> String {
    SYSTEMS.iter().map(|system| system.name()).collect::<Vec<_>>().join(", ")
}

fn methods(system: &dyn System) -> &'static str {
    if system.sends_get() { "POST, GET" } else { "POST" }
}

fn media_types(system: &dyn System) -> String {
    let accepted = MEDIA_TYPES.iter().filter(|media_type| system.accepts(media_type));
    accepted.copied().collect::<Vec<_>>().join(" or ")
}
