//! A plot as an SVG picture, for front ends without Vega-Lite.

use super::colours::{GRID_OPACITY, INK, of_series};
use super::content::{Content, Mark, Series, word};
use super::scale::Scale;
use crate::display::escaped;
use std::fmt::Write as _;

/// The size of the picture, and of its margins: left, top, right, bottom.
const SIZE: (f64, f64) = (560.0, 360.0);
const MARGINS: (f64, f64, f64, f64) = (64.0, 44.0, 16.0, 48.0);

/// About the width of a letter.
const LETTER: f64 = 7.0;

/// The picture.
pub(super) fn picture(plot: &Content) -> String {
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    );
    if plot.heat.is_empty() {
        draw_series(&mut svg, plot)
    } else {
        draw_heat(&mut svg, plot)
    }
    let (left, _, right, _) = MARGINS;
    let middle = left + (width - left - right) / 2.0;
    text(&mut svg, (middle, 18.0), "middle", "", &plot.title, " font-weight=\"bold\"");
    text(&mut svg, (middle, height - 8.0), "middle", "", &plot.x_label, "");
    let turned = format!(" transform=\"rotate(-90 14 {:.1})\"", height / 2.0);
    text(&mut svg, (14.0, height / 2.0), "middle", "", &plot.y_label, &turned);
    svg + "</svg>"
}

/// The place of the drawing: left, top, width, height.
fn field() -> (f64, f64, f64, f64) {
    let (left, top, right, bottom) = MARGINS;
    (left, top, SIZE.0 - left - right, SIZE.1 - top - bottom)
}

fn draw_series(svg: &mut String, plot: &Content) {
    let (left, top, width, height) = field();
    let is_from_zero = |series: &&Series| matches!(series.mark, Mark::Bars(_) | Mark::Bins(_));
    let words =
        plot.series.iter().find_map(|series| if let Mark::Bars(words) = &series.mark { Some(words) } else { None });
    let zero = plot.series.iter().find(is_from_zero).map(|_| 0.0);
    let of_y = Scale::of(plot.series.iter().flat_map(|series| series.y.iter().copied()).chain(zero));
    let of_x = match words {
        // A bar stands in the middle of its place.
        Some(words) => Scale { low: -0.5, high: words.len().max(1) as f64 - 0.5, step: 1.0 },
        None => Scale::of(plot.series.iter().flat_map(|series| {
            let width = if let Mark::Bins(width) = series.mark { width } else { 0.0 };
            let last = series.x.last().map(|last| last + width);
            series.x.iter().copied().chain(last)
        })),
    };
    let at = |x: f64, y: f64| (left + of_x.place(x) * width, top + (1.0 - of_y.place(y)) * height);
    for (number, tick) in of_y.ticks() {
        let (_, y) = at(of_x.low, number);
        let _ = write!(
            svg,
            "<path d=\"M{left:.1} {y:.1}h{width:.1}\" stroke=\"{INK}\" stroke-opacity=\"{GRID_OPACITY}\"/>"
        );
        text(svg, (left - 6.0, y + 4.0), "end", "", &tick, "");
    }
    let below = top + height + 16.0;
    match words {
        Some(words) => {
            for place in 0..words.len() {
                text(svg, (at(place as f64, of_y.low).0, below), "middle", "", word(words, place as f64), "");
            }
        }
        None => {
            for (number, tick) in of_x.ticks() {
                text(svg, (at(number, of_y.low).0, below), "middle", "", &tick, "");
            }
        }
    }
    let groups = plot.series.iter().filter(|series| matches!(series.mark, Mark::Bars(_))).count().max(1) as f64;
    let mut group = 0.0;
    for (series, colour) in plot.series.iter().zip(of_series()) {
        let points = || series.x.iter().zip(&series.y).map(|(x, y)| (*x, *y));
        let mut bar = |x: f64, wide: f64, y: f64| {
            let ((begin, from), (end, to)) = (at(x, 0.0), at(x + wide, y));
            let (y, tall) = (from.min(to), (from - to).abs());
            let _ = write!(
                svg,
                "<rect x=\"{begin:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
                (end - begin - 1.0).max(0.5)
            );
        };
        match &series.mark {
            Mark::Bars(_) => {
                points().for_each(|(x, y)| bar(x - 0.4 + 0.8 * group / groups, 0.8 / groups, y));
                group += 1.0;
            }
            Mark::Bins(width) => points().for_each(|(x, y)| bar(x, *width, y)),
            Mark::Line => {
                let path: Vec<String> =
                    points().map(|(x, y)| at(x, y)).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
                let path = path.join("L");
                if !path.is_empty() {
                    let _ = write!(svg, "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
                }
            }
            Mark::Points => points().map(|(x, y)| at(x, y)).for_each(|(x, y)| {
                let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }),
        }
    }
    // The names in one row above the drawing, where no mark is.
    let mut end = left + width;
    let named = plot.series.iter().zip(of_series()).filter(|(series, _)| !series.name.is_empty());
    for (series, colour) in named.collect::<Vec<_>>().into_iter().rev() {
        text(svg, (end, top - 6.0), "end", colour, &series.name, "");
        end -= LETTER * (series.name.chars().count() + 2) as f64;
    }
}

fn draw_heat(svg: &mut String, plot: &Content) {
    let (left, top, width, height) = field();
    let finite = || plot.heat.iter().flatten().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let scale = Scale { low, high, step: 1.0 };
    let columns = plot.heat.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let (wide, tall) = (width / columns as f64, height / plot.heat.len().max(1) as f64);
    for (y, row) in plot.heat.iter().enumerate() {
        for (x, value) in row.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let share = scale.place(*value);
            // From pale to deep blue.
            let mix = |from: f64, to: f64| (from + (to - from) * share).round();
            let (red, green, blue) = (mix(235.0, 8.0), mix(243.0, 48.0), mix(251.0, 107.0));
            let (at_x, at_y) = (left + wide * x as f64, top + tall * y as f64);
            let _ = write!(
                svg,
                "<rect x=\"{at_x:.1}\" y=\"{at_y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" \
                 fill=\"rgb({red},{green},{blue})\"><title>{value}</title></rect>"
            );
        }
    }
    let every = |count: usize| count.div_ceil(12).max(1);
    for x in (0..columns).step_by(every(columns)) {
        text(svg, (left + wide * (x as f64 + 0.5), top + height + 16.0), "middle", "", &x.to_string(), "");
    }
    for y in (0..plot.heat.len()).step_by(every(plot.heat.len())) {
        text(svg, (left - 6.0, top + tall * (y as f64 + 0.5) + 4.0), "end", "", &y.to_string(), "");
    }
}

/// Writes words; nothing if there are none.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str, more: &str) {
    if words.is_empty() {
        return;
    }
    let colour = if colour.is_empty() { INK } else { colour };
    let words = escaped(words);
    let _ =
        write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{more}>{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::super::Plot;

    #[test]
    fn every_mark_is_drawn_and_words_are_escaped() {
        let plot = Plot::new()
            .line("a<b", &[0, 1], &[1.0, f64::NAN])
            .points("", &[0.5], &[2])
            .histogram("", &[1, 2, 2], 2)
            .title("x & y");
        let svg = plot.to_svg();
        for part in ["a&lt;b", "x &amp; y", "<circle", "<rect", "<path d=\"M"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_plot_of_nothing_is_an_empty_picture() {
        for plot in [Plot::new(), Plot::new().line("", &[0.0; 0], &[0.0; 0]), Plot::new().heat_map(&[[f64::NAN]])] {
            let svg = plot.to_svg();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
