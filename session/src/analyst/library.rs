//! What rust-analyzer knows before anybody types: the crates that cells can use and the standard library.
//!
//! All files but the one that is typed in are declared to be a library's. rust-analyzer does not expect such files to change, and after a
//! key it verifies nothing that was derived from them: with some hundred thousand derived values that is more than half of an answer's
//! time.

use ra_ap_base_db::SourceRoot;
use ra_ap_hir::ChangeWithProcMacros;
use ra_ap_ide_db::FxHashMap;
use ra_ap_paths::AbsPathBuf;
use ra_ap_project_model::{CargoConfig, PackageRoot, ProjectManifest, ProjectWorkspace, RustLibSource};
use ra_ap_vfs::file_set::FileSetConfig;
use ra_ap_vfs::{Change, FileId, Vfs, VfsPath};
use std::path::Path;
use walkdir::WalkDir;

/// Reads the Cargo project in `dir` and all that it depends on. Gives the change that makes it known, and the project's own file.
///
/// # Errors
/// What Cargo said, or a file that cannot be read.
pub fn load(dir: &Path) -> Result<(ChangeWithProcMacros, FileId), String> {
    let dir = dir.to_str().and_then(|dir| AbsPathBuf::try_from(dir).ok()).ok_or("the folder's name is not UTF-8")?;
    let manifest = ProjectManifest::from_manifest_file(dir.join("Cargo.toml")).map_err(|error| format!("{error:#}"))?;
    let offline = [("CARGO_NET_OFFLINE".to_owned(), Some("true".to_owned()))];
    let config = CargoConfig {
        sysroot: Some(RustLibSource::Discover),
        extra_env: offline.into_iter().collect(),
        ..CargoConfig::default()
    };
    let workspace = ProjectWorkspace::load(manifest, &config, &|_| ()).map_err(|error| format!("{error:#}"))?;

    let mut vfs = Vfs::default();
    workspace.to_roots().iter().for_each(|root| read(root, &mut vfs));
    let mut change = ChangeWithProcMacros::default();
    for (file, changed) in vfs.take_changes() {
        if let Change::Create(content, _) | Change::Modify(content, _) = changed.change {
            change.change_file(file, String::from_utf8(content).ok());
        }
    }
    let id = |path: VfsPath| vfs.file_id(&path).map(|(id, _)| id);
    let typed = id(dir.join("src/lib.rs").into()).ok_or("the project has no file")?;
    change.set_roots(roots(&dir, &vfs));
    let (graph, _) = workspace.to_crate_graph(&mut |path| id(path.to_path_buf().into()), &FxHashMap::default());
    change.set_crate_graph(graph);
    Ok((change, typed))
}

/// The folder that changes, and everything else.
fn roots(changing: &AbsPathBuf, vfs: &Vfs) -> Vec<SourceRoot> {
    let mut sets = FileSetConfig::builder();
    sets.add_file_set(vec![changing.clone().into()]);
    let mut sets = sets.build().partition(vfs).into_iter();
    let own = sets.next().map(SourceRoot::new_local);
    own.into_iter().chain(sets.map(SourceRoot::new_library)).collect()
}

/// Reads the sources of a package. What cannot be read is not known.
fn read(root: &PackageRoot, vfs: &mut Vfs) {
    let is_excluded = |path: &Path| root.exclude.iter().any(|excluded| path == AsRef::<Path>::as_ref(excluded));
    for dir in &root.include {
        let entries = WalkDir::new(dir).into_iter().filter_entry(|entry| !is_excluded(entry.path()));
        for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "rs")) {
            let path = entry.path().to_str().and_then(|path| AbsPathBuf::try_from(path).ok());
            if let (Some(path), Ok(content)) = (path, std::fs::read(entry.path())) {
                vfs.set_file_contents(path.into(), Some(content));
            }
        }
    }
}
