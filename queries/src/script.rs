//! SQL as people type it: where one statement ends, and where in it something is wrong.
//!
//! It must never decide what a statement means: that is for the reader in `sql`.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::error::Place;

/// The statements of a text that end with a semicolon, without it, and what stands behind the last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Script<'t> {
    pub statements: Vec<&'t str>,
    /// Empty where nothing but space and comments is left.
    pub rest: &'t str,
}

/// Cuts a text at its semicolons; those in quotes and comments are no ends.
pub fn split(text: &str) -> Script<'_> {
    // What cannot be cut into words, as an open quote, has no end yet.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location() else {
        return Script { statements: Vec::new(), rest: text };
    };
    let lines = line_starts(text);
    let (mut script, mut start, mut is_empty) = (Script::default(), 0, true);
    for token in tokens {
        match token.token {
            Token::SemiColon => {
                let end = position(text, &lines, token.span.start);
                if !is_empty {
                    script.statements.extend(text.get(start..end).map(str::trim));
                }
                (start, is_empty) = (end + 1, true);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => is_empty = false,
        }
    }
    if !is_empty {
        script.rest = text.get(start..).unwrap_or_default().trim();
    }
    script
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

/// The byte at which a token's place is; its line and column are counted from 1, in letters.
fn position(text: &str, lines: &[usize], place: Location) -> usize {
    let before = |count: u64| usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    let start = lines.get(before(place.line)).copied().unwrap_or(text.len());
    let line = text.get(start..).unwrap_or_default();
    line.char_indices().nth(before(place.column)).map_or(text.len(), |(at, _)| start + at)
}

/// The line at which something is wrong, and a mark below the place.
pub fn pointer(text: &str, place: Place) -> Option<String> {
    let line = text.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let before = usize::try_from(place.column).ok()?.saturating_sub(1);
    let blank: String =
        line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let margin = format!("  {} | ", place.line);
    Some(format!("{margin}{line}\n{:width$}{blank}^\n", "", width = margin.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_no_text() {
        let script =
            split("SELECT ';' AS \"a;b\" -- ; no end\n, 'ü';\n/* ; */ SELECT 2 ; SELECT\n3");
        assert_eq!(
            script.statements,
            ["SELECT ';' AS \"a;b\" -- ; no end\n, 'ü'", "/* ; */ SELECT 2"]
        );
        assert_eq!(script.rest, "SELECT\n3");
        assert_eq!(split("SELECT 'open;").rest, "SELECT 'open;");
        assert_eq!(split(" ; ;-- nothing\n"), Script::default());
    }

    #[test]
    fn the_mark_stands_below_the_place() {
        let text = "SELECT a,\n\tübel FROM calls";
        assert_eq!(
            pointer(text, Place { line: 2, column: 2 }).unwrap(),
            "  2 | \tübel FROM calls\n      \t^\n"
        );
        assert_eq!(pointer(text, Place { line: 9, column: 1 }), None);
    }
}
