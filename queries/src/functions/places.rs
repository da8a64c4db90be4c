//! Places: where a handful among thousands is found by a number, in an Arrow array that any batch can look into.
//!
//! A scalar of a statement is handed to a function with each batch of rows. What is looked up in it must lie in it as it
//! is looked up, or each batch would begin with making an index of it.

use arrow::array::Int64Array;
use arrow::datatypes::ArrowNativeType;

/// What a place has: a key, two numbers of what is there, and the second is not 0. They lie side by side, since whoever
/// asks for one needs all.
pub(super) const PLACE: usize = 3;

/// What is told of keys, where [`found`] looks for it. Half of the places are free, so that none is far.
pub(super) fn placed(all: &[[i64; PLACE]]) -> Int64Array {
    let mut placed = vec![[0; PLACE]; (2 * all.len()).next_power_of_two()];
    for told in all {
        let [key, ..] = told;
        let is_free = |at: &usize| placed.get(*at) == Some(&[0; PLACE]);
        let free = places_of(*key, placed.len()).find(is_free);
        if let Some(held) = free.and_then(|at| placed.get_mut(at)) {
            *held = *told;
        }
    }
    placed.into_flattened().into()
}

/// What is told of a key, each time that it is.
pub(super) fn found(placed: &Int64Array, key: i64) -> impl Iterator<Item = [i64; PLACE]> {
    let (places, _) = placed.values().as_chunks::<PLACE>();
    let held = places_of(key, places.len()).map_while(|at| places.get(at).copied());
    let held = held.take_while(|[.., number]| *number > 0);
    held.filter(move |[held, ..]| *held == key)
}

/// Where a key is among so many places, a power of two: at the first of these that no other has. Millions of calls
/// are looked up, and a search by halves among thousands of persons misses the cache many times for each.
fn places_of(key: i64, places: usize) -> impl Iterator<Item = usize> {
    // 2^64 by the golden ratio: numbers that differ in their last digits alone then differ in the first bits.
    let spread = key.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let first = spread.rotate_left(places.trailing_zeros()).as_usize();
    (0..places).map(move |next| first.wrapping_add(next) & (places - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_found_as_often_as_it_is_told() {
        let told: Vec<[i64; PLACE]> =
            (0..1_000).map(|n| [n % 900 * 1_000_003 - 7, n, n + 1]).chain([[0, 0, 1]]).collect();
        let places = placed(&told);
        assert!(places.len() >= 2 * PLACE * told.len(), "{}", places.len());
        for key in told.iter().map(|[key, ..]| *key).chain([5, i64::MIN]) {
            let mut of: Vec<[i64; PLACE]> = found(&places, key).collect();
            of.sort_unstable();
            let expected: Vec<[i64; PLACE]> =
                told.iter().filter(|[told, ..]| *told == key).copied().collect();
            assert_eq!(of, expected);
        }
        assert_eq!(found(&placed(&[]), 7).count(), 0);
    }
}
