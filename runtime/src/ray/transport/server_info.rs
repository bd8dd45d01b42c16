//! A cluster's description of itself, as it is told when a session starts.

use super::connect_error::OLDEST_RAY;

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerInfo {
    /// Ray's version.
    pub ray: String,
    /// Python's version, of the process that serves the session.
    pub python: String,
    /// Ray's commit.
    pub commit: String,
    /// How many attempts the start took.
    pub attempts: u32,
}

impl ServerInfo {
    /// Whether it does not take arguments as sessions send them.
    pub(super) fn is_too_old(&self) -> bool {
        is_too_old(&self.ray)
    }
}

/// Whether a version is older than [`OLDEST_RAY`]. One that is not in numbers is taken for new.
fn is_too_old(version: &str) -> bool {
    let numbers = |version: &str| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    numbers(version).is_some_and(|found| Some(found) < numbers(OLDEST_RAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ray_before_the_oldest_is_told_by_its_numbers() {
        assert!(is_too_old("2.4.1") && is_too_old("1.13.0"));
        assert!(!is_too_old("2.5.0") && !is_too_old("2.60.0") && !is_too_old("3.0.0.dev0") && !is_too_old("nightly"));
    }
}
