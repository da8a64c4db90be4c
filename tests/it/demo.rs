//! The first command of the README.

use crate::harness::process::Place;

#[test]
fn the_demo_prints_three_reports_and_what_to_try_next() {
    let place = Place::new();
    let ended = place.run(&["demo"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let all = format!("{}{}", ended.out, ended.err);
    for text in ["call-cost", "bill-duration", "deal-changes", "ringlake "] {
        assert!(all.contains(text), "{text} is missing in:\n{all}");
    }
    for column in ["cost_per_minute", "rounding_seconds", "changes"] {
        assert!(ended.out.contains(column), "{column} is missing in:\n{all}");
    }
}
