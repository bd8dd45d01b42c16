//! The machine's GPUs, as CUDA names them.
//!
//! ```text
//!   CUDA_VISIBLE_DEVICES, if it is set ─▶ its names      else the driver's count, by NVML ─▶ 0, 1, …      else none
//! ```

use std::path::Path;
use std::sync::OnceLock;

/// The names of the GPUs that this process may use, looked up once. The driver is asked only where there is one, because that takes tens of
/// milliseconds.
pub(super) fn found() -> &'static [String] {
    static FOUND: OnceLock<Vec<String>> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => named(&visible),
        Err(_) => (0..counted()).map(|index| index.to_string()).collect(),
    })
}

/// The name that CUDA knows a GPU by. One that was not found, but promised by `num_gpus`, has its number.
pub(super) fn name_of(index: u32) -> String {
    found().get(index as usize).cloned().unwrap_or_else(|| index.to_string())
}

/// The names in `CUDA_VISIBLE_DEVICES`, up to the first invalid one, as CUDA reads it.
fn named(visible: &str) -> Vec<String> {
    let is_name =
        |name: &&str| name.parse::<u32>().is_ok() || ["GPU-", "MIG-"].iter().any(|prefix| name.starts_with(prefix));
    visible.split(',').map(str::trim).take_while(is_name).map(str::to_owned).collect()
}

fn counted() -> u32 {
    if !["/dev/nvidiactl", "/dev/dxg"].iter().any(|driver| Path::new(driver).exists()) {
        return 0;
    }
    let counted = nvml_wrapper::Nvml::init().and_then(|nvml| nvml.device_count());
    counted.unwrap_or_else(|error| {
        tracing::info!(%error, "GPUs are not counted");
        0
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_are_read_as_cuda_reads_them() {
        assert_eq!(named("2, 0,GPU-5a3"), ["2", "0", "GPU-5a3"]);
        assert_eq!(named("1,-1,0"), ["1"]);
        assert!(named("").is_empty() && named("NoDevFiles").is_empty());
    }

    #[test]
    fn a_gpu_that_was_only_promised_has_its_number() {
        assert_eq!(name_of(100_000), "100000");
    }
}
