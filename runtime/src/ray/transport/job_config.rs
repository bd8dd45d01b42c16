//! The pickled description of the job that a session becomes.

use super::options::ConnectOptions;
use super::pickle::{self, WriteError};
use super::value::Value;
use bytes::Bytes;

/// `JobConfig(ray_namespace=…, runtime_env=…, metadata=…)`.
pub(super) fn job_config(options: &ConnectOptions) -> Result<Bytes, WriteError> {
    let mut named = Vec::new();
    if let Some(namespace) = &options.namespace {
        named.push(("ray_namespace".to_owned(), Value::text(namespace)));
    }
    if !options.runtime_env.is_empty() {
        let entries = options.runtime_env.iter().map(|(name, value)| (Value::text(name), value.clone()));
        named.push(("runtime_env".to_owned(), Value::Dict(entries.collect())));
    }
    if !options.metadata.is_empty() {
        let entries = options.metadata.iter().map(|(name, value)| (Value::text(name), Value::text(value)));
        named.push(("metadata".to_owned(), Value::Dict(entries.collect())));
    }
    let config = Value::call_named(Value::global("ray.job_config", "JobConfig"), Vec::new(), named);
    let pieces = pickle::write(&config, "", &|_| None)?;
    Ok(pieces.finish().concat().into())
}
