//! A cell's library and what it is linked with, as they travel to a cluster: once for each content.

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RUNPATH};
use object::read::elf::{Dyn, ElfFile64};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A library with those that have to be opened before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    /// In the order in which they are to be opened. The last one is the library itself.
    pub files: Vec<PathBuf>,
    /// The C library's version that they need.
    pub glibc: Vec<u32>,
}

/// What an ELF file says of itself.
#[derive(Debug, Default)]
struct Needs {
    libraries: Vec<String>,
    folders: Vec<PathBuf>,
    glibc: Vec<u32>,
}

/// Finds what this library needs. Libraries of the system, which are in no folder that the library names, are left out: each node has its own.
///
/// # Errors
/// A sentence: a file cannot be read, or is no library.
pub(super) fn linked(library: &Path) -> Result<Linked, String> {
    let mut found = Linked { files: Vec::new(), glibc: Vec::new() };
    add(library, &[], &mut found, &mut HashSet::new())?;
    Ok(found)
}

/// Adds a library behind what it needs. `above` are the folders of those that need it: what they have opened by then is found there.
fn add(library: &Path, above: &[PathBuf], found: &mut Linked, seen: &mut HashSet<String>) -> Result<(), String> {
    let mut needs =
        needs(library).map_err(|error| format!("the library {} cannot be read: {error}", library.display()))?;
    if needs.glibc > found.glibc {
        found.glibc.clone_from(&needs.glibc);
    }
    needs.folders.extend_from_slice(above);
    for name in &needs.libraries {
        let place = needs.folders.iter().map(|folder| folder.join(name)).find(|place| place.exists());
        if let Some(place) = place.filter(|_| seen.insert(name.clone())) {
            add(&place, &needs.folders, found, seen)?;
        }
    }
    found.files.push(library.to_owned());
    Ok(())
}

fn needs(library: &Path) -> Result<Needs, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(library)?;
    let elf = ElfFile64::<Endianness>::parse(&*bytes)?;
    let (endian, data, sections) = (elf.endian(), elf.data(), elf.elf_section_table());
    let mut needs = Needs::default();
    if let Some((entries, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in entries {
            let text = |entry: &_| -> Result<String, Box<dyn std::error::Error>> {
                Ok(String::from_utf8_lossy(Dyn::string(entry, endian, strings)?).into_owned())
            };
            if entry.d_tag(endian) == DT_NEEDED {
                needs.libraries.push(text(entry)?);
            } else if entry.d_tag(endian) == DT_RUNPATH {
                let origin = library.parent().unwrap_or(Path::new("/")).display().to_string();
                needs.folders.extend(text(entry)?.split(':').map(|folder| folder.replace("$ORIGIN", &origin).into()));
            }
        }
    }
    if let Some((mut libraries, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                if let Some(numbers) = name.strip_prefix("GLIBC_") {
                    let numbers: Vec<u32> = numbers.split('.').filter_map(|number| number.parse().ok()).collect();
                    if numbers > needs.glibc {
                        needs.glibc = numbers;
                    }
                }
            }
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_of_the_system_comes_alone_and_says_which_c_library_it_needs() {
        let exe = std::env::current_exe().unwrap();
        let linked = linked(&exe).unwrap();
        assert_eq!(linked.files.last(), Some(&exe));
        assert!(linked.glibc >= vec![2, 0], "{:?}", linked.glibc);
        assert!(linked.files.iter().all(|file| !file.ends_with("libc.so.6")), "{:?}", linked.files);
    }

    #[test]
    fn what_is_no_library_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cells.so");
        std::fs::write(&file, "no library").unwrap();
        assert!(super::linked(&file).unwrap_err().contains("cells.so"));
    }
}
