//! A plot: what is drawn, with which words.

use super::content::{Content, Mark, Series};
use super::numbers::{Grid, Numbers};
use super::{svg, vega};
use crate::display::show_drawing;

/// How many points of one series are drawn. Of more, every second, third … is.
const POINTS_MAX: usize = 5000;

/// Lines, points, bars, a histogram or a heat map. As the last expression of a cell it is drawn: by Vega-Lite in JupyterLab
/// and VS Code, as a picture elsewhere.
///
/// Numbers that are not finite are left out. Of more than 5,000 points of a series every second, third … is drawn.
///
/// ```
/// use mobula::show::Plot;
/// let x: Vec<f64> = (0..100).map(|n| f64::from(n) / 10.0).collect();
/// let sine: Vec<f64> = x.iter().map(|x| x.sin()).collect();
/// Plot::new().line("sine", &x, &sine).points("each second", &[0, 2, 4], &[0.0, 0.9, -0.8]).title("Waves").show();
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a plot is drawn as the last expression of a cell, or by `.show()`"]
pub struct Plot {
    content: Content,
}

/// A line through numbers, one beside the other.
///
/// ```
/// mobula::show::plot(&[1, 4, 9, 16]).title("squares").show();
/// ```
pub fn plot(numbers: &(impl Numbers + ?Sized)) -> Plot {
    let y = numbers.numbers();
    let x: Vec<f64> = (0..y.len()).map(|place| place as f64).collect();
    Plot::new().line("", &x, &y)
}

impl Plot {
    /// An empty plot.
    pub fn new() -> Plot {
        Plot::default()
    }

    /// Adds a line through points. Where one list is longer, its rest is left out.
    pub fn line(self, name: &str, x: &(impl Numbers + ?Sized), y: &(impl Numbers + ?Sized)) -> Plot {
        self.with(name, Mark::Line, x.numbers(), y.numbers())
    }

    /// Adds points.
    pub fn points(self, name: &str, x: &(impl Numbers + ?Sized), y: &(impl Numbers + ?Sized)) -> Plot {
        self.with(name, Mark::Points, x.numbers(), y.numbers())
    }

    /// Adds a bar above each word.
    ///
    /// ```
    /// mobula::show::Plot::new().bars("tasks", &["ok", "failed"], &[12, 3]).show();
    /// ```
    pub fn bars(self, name: &str, words: &[impl ToString], heights: &(impl Numbers + ?Sized)) -> Plot {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let x = (0..words.len()).map(|place| place as f64).collect();
        self.with(name, Mark::Bars(words), x, heights.numbers())
    }

    /// Adds a histogram: how many of the numbers are in each of so many parts of their range.
    ///
    /// ```
    /// mobula::show::Plot::new().histogram("", &[1.0, 1.5, 2.0, 5.0], 4).show();
    /// ```
    pub fn histogram(self, name: &str, numbers: &(impl Numbers + ?Sized), bins: usize) -> Plot {
        let numbers: Vec<f64> = numbers.numbers().into_iter().filter(|number| number.is_finite()).collect();
        let bins = bins.clamp(1, POINTS_MAX);
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let width = if high > low { high / bins as f64 - low / bins as f64 } else { 1.0 };
        let mut counts = vec![0.0; bins];
        for number in &numbers {
            // The highest number belongs to the last part.
            counts[(((number - low) / width) as usize).min(bins - 1)] += 1.0;
        }
        let low = if low.is_finite() { low } else { 0.0 };
        let x = (0..bins).map(|bin| low + width * bin as f64).collect();
        self.with(name, Mark::Bins(width), x, counts)
    }

    /// Draws rows of numbers as fields, the first row at the top; a plot of these alone.
    ///
    /// ```
    /// mobula::show::Plot::new().heat_map(&[[1, 2], [3, 4]]).show();
    /// ```
    pub fn heat_map(mut self, rows: &(impl Grid + ?Sized)) -> Plot {
        self.content.heat = rows.rows_of_numbers();
        self
    }

