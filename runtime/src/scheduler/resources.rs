//! Exact amounts of named resources.
//!
//! Amounts are whole ten-thousandths, as in Ray. Three tasks of a third of a GPU each must leave no rounding error,
//! which sums of floating-point numbers do not promise.

use super::names::{BUNDLE, CPU, MEMORY, is_cpu, of_name};
use std::collections::BTreeMap;

/// One of a resource, in the ten-thousandths in which amounts are counted.
pub const UNIT: i64 = 10_000;

/// The most of a resource, and of memory: amounts are counted in an `i64`.
const MOST: f64 = 1e9;
const MOST_MEMORY: f64 = 1e14;

/// Why amounts are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{amount} is not a valid amount of {name}: use a number from 0 to 1000000000 (of memory, 100 TB)")]
pub struct ResourcesError {
    /// The resource's name.
    pub name: String,
    /// The amount asked for.
    pub amount: f64,
}

/// Amounts by name. A resource that is not named has amount 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resources(BTreeMap<String, i64>);

impl Resources {
    /// The resources of a task without options.
    pub fn one_cpu() -> Resources {
        Resources(BTreeMap::from([(CPU.to_owned(), UNIT)]))
    }

    /// The amounts given, to four decimal places.
    ///
    /// # Errors
    /// An amount that is negative, not finite, or beyond a thousand million (of memory, 100 TB).
    pub fn new<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Result<Resources, ResourcesError> {
        let mut all = BTreeMap::new();
        for (name, amount) in amounts {
            if !(0.0..=if name == MEMORY { MOST_MEMORY } else { MOST }).contains(&amount) {
                return Err(ResourcesError { name: name.to_owned(), amount });
            }
            all.insert(name.to_owned(), (amount * UNIT as f64).round() as i64);
        }
        Ok(Resources(all))
    }

    /// So much of one resource.
    pub(super) fn of(name: &str, amount: f64) -> Resources {
        Resources(BTreeMap::from([(name.to_owned(), (amount * UNIT as f64).round() as i64)]))
    }

    /// The same amounts under other names.
    pub(super) fn renamed(&self, name: impl Fn(&str) -> String) -> Resources {
        Resources(self.0.iter().map(|(known, amount)| (name(known), *amount)).collect())
    }

    /// The amounts of CPUs, and of all else.
    pub(super) fn cpus_and_others(&self) -> (Resources, Resources) {
        let (cpus, others) = self.0.clone().into_iter().partition(|(name, _)| is_cpu(name));
        (Resources(cpus), Resources(others))
    }

    /// Whether `self` has at least `needs`.
    pub fn fit(&self, needs: &Resources) -> bool {
        needs.0.iter().all(|(name, need)| *need <= self.0.get(name).copied().unwrap_or(0))
    }

    /// Takes `needs` away. The rest may be negative, because a task that has waited goes on at once.
    pub fn take(&mut self, needs: &Resources) {
        self.change(needs, -1);
    }

    /// Puts `needs` back.
    pub fn give(&mut self, needs: &Resources) {
        self.change(needs, 1);
    }

    /// Name and amount, sorted by name; what placement groups have is left out.
    pub fn list(&self) -> Vec<(String, f64)> {
        let all = self.0.iter().filter(|(name, _)| of_name(name).is_none());
        all.map(|(name, amount)| (name.clone(), *amount as f64 / UNIT as f64)).collect()
    }

    /// The amount of one resource.
    pub fn amount(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0) as f64 / UNIT as f64
    }

    /// The amount of one resource, in ten-thousandths.
    pub fn units(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// The amounts of all other resources.
    pub fn without(&self, name: &str) -> Resources {
        let others = self.0.iter().filter(|(known, _)| *known != name);
        Resources(others.map(|(name, amount)| (name.clone(), *amount)).collect())
    }

    /// How often `needs` can be taken.
    pub fn times(&self, needs: &Resources) -> usize {
        let times = |(name, need): (&String, &i64)| self.units(name).max(0) / need;
        let fewest = needs.0.iter().filter(|(_, need)| **need > 0).map(times).min();
        fewest.map_or(usize::MAX, |times| usize::try_from(times).unwrap_or(usize::MAX))
    }

    fn change(&mut self, needs: &Resources, sign: i64) {
        for (name, need) in &needs.0 {
            match self.0.get_mut(name) {
                Some(amount) => *amount += sign * need,
                None => drop(self.0.insert(name.clone(), sign * need)),
            }
        }
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut comma = "";
        for (name, amount) in self.0.iter().map(|(name, amount)| (name, *amount as f64 / UNIT as f64)) {
            match of_name(name) {
                // The same is there for the whole group; and whoever needs anything of a group needs a place there.
                Some((_, None)) => continue,
                Some((BUNDLE, Some(group))) if self.0.len() <= 2 => {
                    write!(f, "{comma}a place in placement group {group}")?;
                }
                Some((BUNDLE, _)) => continue,
                Some((resource, Some(group))) => write!(f, "{comma}{amount} {resource} of placement group {group}")?,
                None if name == MEMORY => write!(f, "{comma}{:.1} MiB {name}", amount / f64::from(1 << 20))?,
                None => write!(f, "{comma}{amount} {name}")?,
            }
            comma = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_add_up() {
        let mut free = Resources::new([("GPU", 1.0)]).unwrap();
        let third = Resources::new([("GPU", 0.3333)]).unwrap();
        (0..3).for_each(|_| free.take(&third));
        assert!(!free.fit(&third));
        (0..3).for_each(|_| free.give(&third));
        assert_eq!(free, Resources::new([("GPU", 1.0)]).unwrap());
    }

    #[test]
    fn memory_is_counted_in_bytes_and_told_in_mebibytes() {
        let most = Resources::new([(MEMORY, MOST_MEMORY)]).unwrap();
        assert_eq!(most.amount(MEMORY), MOST_MEMORY);
        let some = Resources::new([("CPU", 1.0), (MEMORY, 1.5 * f64::from(1 << 20))]).unwrap();
        assert_eq!(some.to_string(), "1 CPU, 1.5 MiB memory");
    }

    #[test]
    fn an_amount_that_is_none_is_refused_by_name() {
        for amount in [-1.0, f64::NAN, f64::INFINITY] {
            let error = Resources::new([("tpu", amount)]).unwrap_err();
            assert!(error.to_string().contains("tpu"));
        }
    }
}
