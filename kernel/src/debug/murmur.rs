//! MurmurHash2 (Austin Appleby), 32 bits: by it a front end knows the file of a cell that was dumped.

const FACTOR: u32 = 0x5bd1_e995;

/// The hash of a text, as ipykernel and JupyterLab have it.
pub(super) fn murmur2(text: &str, seed: u32) -> u32 {
    let (words, rest) = text.as_bytes().as_chunks::<4>();
    // The length counts modulo 2³², as in the original.
    let mut hash = seed ^ text.len() as u32;
    for word in words {
        let mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        let mixed = (mixed ^ mixed >> 24).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR) ^ mixed;
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    #[test]
    fn texts_of_every_length_have_the_hashes_that_ipykernel_gives_them() {
        let with_seed = [
            ("", 3_990_065_800),
            ("a", 2_167_009_006),
            ("ab", 2_805_137_849),
            ("abc", 3_350_977_461),
            ("let x = 1;", 67_329_842),
            ("let é = \"ß\";\nx", 1_640_163_313),
        ];
        for (text, hash) in with_seed {
            assert_eq!(murmur2(text, 0xc70f_6907), hash, "{text:?}");
        }
        assert_eq!((murmur2("", 0), murmur2("abc", 0)), (0, 324_500_635));
    }
}
