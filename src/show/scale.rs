//! Scales: from numbers to places on an axis, with ticks at round numbers.

/// How many ticks an axis has, about.
const TICKS: f64 = 6.0;

/// An axis from its first to its last number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    /// Between two ticks.
    pub step: f64,
}

impl Scale {
    /// An axis on which all these numbers are, that ends at ticks. Numbers that are not finite do not count.
    pub fn of(numbers: impl Iterator<Item = f64>) -> Scale {
        let finite = numbers.filter(|number| number.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
        let (low, high) = match (low.is_finite(), high - low) {
            (false, _) => (0.0, 1.0),
            // One number has room on both sides.
            (true, 0.0) => (low - low.abs().max(1.0) / 2.0, low + low.abs().max(1.0) / 2.0),
            _ => (low, high),
        };
        let step = round_step((high / TICKS) - (low / TICKS));
        Scale { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// The place of a number, between 0 and 1.
    pub fn place(self, number: f64) -> f64 {
        let width = self.high - self.low;
        if width > 0.0 { (number - self.low) / width } else { 0.5 }
    }

    /// The ticks, each with its text.
    pub fn ticks(self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round().clamp(0.0, 50.0) as usize;
        let digits = (-self.step.log10().floor()).clamp(0.0, 12.0) as usize;
        let text = |number: f64| {
            let is_plain = number == 0.0 || (1e-4..1e7).contains(&number.abs());
            if is_plain { format!("{number:.digits$}") } else { format!("{number:e}") }
        };
        let numbers = (0..=count).map(|tick| self.low + self.step * tick as f64);
        // What is left of a subtraction is no tick of its own.
        numbers.map(|number| if number.abs() < self.step * 1e-9 { 0.0 } else { number }).map(|n| (n, text(n))).collect()
    }
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * power >= step * (1.0 - 1e-9));
    let step = round.unwrap_or(10.0) * power;
    if step.is_finite() && step > 0.0 { step } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(numbers: &[f64]) -> Vec<String> {
        Scale::of(numbers.iter().copied()).ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_at_round_numbers_and_hold_all() {
        assert_eq!(texts(&[0.0, 10.0]), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(&[-0.13, 0.21]), ["-0.2", "-0.1", "0.0", "0.1", "0.2", "0.3"]);
        assert_eq!(texts(&[3.0, f64::NAN]), ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5"]);
        assert_eq!(texts(&[]).first().map(String::as_str), Some("0.0"));
        assert_eq!(texts(&[0.0, 6e9]), ["0", "1e9", "2e9", "3e9", "4e9", "5e9", "6e9"]);
    }

    #[test]
    fn whatever_the_numbers_are_an_axis_has_some_ticks_and_a_place_for_each() {
        for numbers in [&[f64::MAX, f64::MIN][..], &[1e-300, 2e-300], &[1e16, 1e16 + 2.0], &[f64::INFINITY], &[-7.0]] {
            let scale = Scale::of(numbers.iter().copied());
            assert!((1..=51).contains(&scale.ticks().len()), "{numbers:?}: {scale:?}");
            for number in numbers.iter().filter(|number| number.is_finite()) {
                let place = scale.place(*number);
                assert!(!place.is_finite() || (-1e-6..=1.000_001).contains(&place), "{number} is at {place}");
            }
        }
    }
}
