//! Days, as the date picker sends them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A day of the calendar.
///
/// ```
/// use mobula::widgets::Date;
/// let day = Date::new(2026, 11, 30);
/// assert_eq!((day.year, day.month, day.day, day.to_string().as_str()), (2026, 11, 30, "2026-11-30"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year.
    pub year: i32,
    /// The month, from 1.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
}

impl Date {
    /// A day; month and day count from 1.
    pub fn new(year: i32, month: u32, day: u32) -> Date {
        Date { year, month, day }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// The form of ipywidgets, whose months begin at 0.
#[derive(Serialize, Deserialize)]
struct Sent {
    year: i32,
    month: u32,
    date: u32,
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sent { year: self.year, month: self.month.saturating_sub(1), date: self.day }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let Sent { year, month, date } = Sent::deserialize(deserializer)?;
        Ok(Date { year, month: month.saturating_add(1), day: date })
    }
}
