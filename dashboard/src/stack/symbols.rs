//! The names, files and lines of addresses, from the symbols and the debug information of modules.

use super::Frame;
use super::modules::{Image, Modules};
use addr2line::{Loader, demangle_auto};
use object::read::{File, Object, SymbolMap, SymbolMapName};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

/// Files that have been read for symbols. What is read stays until this is dropped.
#[derive(Default)]
pub struct Symbols {
    /// `None` for a file that cannot be read.
    files: HashMap<PathBuf, Option<Loader>>,
}

impl Symbols {
    /// The frames at an address, newest first: those of functions that the compiler has put into others, then the function itself. Of a
    /// return address, the call before it is meant.
    pub fn frames(&mut self, modules: &Modules, address: u64, is_return: bool) -> Vec<Frame> {
        let call = address - u64::from(is_return);
        let unknown =
            |module: &str| Frame { function: format!("{address:#x}"), module: module.into(), ..Frame::default() };
        let Some(mapping) = modules.mapping_at(call) else { return vec![unknown("")] };
        let unknown = || vec![Frame { is_own: mapping.is_program, ..unknown(&mapping.name) }];
        let Some((_, probe)) = modules.in_file(call) else { return unknown() };
        let mut frames = match &mapping.image {
            Image::File(path) => {
                let read = || Loader::new(path).ok();
                let loader = self.files.entry(path.clone()).or_insert_with(read);
                loader.as_ref().map_or_else(Vec::new, |loader| of_file(loader, probe))
            }
            Image::Bytes(bytes) => of_bytes(bytes, probe),
            Image::Gone => Vec::new(),
        };
        for frame in &mut frames {
            (frame.module, frame.is_own) = (mapping.name.clone(), mapping.is_program);
        }
        if frames.is_empty() { unknown() } else { frames }
    }
}

fn of_file(loader: &Loader, probe: u64) -> Vec<Frame> {
    let mut found = Vec::new();
    if let Ok(mut frames) = loader.find_frames(probe) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
            let (file, line) = frame.location.map_or((None, None), |place| (place.file.map(str::to_owned), place.line));
            let function = name.unwrap_or_default();
            found.push(Frame { function, file, line, ..Frame::default() });
        }
    }
    // Without debug information there is the symbol, which is that of the function into which the others were put.
    let symbol = loader.find_symbol(probe).map(demangled);
    match (found.last_mut(), symbol) {
        (Some(last), Some(symbol)) if last.function.is_empty() => last.function = symbol,
        (None, Some(function)) => found.push(Frame { function, ..Frame::default() }),
        _ => {}
    }
    found.retain(|frame| !frame.function.is_empty());
    found
}

fn of_bytes(bytes: &[u8], probe: u64) -> Vec<Frame> {
    let Ok(file) = File::parse(bytes) else { return Vec::new() };
    let symbols: SymbolMap<SymbolMapName<'_>> = file.symbol_map();
    let symbol = symbols.containing(probe).map(|symbol| demangled(symbol.name()));
    symbol.map(|function| Frame { function, ..Frame::default() }).into_iter().collect()
}

fn demangled(symbol: &str) -> String {
    demangle_auto(Cow::Borrowed(symbol), None).into_owned()
}
