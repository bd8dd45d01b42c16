//! Content of a plot: marks and words.

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub series: Vec<Series>,
    /// Rows of fields, from the top.
    pub heat: Vec<Vec<f64>>,
}

/// Marks in a plot.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub name: String,
    pub mark: Mark,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

/// The form of marks.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    Line,
    Points,
    /// From 0, one above each word.
    Bars(Vec<String>),
    /// From 0, each this wide, beginning at its `x`.
    Bins(f64),
}

/// The word of the bar at this place.
pub(super) fn word(words: &[String], place: f64) -> &str {
    words.get(place as usize).map_or("", String::as_str)
}
