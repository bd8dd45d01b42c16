//! Modules: the program and the libraries whose code a process runs, and their unwind tables, read from the files.

use gimli::{BaseAddresses, EndianSlice, LittleEndian};
use object::read::{File, Object, ObjectSection, ObjectSegment, ReadCache, ReadRef};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of a section.
pub type Section<'a> = EndianSlice<'a, LittleEndian>;

/// Where a module's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// In a file.
    File(PathBuf),
    /// In these bytes, copied from the process: code that the kernel lends to each process.
    Bytes(Vec<u8>),
    /// Nowhere: the file was removed or replaced since.
    Gone,
}

/// A part of a module in the memory of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where it is.
    pub range: Range<u64>,
    /// Which bytes of the file it has, from here on.
    pub offset: u64,
    /// The name, for a person.
    pub name: String,
    /// The module.
    pub image: Image,
    /// Whether it is the program itself.
    pub is_program: bool,
}

/// The unwind table of a module, by addresses as the file has them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub eh_frame: Vec<u8>,
    /// Its index, if there is one.
    pub eh_frame_hdr: Vec<u8>,
    pub bases: BaseAddresses,
    /// Bytes of the file, and the address where they belong.
    segments: Vec<(Range<u64>, u64)>,
}

/// The modules of a process.
#[derive(Debug, Default)]
pub struct Modules {
    mappings: Vec<Mapping>,
    /// Read when they are first wanted; `None` for a file that is no module or cannot be read.
    tables: HashMap<Image, Option<Table>>,
}

impl Modules {
    /// Those of these mappings.
    pub fn new(mappings: Vec<Mapping>) -> Modules {
        Modules { mappings, tables: HashMap::new() }
    }

    /// One with this table, which begins at address 0.
    #[cfg(test)]
    pub fn made(eh_frame: Vec<u8>, range: Range<u64>) -> Modules {
        let (image, segments) = (Image::Bytes(Vec::new()), vec![(0..range.end - range.start, range.start)]);
        let mapping = Mapping { range, offset: 0, name: "made".into(), image: image.clone(), is_program: false };
        Modules {
            mappings: vec![mapping],
            tables: HashMap::from([(
                image,
                Some(Table { eh_frame, segments, bases: BaseAddresses::default().set_eh_frame(0), ..Table::default() }),
            )]),
        }
    }

    /// The part of a module that this address is in.
    pub fn mapping_at(&self, address: u64) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.range.contains(&address))
    }

    /// The name of the module that this address is in.
    pub fn name_at(&self, address: u64) -> Option<&str> {
        self.mapping_at(address).map(|mapping| mapping.name.as_str())
    }

    /// The table of the module that this address is in, and the address as the module's file has it.
    pub fn table_at(&mut self, address: u64) -> Option<(&Table, u64)> {
        let mapping = self.mappings.iter().find(|mapping| mapping.range.contains(&address))?;
        if !self.tables.contains_key(&mapping.image) {
            self.tables.insert(mapping.image.clone(), Table::of(&mapping.image));
        }
        let table = self.tables.get(&mapping.image)?.as_ref()?;
        Some((table, table.in_file(mapping, address)?))
    }

    /// An address as its module's file has it, once the table was read.
    pub fn in_file(&self, address: u64) -> Option<(&Mapping, u64)> {
        let mapping = self.mapping_at(address)?;
        let table = self.tables.get(&mapping.image)?.as_ref()?;
        Some((mapping, table.in_file(mapping, address)?))
    }
}

impl Table {
    fn of(image: &Image) -> Option<Table> {
        match image {
            Image::File(path) => Table::of_file(path),
            Image::Bytes(bytes) => Table::read(bytes.as_slice()),
            Image::Gone => None,
        }
    }

    fn of_file(path: &Path) -> Option<Table> {
        let file = std::fs::File::open(path).ok()?;
        Table::read(&ReadCache::new(file))
    }

    fn read<'data>(data: impl ReadRef<'data>) -> Option<Table> {
        let file = File::parse(data).ok()?;
        let section = |name| {
            let section = file.section_by_name(name)?;
            Some((section.address(), section.uncompressed_data().ok()?.into_owned()))
        };
        let (at, eh_frame) = section(".eh_frame")?;
        let (index_at, eh_frame_hdr) = section(".eh_frame_hdr").unwrap_or_default();
        let mut bases = BaseAddresses::default().set_eh_frame(at).set_eh_frame_hdr(index_at);
        for (name, set) in [(".text", BaseAddresses::set_text as fn(_, _) -> _), (".got", BaseAddresses::set_got)] {
            if let Some(section) = file.section_by_name(name) {
                bases = set(bases, section.address());
            }
        }
        let segments = file.segments().map(|segment| {
            let (from, length) = segment.file_range();
            (from..from.saturating_add(length), segment.address())
        });
        Some(Table { eh_frame, eh_frame_hdr, bases, segments: segments.collect() })
    }

    fn in_file(&self, mapping: &Mapping, address: u64) -> Option<u64> {
        let offset = address.checked_sub(mapping.range.start)?.checked_add(mapping.offset)?;
        let (from, at) = self.segments.iter().find(|(bytes, _)| bytes.contains(&offset))?;
        Some(at.wrapping_add(offset - from.start))
    }
}
