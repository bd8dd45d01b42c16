//! Pictures, compared by what they show.
//!
//! A picture is laid on a raster, and the mean colour of each field is compared. Compression and smooth edges change
//! that a little; another line, shape or colour changes some fields much.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::Cursor;

/// Columns and rows of the raster.
const SIDE: usize = 16;

/// How far a part of a field's colour may be off, of 255.
const NEAR: i32 = 20;

/// How many fields may be further off.
const FAR_MAX: usize = 2;

/// A picture, or the text of one that cannot be decoded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// One of this size, in pixels, with the mean colour of each field: red, green and blue, on white.
    Shown {
        /// Width and height.
        size: (u32, u32),
        /// Row by row.
        fields: Vec<[u8; 3]>,
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
            (Picture::Shown { size, fields }, Picture::Shown { size: new_size, fields: new_fields }) => {
                if size != new_size {
                    let ((width, height), (new_width, new_height)) = (size, new_size);
                    return Some(format!("{width}x{height} pixels are stored, and {new_width}x{new_height} came"));
                }
                let is_far = |(one, new): &(&[u8; 3], &[u8; 3])| {
                    one.iter().zip(*new).any(|(one, new)| (i32::from(*one) - i32::from(*new)).abs() > NEAR)
                };
                let far = fields.iter().zip(new_fields).filter(is_far).count();
                let all = fields.len();
                (far > FAR_MAX).then(|| format!("it shows something else: {far} of {all} parts of it differ"))
            }
            (one, new) if one == new => None,
            (Picture::Text(_), Picture::Shown { .. }) => Some("what is stored is no picture that can be read".into()),
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
    let colour = |x: usize, y: usize| {
        let at = y * info.line_size + x * samples;
        let (colour, opaque) = match pixels.get(at..at + samples).unwrap_or_default() {
            [grey] => ([*grey; 3], 255),
            [grey, opaque] => ([*grey; 3], *opaque),
            [red, green, blue, rest @ ..] => ([*red, *green, *blue], rest.first().copied().unwrap_or(255)),
            [] => ([255; 3], 255),
        };
        // On white, as a page shows it.
        colour.map(|part| (u64::from(part) * u64::from(opaque) + 255 * (255 - u64::from(opaque))) / 255)
    };
    let range = |place: usize, len: usize| {
        let begin = place * len / SIDE;
        begin..((place + 1) * len / SIDE).max(begin + 1).min(len.max(1))
    };
    let field = |place: usize| {
        let (xs, ys) = (range(place % SIDE, width), range(place / SIDE, height));
        let count = (xs.len() * ys.len()).max(1) as u64;
        let mut sum = [0; 3];
        for (y, x) in ys.flat_map(|y| xs.clone().map(move |x| (y, x))) {
            sum.iter_mut().zip(colour(x, y)).for_each(|(sum, part)| *sum += part);
        }
        sum.map(|sum| (sum / count) as u8)
    };
    Some(Picture::Shown { size: (info.width, info.height), fields: (0..SIDE * SIDE).map(field).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 64 x 64 pixels, each of which has this colour.
    fn drawn(colour: impl Fn(i32, i32) -> [u8; 3]) -> Picture {
        let pixels: Vec<u8> = (0..64 * 64).flat_map(|at| colour(at % 64, at / 64)).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        Picture::read("image/png", &BASE64_STANDARD.encode(bytes))
    }

    #[test]
    fn noise_does_not_count_and_another_colour_line_or_shape_does() {
        let grey = |is_dark: bool| if is_dark { [0; 3] } else { [255; 3] };
        let disc = |noise: i32| {
            drawn(move |x, y| {
                let part = if (x - 32).pow(2) + (y - 32).pow(2) < 400 { 20 } else { 230 };
                [(part + noise * ((x + y) % 3 - 1)) as u8; 3]
            })
        };
        assert_eq!(disc(0).difference(&disc(12)), None);
        let pairs = [
            (drawn(|_, _| [255; 3]), drawn(|_, _| [0; 3])),
            (drawn(|_, _| [200, 0, 0]), drawn(|_, _| [0, 0, 200])),
            (drawn(move |x, _| grey(x < 32)), drawn(move |_, y| grey(y < 32))),
            (drawn(move |x, y| grey((x / 8 + y / 8) % 2 == 0)), drawn(move |x, y| grey((x / 8 + y / 8) % 2 == 1))),
            (drawn(move |_, y| grey(y == 30)), drawn(move |_, y| grey(y == 33))),
            (drawn(|x, y| [255, if x == y { 0 } else { 255 }, 255]), drawn(|_, _| [255; 3])),
        ];
        for (one, other) in pairs {
            let said = one.difference(&other).unwrap_or_default();
            assert!(said.starts_with("it shows something else"), "{said}");
        }
    }

    #[test]
    fn what_is_no_picture_is_compared_as_it_is() {
        let picture = |text: &str| Picture::read("image/png", text);
        assert_eq!(picture("a b").difference(&picture("ab\n")), None);
        assert!(picture("a").difference(&drawn(|_, _| [0; 3])).is_some_and(|said| said.contains("no picture")));
    }
}