    /// Sets the title.
    pub fn title(mut self, title: &str) -> Plot {
        self.content.title = title.to_owned();
        self
    }

    /// Sets the words of the axis to the right.
    pub fn x_label(mut self, label: &str) -> Plot {
        self.content.x_label = label.to_owned();
        self
    }

    /// Sets the words of the axis upwards.
    pub fn y_label(mut self, label: &str) -> Plot {
        self.content.y_label = label.to_owned();
        self
    }

    /// Draws the plot now, and not as the result of the cell.
    pub fn show(&self) {
        self.draw("display");
    }

    /// Draws the plot as the result of the cell.
    #[doc(hidden)]
    pub fn evcxr_display(&self) {
        self.draw("result");
    }

    /// The plot as an SVG picture.
    ///
    /// ```
    /// assert!(mobula::show::plot(&[1, 2]).to_svg().starts_with("<svg"));
    /// ```
    pub fn to_svg(&self) -> String {
        svg::picture(&self.content)
    }

    fn draw(&self, kind: &str) {
        let forms = [
            ("application/vnd.vegalite.v5+json", vega::spec(&self.content)),
            ("image/svg+xml", self.to_svg()),
            ("text/plain", self.text()),
        ];
        show_drawing(kind, forms);
    }

    fn with(mut self, name: &str, mark: Mark, x: Vec<f64>, y: Vec<f64>) -> Plot {
        let step = x.len().min(y.len()).div_ceil(POINTS_MAX).max(1);
        let is_finite = |(_, (x, y)): &(usize, (f64, f64))| x.is_finite() && y.is_finite();
        let points = x.into_iter().zip(y).enumerate().filter(is_finite);
        let (x, y) = points.filter(|(place, _)| place % step == 0).map(|(_, point)| point).unzip();
        self.content.series.push(Series { name: name.to_owned(), mark, x, y });
        self
    }

    /// What it shows, in words.
    fn text(&self) -> String {
        let Content { title, series, heat, .. } = &self.content;
        let mut parts: Vec<String> = Vec::new();
        for Series { name, mark, x, .. } in series {
            let (what, of) = match mark {
                Mark::Line => ("line", "points"),
                Mark::Points => ("points", "points"),
                Mark::Bars(_) => ("bars", "bars"),
                Mark::Bins(_) => ("histogram", "bins"),
            };
            let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
            parts.push(format!("{what}{name}, {} {of}", x.len()));
        }
        if let Some(row) = heat.first() {
            parts.push(format!("heat map, {} x {} fields", heat.len(), row.len()));
        }
        let title = if title.is_empty() { String::new() } else { format!(" “{}”", title) };
        format!("plot{title}: {}", if parts.is_empty() { "nothing".into() } else { parts.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_finite_number_once() {
        let plot = Plot::new().histogram("h", &[0.0, 0.5, 1.0, 2.0, f64::NAN, f64::INFINITY], 4);
        let Series { x, y, mark, .. } = &plot.content.series[0];
        assert_eq!((x.as_slice(), y.as_slice()), (&[0.0, 0.5, 1.0, 1.5][..], &[1.0, 1.0, 1.0, 1.0][..]));
        assert_eq!(*mark, Mark::Bins(0.5));
        assert_eq!(Plot::new().histogram("", &[3, 3, 3], 2).content.series[0].y, [3.0, 0.0]);
        assert_eq!(Plot::new().histogram("", &[0.0; 0], 2).content.series[0].y, [0.0, 0.0]);
    }

    #[test]
    fn of_many_points_some_are_drawn_and_the_text_says_what_is_there() {
        let y: Vec<u32> = (0..12_000).collect();
        let plot = plot(&y).title("up");
        assert_eq!(plot.content.series[0].x.len(), 4000);
        assert_eq!(plot.text(), "plot “up”: line, 4000 points");
        let heat = Plot::new().heat_map(&[[1, 2, 3], [4, 5, 6]]);
        assert_eq!(heat.text(), "plot: heat map, 2 x 3 fields");
        assert_eq!(Plot::new().text(), "plot: nothing");
    }
}
