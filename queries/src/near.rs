//! Which known names somebody may have meant.

/// How alike two names must be (0 to 1) to be worth a mention.
const LIKENESS: f64 = 0.6;
const MOST: usize = 3;

/// The known names nearest to `name`, best first.
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (likeness(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= LIKENESS)
        .collect();
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    scored.dedup_by(|(_, x), (_, y)| x == y);
    scored.into_iter().take(MOST).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// A typing mistake, or a part of the name: both are what people leave behind.
fn likeness(wanted: &str, candidate: &str) -> f64 {
    let typo = strsim::normalized_damerau_levenshtein(wanted, candidate);
    let part = wanted.len() > 2 && (candidate.contains(wanted) || wanted.contains(candidate));
    if part { typo.max(0.7) } else { typo }
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_slip_and_a_part_are_found() {
        let known = ["call-cost", "bill-duration", "deal-changes"];
        assert_eq!(near("call-csot", known), ["call-cost"]);
        assert_eq!(near("changes", known), ["deal-changes"]);
        assert_eq!(near("Bill_Duration", known), ["bill-duration"]);
        assert!(near("weather", known).is_empty());
    }
}
