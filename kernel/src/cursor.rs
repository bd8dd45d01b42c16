//! Cursor positions: Jupyter counts code points, the evaluator counts bytes.

/// The byte offset behind the first `points` code points, or the end when there are fewer.
pub(crate) fn byte_at(code: &str, points: usize) -> usize {
    code.char_indices().nth(points).map_or(code.len(), |(at, _)| at)
}

/// The number of code points before byte `at`. A byte inside a code point counts as its start.
pub(crate) fn point_at(code: &str, at: usize) -> usize {
    code.char_indices().take_while(|(start, c)| start + c.len_utf8() <= at).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way_there_and_back() {
        let code = "let é🦀 = \"日本\";";
        for points in 0..=code.chars().count() {
            assert_eq!(point_at(code, byte_at(code, points)), points);
        }
    }

    #[test]
    fn places_outside_or_between_are_moved_to_the_nearest_before() {
        assert_eq!(byte_at("é", 9), 2);
        assert_eq!(point_at("é", 9), 1);
        assert_eq!(point_at("aé", 2), 1);
    }
}
