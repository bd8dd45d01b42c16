//! Colours of plots, which are read on a light and on a dark page.
//!
//! A picture does not know the page that it stands on: a front end draws it as an image or on a canvas, where the page's own
//! colours do not reach. So the background is the page's, marks have a contrast of 3 with white and with JupyterLab's black
//! (WCAG 2.1, 1.4.11), and words one of 4.2, about the best that one colour can have with both.

/// Words, axes and grids.
pub(super) const INK: &str = "#7a7a7a";

/// How much of [`INK`] the lines of a grid have.
pub(super) const GRID_OPACITY: f64 = 0.3;

/// Those of series: colours that people who see few of them can tell apart (Okabe and Ito, 2008), the light ones darker.
const SERIES: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b98500", "#3f9acb", "#888888"];

/// The colours of series, one after the other.
pub(super) fn of_series() -> impl Iterator<Item = &'static str> {
    SERIES.into_iter().cycle()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast of two colours, as WCAG has it.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn words_and_marks_are_read_on_white_and_on_black() {
        for page in ["#ffffff", "#111111"] {
            assert!(contrast(INK, page) > 4.2, "{page}");
            for colour in SERIES {
                assert!(contrast(colour, page) > 3.0, "{colour} on {page}");
            }
        }
    }
}
