//! What goes wrong, in the terms of the protocol: a code that programs know, the message, the hint, and the
//! place in the statement.

use std::error::Error as _;

use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};

use crate::error::{Place, QueryError};

/// The error as a client is told; `sql` is the statement as the client wrote it.
pub fn told(error: &QueryError, sql: &str) -> PgWireError {
    let mut message = error.to_string();
    if let Some(cause) = error.source() {
        message = format!("{message}: {cause}");
    }
    let mut info = ErrorInfo::new("ERROR".to_owned(), code(error).to_owned(), message);
    info.hint = error.hint();
    info.position = error.place().and_then(|place| position(sql, place)).map(|at| at.to_string());
    PgWireError::UserError(Box::new(info))
}

/// Somebody whose password is wrong, as PostgreSQL says it, whether there is such a user or not.
pub fn refused(user: &str) -> PgWireError {
    let message = format!("password authentication failed for user \"{user}\"");
    let mut info = ErrorInfo::new("FATAL".to_owned(), "28P01".to_owned(), message);
    info.hint = Some(
        "user and password are those of [pg] in the server's settings; where these give none, the password is in \
         pg-password in its data folder"
            .to_owned(),
    );
    PgWireError::UserError(Box::new(info))
}

/// The codes of https://www.postgresql.org/docs/current/errcodes-appendix.html.
fn code(error: &QueryError) -> &'static str {
    match error {
        QueryError::Syntax { .. } | QueryError::NotOneStatement(_) => "42601",
        QueryError::Unknown { what: "table", .. } => "42P01",
        QueryError::Unknown { what: "column", .. } => "42703",
        QueryError::Unknown { .. } | QueryError::Meaning { .. } => "42000",
        QueryError::NotReadOnly(_) => "25006",
        QueryError::Timeout(_) => "57014",
        QueryError::Memory { .. } => "53200",
        _ => "XX000",
    }
}

/// Letters from the statement's beginning, counted from 1.
fn position(sql: &str, place: Place) -> Option<u64> {
    let line = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let before: usize = sql.split_inclusive('\n').take(line).map(|l| l.chars().count()).sum();
    Some(before as u64 + place.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_counted_in_letters_from_the_beginning() {
        assert_eq!(position("SELECT a,\n ü, b", Place { line: 2, column: 5 }), Some(15));
        assert_eq!(position("SELECT a", Place { line: 1, column: 8 }), Some(8));
    }
}
