//! Statistics of a column.

use crate::display::Sample;
use std::collections::HashMap;

/// The measures, in the order in which they are shown.
pub(super) const MEASURES: [&str; 12] =
    ["count", "missing", "mean", "std", "min", "25%", "50%", "75%", "max", "unique", "top", "frequency"];

/// What the values of a column are like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Summary {
    /// The column has numbers.
    Numbers(NumberSummary),
    /// The column has other values, or none.
    Texts(TextSummary),
}

/// What the numbers of a column are like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NumberSummary {
    /// How many there are, without the missing ones.
    pub count: usize,
    /// How many are missing: `None`, null, NaN.
    pub missing: usize,
    /// Their mean; NaN if there are none, as all measures below are.
    pub mean: f64,
    /// Their standard deviation as that of a sample (divided by one less than their count); NaN for a single number.
    pub standard_deviation: f64,
    /// The least.
    pub min: f64,
    /// The numbers that 25 %, 50 % and 75 % of them do not exceed, interpolated between neighbours.
    pub quartiles: [f64; 3],
    /// The greatest.
    pub max: f64,
}

/// What the values of a column that has not only numbers are like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextSummary {
    /// How many there are, without the missing ones.
    pub count: usize,
    /// How many are missing: `None`, null.
    pub missing: usize,
    /// How many different ones there are.
    pub unique: usize,
    /// The most frequent; of several, the first by name.
    pub top: String,
    /// How often that occurs.
    pub frequency: usize,
}

/// The values of a column.
#[derive(Debug, Default)]
pub(super) struct Column {
    missing: usize,
    numbers: Vec<f64>,
    /// How often each text occurs. As soon as there is one, numbers count as texts, too.
    texts: HashMap<String, usize>,
}

impl Column {
    /// Adds a value.
    pub(super) fn add(&mut self, sample: Sample<'_>) {
        match sample {
            Sample::Missing => self.missing += 1,
            Sample::Number(number) if number.is_nan() => self.missing += 1,
            Sample::Number(number) if self.texts.is_empty() => self.numbers.push(number),
            Sample::Number(number) => self.count(&number.to_string()),
            Sample::Text(text) => {
                let numbers = std::mem::take(&mut self.numbers);
                self.count(text);
                numbers.iter().for_each(|number| self.count(&number.to_string()));
            }
        }
    }

    fn count(&mut self, text: &str) {
        match self.texts.get_mut(text) {
            Some(count) => *count += 1,
            None => drop(self.texts.insert(text.to_owned(), 1)),
        }
    }

    /// What they are like.
    pub(super) fn summary(self) -> Summary {
        let Column { missing, mut numbers, texts } = self;
        if !numbers.is_empty() {
            numbers.sort_by(f64::total_cmp);
            return Summary::Numbers(of_sorted(&numbers, missing));
        }
        let (count, unique) = (texts.values().sum(), texts.len());
        let first = texts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
        let (top, frequency) = first.unwrap_or_default();
        Summary::Texts(TextSummary { count, missing, unique, top, frequency })
    }
}

fn of_sorted(numbers: &[f64], missing: usize) -> NumberSummary {
    let count = numbers.len();
    let mean = numbers.iter().sum::<f64>() / count as f64;
    let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
    let quantile = |part: f64| {
        let place = part * (count - 1) as f64;
        let (low, high) = (numbers[place.floor() as usize], numbers[place.ceil() as usize]);
        // Equal neighbours may be infinite.
        if low == high { low } else { low + (high - low) * place.fract() }
    };
    NumberSummary {
        count,
        missing,
        mean,
        standard_deviation: (squares / (count as f64 - 1.0)).sqrt(),
        min: numbers[0],
        quartiles: [0.25, 0.5, 0.75].map(quantile),
        max: numbers[count - 1],
    }
}

impl Summary {
    /// The measures and their values, as text.
    pub(super) fn measures(&self) -> Vec<(&'static str, String)> {
        match self {
            Summary::Numbers(numbers) => {
                let NumberSummary { count, missing, mean, standard_deviation, min, quartiles: [q1, q2, q3], max } =
                    numbers;
                let measures = [*mean, *standard_deviation, *min, *q1, *q2, *q3, *max].map(digits);
                let counts = [count.to_string(), missing.to_string()];
                MEASURES.into_iter().zip(counts.into_iter().chain(measures)).collect()
            }
            Summary::Texts(TextSummary { count, missing, unique, top, frequency }) => vec![
                ("count", count.to_string()),
                ("missing", missing.to_string()),
                ("unique", unique.to_string()),
                ("top", top.clone()),
                ("frequency", frequency.to_string()),
            ],
        }
    }
}

/// A number in six significant digits; an integer in all of its own.
fn digits(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() || number == 0.0 || number.fract() == 0.0 && size < 1e15 {
        return number.to_string();
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{number:.5e}");
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(1, 9) as usize;
    let text = format!("{number:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(samples: &[Sample<'_>]) -> Summary {
        let mut column = Column::default();
        samples.iter().for_each(|sample| column.add(*sample));
        column.summary()
    }

    fn numbers(numbers: &[f64]) -> NumberSummary {
        match summary(&numbers.iter().map(|number| Sample::Number(*number)).collect::<Vec<_>>()) {
            Summary::Numbers(numbers) => numbers,
            Summary::Texts(texts) => panic!("{texts:?}"),
        }
    }

    #[test]
    fn measures_are_those_of_pandas() {
        // pandas.Series([3, 1, 4, 1, 5, 9, 2, 6]).describe()
        let of = numbers(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]);
        assert_eq!((of.count, of.mean, of.min, of.max), (8, 3.875, 1.0, 9.0));
        assert_eq!(of.quartiles, [1.75, 3.5, 5.25]);
        assert!((of.standard_deviation - 2.748_376_143_938_713).abs() < 1e-12, "{of:?}");
    }

    #[test]
    fn one_number_has_no_deviation_and_infinity_is_a_number() {
        let one = numbers(&[7.0]);
        assert!(one.standard_deviation.is_nan() && one.quartiles == [7.0; 3]);
        let endless = numbers(&[1.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!((endless.max, endless.quartiles[2], endless.count), (f64::INFINITY, f64::INFINITY, 3));
    }

    #[test]
    fn numbers_among_texts_are_texts_and_of_equal_counts_the_first_is_top() {
        use Sample::{Missing, Number, Text};
        let Summary::Texts(texts) = summary(&[Number(1.0), Text("b"), Missing, Number(1.0), Text("b"), Text("a")])
        else {
            panic!("there are texts")
        };
        let expected = TextSummary { count: 5, missing: 1, unique: 3, top: "1".into(), frequency: 2 };
        assert_eq!(texts, expected);
        let Summary::Texts(none) = summary(&[Missing]) else { panic!("there are no numbers") };
        assert_eq!((none.count, none.top.as_str(), none.frequency), (0, "", 0));
    }

    #[test]
    fn six_digits_say_enough() {
        let cases = [
            (2.0, "2"),
            (123_456_789.0, "123456789"),
            (0.1 + 0.2, "0.3"),
            (1234.5678, "1234.57"),
            (123_456_789.12, "123456789.1"),
            (0.000_012_345, "1.23450e-5"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
        ];
        for (number, text) in cases {
            assert_eq!(digits(number), text);
        }
    }
}
