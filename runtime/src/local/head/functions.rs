//! The functions that tasks run, numbered.
//!
//! A task names its function by a number, so that its description is short. A number never changes.

use crate::protocol::Function;
use std::collections::HashMap;

/// All functions of a runtime.
#[derive(Debug, Default)]
pub struct Functions {
    list: Vec<Function>,
    numbers: HashMap<Function, u32>,
}

impl Functions {
    /// The number of a function.
    pub fn number(&mut self, function: Function) -> u32 {
        if let Some(number) = self.numbers.get(&function) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.numbers.insert(function.clone(), number);
        self.list.push(function);
        number
    }

    /// The libraries that they are in.
    pub fn libraries(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|function| function.library.as_str())
    }

    /// The function of a number.
    pub fn get(&self, number: u32) -> Option<&Function> {
        self.list.get(number as usize)
    }

    /// The name of the function of a number, for people.
    pub fn name(&self, number: u32) -> &str {
        self.get(number).map_or("unknown", |function| &function.name)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_one_number_for_good() {
        let mut functions = Functions::default();
        let named =
            |name: &str| Function { library: String::new(), offset: 8, name: name.into(), folder: String::new() };
        let (f, g) = (functions.number(named("f")), functions.number(named("g")));
        assert_ne!(f, g);
        assert_eq!((functions.number(named("f")), functions.name(g), functions.name(7)), (f, "g", "unknown"));
    }
}
