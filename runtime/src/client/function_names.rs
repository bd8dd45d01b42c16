//! The names of functions in a table, of which its entries give the index.

use super::{Client, Fallible};
use std::collections::HashMap;

/// The names of functions, in the order in which they were met.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<String>,
    index_of: HashMap<u32, u32>,
    /// A function that is compiled again, or has other options, has another number and the same name.
    index_of_name: HashMap<String, u32>,
}

impl Names {
    /// The index of a function's name.
    pub(super) fn index(&mut self, client: &Client, function: u32) -> Fallible<u32> {
        if let Some(index) = self.index_of.get(&function) {
            return Ok(*index);
        }
        let name = client.known_function(function)?.map_or("unknown".into(), |function| function.name);
        let next = self.list.len() as u32;
        let index = *self.index_of_name.entry(name).or_insert_with_key(|name| {
            self.list.push(name.clone());
            next
        });
        self.index_of.insert(function, index);
        Ok(index)
    }

    /// The names, by index.
    pub(super) fn list(&self) -> &[String] {
        &self.list
    }
}
