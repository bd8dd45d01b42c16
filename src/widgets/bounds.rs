//! Bounds of a number: what changes with a change, so that the value stays between `min` and `max`.

use crate::json::{JsonMap, JsonValue};
use std::cmp::Ordering;

/// A change of a state, with the value that it makes necessary. While `min` is above `max`, because only one of them is set yet, `min` counts.
pub(super) fn within(mut change: JsonMap, state: &JsonMap) -> JsonMap {
    let of = |key: &str| change.get(key).or_else(|| state.get(key)).cloned().unwrap_or_default();
    let (value, min, max) = (of("value"), of("min"), of("max"));
    let within = if is_less(&value, &min) {
        min
    } else if is_less(&max, &value) && !is_less(&max, &min) {
        max
    } else {
        return change;
    };
    change.insert("value".into(), within);
    change
}

/// Whether a number is less than another one. False of what is no number, such as a bound that was never set.
fn is_less(a: &JsonValue, b: &JsonValue) -> bool {
    let order = match (a, b) {
        (JsonValue::Integer(a), JsonValue::Integer(b)) => Some(a.cmp(b)),
        (JsonValue::Float(a), JsonValue::Float(b)) => a.partial_cmp(b),
        // A front end writes 1.0 as 1.
        (JsonValue::Integer(a), JsonValue::Float(b)) => (*a as f64).partial_cmp(b),
        (JsonValue::Float(a), JsonValue::Integer(b)) => a.partial_cmp(&(*b as f64)),
        _ => None,
    };
    order == Some(Ordering::Less)
}

#[cfg(test)]
mod tests {
    use crate::widgets::{FloatSlider, IntProgress, IntSlider};

    #[test]
    fn a_value_stays_within_its_bounds_when_it_or_they_are_set() {
        let slider = IntSlider::new(3).max(10);
        slider.set_value(11);
        assert_eq!(slider.value(), 10);
        slider.set_value(-1);
        assert_eq!(slider.value(), 0);
        slider.set_value(10);
        slider.set_max(7);
        assert_eq!(slider.value(), 7);
        slider.set_min(8);
        assert_eq!(slider.value(), 8, "the least value counts until the greatest one is set, too");
        slider.set_max(20);
        assert_eq!(slider.value(), 8);
        assert_eq!(IntSlider::new(500).min(200).max(300).value(), 300);
        assert_eq!(IntProgress::new(5).max(3).value(), 3);
        let share = FloatSlider::new(0.5).max(1.0);
        share.set_value(1.5);
        assert_eq!(share.value(), 1.0);
        share.set_value(f64::NAN);
        assert_eq!(share.value(), 0.0, "JSON has no such number");
    }
}
