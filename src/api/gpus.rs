//! `gpu_ids`: the GPUs of the task that runs here.

/// Returns the names of the GPUs that the task which runs here has, as `CUDA_VISIBLE_DEVICES` gives them: numbers, or
/// ids such as `GPU-5a3…`. Empty in a task that asked for none, and in a cell. To CUDA, the first of them is device 0.
///
/// ```
/// # mobula::inline::attach();
/// # use mobula::prelude::*;
/// fn train() -> usize {
///     gpu_ids().len()
/// }
/// assert_eq!(get(train.remote())?, 0);
/// # Ok::<(), mobula::GetError>(())
/// ```
pub fn gpu_ids() -> Vec<String> {
    if crate::calls::role() != crate::abi::Tenant::WORKER {
        return Vec::new();
    }
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    visible.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
