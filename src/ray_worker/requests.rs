//! Requests of the engine to Python, as JSON: an object with the name of the operation, and what it is to be done with.

use crate::abi::{RayOption, RayOptions};
use crate::json::{JsonMap, JsonValue};

/// A request.
pub(super) fn request<const N: usize>(op: &str, what: [(&str, JsonValue); N]) -> JsonValue {
    let mut request: JsonMap = what.map(|(key, value)| (key.to_owned(), value)).into();
    request.insert("op".into(), op.into());
    JsonValue::Map(request)
}

/// Ids, or other numbers.
pub(super) fn integers(numbers: &[u64]) -> JsonValue {
    JsonValue::List(numbers.iter().map(|number| JsonValue::Integer((*number).into())).collect())
}

/// Options by name, as Python gives them to Ray. A place in a placement group is a list of the group's number and the bundle's, a node one of
/// its id and of whether another one will do.
pub(super) fn option_values(options: RayOptions) -> JsonValue {
    let value = |option| match option {
        RayOption::Float(number) => JsonValue::Float(number),
        RayOption::Int(number) => JsonValue::Integer(number.into()),
        RayOption::Text(text) => text.into(),
        RayOption::Bool(is) => JsonValue::Bool(is),
        RayOption::Amounts(amounts) => {
            JsonValue::Map(amounts.into_iter().map(|(name, amount)| (name, JsonValue::Float(amount))).collect())
        }
        RayOption::Env(env) => {
            let env = env.into_iter().map(|(name, value)| (name, value.into())).collect();
            JsonValue::map([("env_vars", JsonValue::Map(env))])
        }
        RayOption::Bundle { group, bundle } => {
            JsonValue::List(vec![JsonValue::Integer(group.into()), JsonValue::Integer(bundle.into())])
        }
        RayOption::Node { id, soft } => JsonValue::List(vec![id.into(), JsonValue::Bool(soft)]),
    };
    JsonValue::Map(options.into_iter().map(|(name, option)| (name.to_owned(), value(option))).collect())
}
