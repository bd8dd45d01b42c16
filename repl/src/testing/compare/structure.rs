//! JSON, compared by structure: the order of members and far decimals do not count, and a difference is named by its
//! path.

use super::super::rules::Rules;
use serde_json::{Map, Value};

/// How far apart two numbers may be that count as one, in relation to them.
const NEAR: f64 = 1e-9;

/// How many differences are named.
const NAMED_MAX: usize = 10;

/// The value without what varies in its texts.
pub fn plain(value: &Value, rules: &Rules) -> Value {
    match value {
        Value::String(text) => Value::String(rules.apply(text)),
        Value::Array(items) => items.iter().map(|item| plain(item, rules)).collect(),
        Value::Object(members) => {
            let plain = members.iter().map(|(name, value)| (name.clone(), plain(value, rules)));
            Value::Object(plain.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// What differs, one path a line.
pub fn difference(stored: &Value, new: &Value) -> Option<String> {
    let mut said = Vec::new();
    compare("$", stored, new, &mut said);
    let more = said.len().saturating_sub(NAMED_MAX);
    said.truncate(NAMED_MAX);
    if more > 0 {
        said.push(format!("… and {more} more"));
    }
    (!said.is_empty()).then(|| said.join("\n"))
}

fn compare(path: &str, stored: &Value, new: &Value, said: &mut Vec<String>) {
    match (stored, new) {
        (Value::Object(stored), Value::Object(new)) => {
            for (name, value) in stored {
                match new.get(name) {
                    Some(new) => compare(&format!("{path}.{name}"), value, new, said),
                    None => said.push(format!("-{path}.{name}: {value}")),
                }
            }
            let added = new.iter().filter(|(name, _)| !stored.contains_key(*name));
            said.extend(added.map(|(name, value)| format!("+{path}.{name}: {value}")));
        }
        (Value::Array(stored), Value::Array(new)) => {
            for (place, (stored, new)) in stored.iter().zip(new).enumerate() {
                compare(&format!("{path}[{place}]"), stored, new, said);
            }
            if stored.len() != new.len() {
                said.push(format!("{path}: {} items are stored, and {} came", stored.len(), new.len()));
            }
        }
        (Value::Number(one), Value::Number(other)) if are_near(one.as_f64(), other.as_f64()) => {}
        (stored, new) if stored == new => {}
        (stored, new) => said.push(format!("{path}: {stored} is stored, and {new} came")),
    }
}

fn are_near(one: Option<f64>, other: Option<f64>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    (one - other).abs() <= NEAR * one.abs().max(other.abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_named_by_path_and_far_decimals_do_not_count() {
        let stored = json!({"rows": [{"a": 1.0, "b": "x"}, {"a": 2}], "gone": 1});
        let new = json!({"rows": [{"b": "y", "a": 1.000_000_000_000_1}, {"a": 3}, 4]});
        let said = difference(&stored, &new).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            lines,
            [
                "-$.gone: 1",
                "$.rows[0].b: \"x\" is stored, and \"y\" came",
                "$.rows[1].a: 2 is stored, and 3 came",
                "$.rows: 2 items are stored, and 3 came",
            ]
        );
        assert_eq!(difference(&stored, &stored), None);
    }
}
