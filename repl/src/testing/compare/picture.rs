//! Pictures, compared by what they show.
//!
//! Each has a fingerprint of brightness, which compression and small shifts of colour leave alone: a difference hash, as
//! Krawetz describes it in "Kind of Like That" (hackerfactor.com, 2013).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::Cursor;

/// Columns and rows of the fingerprint.
const SIDE: usize = 16;

/// How many of its bits may differ in pictures that show the same.
const NEAR: u32 = 6;

/// A picture, or the text of one that cannot be decoded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// One of this size, in pixels, with its fingerprint: a bit for each place that is brighter than the one to its right.
    Shown {
        /// Width and height.
        size: (u32, u32),
        /// `SIDE` rows.
        bits: [u16; SIDE],
    },
    /// Compared as it is.
    Text(String),
}

impl Picture {
    /// Reads a picture as a notebook stores it.
    pub fn read(mime: &str, text: &str) -> Picture {
        let bytes = BASE64_STANDARD.decode(text.split_whitespace().collect::<String>());
        let shown = bytes.ok().filter(|_| mime == "image/png").and_then(|bytes| png(&bytes));
        shown.unwrap_or_else(|| Picture::Text(text.split_whitespace().collect()))
    }

    /// How another one differs.
    pub fn difference(&self, new: &Picture) -> Option<String> {
        match (self, new) {
            (Picture::Shown { size, bits }, Picture::Shown { size: new_size, bits: new_bits }) => {
                if size != new_size {
                    let ((width, height), (new_width, new_height)) = (size, new_size);
                    return Some(format!("{width}x{height} pixels are stored, and {new_width}x{new_height} came"));
                }
                let other: u32 = bits.iter().zip(new_bits).map(|(one, new)| (one ^ new).count_ones()).sum();
                let all = SIDE * SIDE;
                (other > NEAR).then(|| format!("it shows something else: {other} of {all} places differ"))
            }
            (one, new) if one == new => None,
            _ => Some("its bytes differ".into()),
        }
    }
}

fn png(bytes: &[u8]) -> Option<Picture> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut pixels).ok()?;
    let samples = info.color_type.samples();
    let (width, height) = (info.width as usize, info.height as usize);
    // On white, as a page shows it.
    let bright = |x: usize, y: usize| {
        let at = y * info.line_size + x * samples;
        let pixel = pixels.get(at..at + samples).unwrap_or_default();
        let (colour, opaque) = match pixel {
            [grey] => (u64::from(*grey), 255),
            [grey, opaque] => (u64::from(*grey), u64::from(*opaque)),
            [red, green, blue, rest @ ..] => {
                let colour = (u64::from(*red) * 299 + u64::from(*green) * 587 + u64::from(*blue) * 114) / 1000;
                (colour, rest.first().map_or(255, |opaque| u64::from(*opaque)))
            }
            [] => (255, 255),
        };
        (colour * opaque + 255 * (255 - opaque)) / 255
    };
    // The mean of each field of a raster with one column more than the fingerprint.
    let mean = |column: usize, row: usize| {
        let range = |place: usize, places: usize, len: usize| {
            let begin = place * len / places;
            begin..((place + 1) * len / places).max(begin + 1).min(len.max(1))
        };
        let (xs, ys) = (range(column, SIDE + 1, width), range(row, SIDE, height));
        let count = (xs.len() * ys.len()).max(1) as u64;
        ys.flat_map(|y| xs.clone().map(move |x| (x, y))).map(|(x, y)| bright(x, y)).sum::<u64>() / count
    };
    let row = |row: usize| {
        let means: Vec<u64> = (0..=SIDE).map(|column| mean(column, row)).collect();
        // A little darker is noise.
        means.windows(2).enumerate().fold(0, |bits, (at, pair)| bits | u16::from(pair[0] > pair[1] + 4) << at)
    };
    Some(Picture::Shown { size: (info.width, info.height), bits: std::array::from_fn(row) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of a disc with its middle there.
    fn disc(middle: (f64, f64), noise: u8) -> String {
        let (width, height) = (80_u32, 60_u32);
        let pixel = |at: u32| {
            let (x, y) = (f64::from(at % width), f64::from(at / width));
            let is_in = (x - middle.0).hypot(y - middle.1) < 20.0;
            if is_in { noise * (at % 3) as u8 } else { 250 - noise * (at % 2) as u8 }
        };
        let pixels: Vec<u8> = (0..width * height).map(pixel).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        BASE64_STANDARD.encode(bytes)
    }

    #[test]
    fn noise_does_not_count_and_another_place_does() {
        let picture = |text: &str| Picture::read("image/png", text);
        let stored = picture(&disc((40.0, 30.0), 0));
        assert_eq!(stored.difference(&picture(&disc((40.0, 30.0), 2))), None);
        let said = stored.difference(&picture(&disc((25.0, 30.0), 0))).unwrap();
        assert!(said.starts_with("it shows something else"), "{said}");
        assert!(stored.difference(&picture("no picture")).is_some());
        assert_eq!(picture("a b").difference(&picture("ab\n")), None);
    }
}
