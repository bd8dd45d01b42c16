//! The crates that rust-analyzer knows from the start: those that cells can use, and the standard library.
//!
//! All files but the one that is typed in are declared to be a library's. rust-analyzer does not expect such files to change, so after a
//! key it verifies nothing that was derived from them. With some hundred thousand derived values, that is more than half of an answer's
//! time.

use ra_ap_base_db::SourceRoot;
use ra_ap_hir::ChangeWithProcMacros;
use ra_ap_ide_db::FxHashMap;
use ra_ap_paths::AbsPathBuf;
use ra_ap_project_model::{
    CargoConfig, PackageRoot, ProjectJson, ProjectManifest, ProjectWorkspace, RustSourceWorkspaceConfig, Sysroot,
};
use ra_ap_vfs::file_set::FileSetConfig;
use ra_ap_vfs::{Change, FileId, Vfs, VfsPath};
use serde_json::json;
use std::path::Path;
use walkdir::WalkDir;

/// The crates of the standard library that can be named, and the dependencies of each. Cargo is not asked: it would also want to know
/// crates for other systems, which are on no machine before they are downloaded.
const STANDARD: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("alloc", &["core"]),
    ("std_detect", &["core", "alloc"]),
    ("std", &["core", "alloc", "std_detect"]),
    ("proc_macro", &["core", "std"]),
];

/// Folders of the standard library's source that have nothing a crate could use.
const UNUSED: &[&str] = &["alloctests", "backtrace", "benches", "coretests", "examples", "tests", "vendor"];

/// Reads the Cargo project in `dir` and its dependencies, with the standard library of the toolchain in `sysroot`. Returns the change that
/// loads them into rust-analyzer, and the project's own file.
///
/// # Errors
/// Cargo's message, or a file that cannot be read.
pub fn load(dir: &Path, sysroot: &Path) -> Result<(ChangeWithProcMacros, FileId), String> {
    let (dir, sysroot) = (absolute(dir)?, absolute(sysroot)?);
    let manifest = ProjectManifest::from_manifest_file(dir.join("Cargo.toml")).map_err(|error| format!("{error:#}"))?;
    let offline = [("CARGO_NET_OFFLINE".to_owned(), Some("true".to_owned()))];
    let config = CargoConfig { sysroot: None, extra_env: offline.into_iter().collect(), ..CargoConfig::default() };
    let mut workspace = ProjectWorkspace::load(manifest, &config, &|_| ()).map_err(|error| format!("{error:#}"))?;
    workspace.sysroot = standard_library(&sysroot)?;

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

fn absolute(path: &Path) -> Result<AbsPathBuf, String> {
    let text = path.to_str().and_then(|path| AbsPathBuf::try_from(path).ok());
    text.ok_or_else(|| format!("the name of {} is not UTF-8", path.display()))
}

/// The standard library of the toolchain in a folder.
fn standard_library(root: &AbsPathBuf) -> Result<Sysroot, String> {
    let source = root.join("lib/rustlib/src/rust/library");
    let number = |name: &str| STANDARD.iter().position(|(known, _)| *known == name);
    let crates = STANDARD.iter().map(|(name, made_of)| {
        let deps = made_of.iter().map(|name| json!({ "crate": number(name), "name": name }));
        json!({
            "display_name": name,
            "root_module": format!("{source}/{name}/src/lib.rs"),
            "edition": "2024",
            "deps": deps.collect::<Vec<_>>(),
            "is_workspace_member": false,
            // The rest of the folder is a root of its own.
            "source": { "include_dirs": [], "exclude_dirs": [] },
        })
    });
    let project = json!({ "crates": crates.collect::<Vec<_>>() });
    let project = serde_json::from_value(project).map_err(|error| format!("the standard library: {error}"))?;
    let project = ProjectJson::new(None, &source, project);
    let mut sysroot = Sysroot::new(Some(root.clone()), Some(source));
    if let Some(loaded) = sysroot.load_workspace(&RustSourceWorkspaceConfig::Json(project), true, &|_| ()) {
        sysroot.set_workspace(loaded);
    }
    Ok(sysroot)
}

/// The folder that changes, and everything else.
fn roots(changing: &AbsPathBuf, vfs: &Vfs) -> Vec<SourceRoot> {
    let mut sets = FileSetConfig::builder();
    sets.add_file_set(vec![changing.clone().into()]);
    let mut sets = sets.build().partition(vfs).into_iter();
    let own = sets.next().map(SourceRoot::new_local);
    own.into_iter().chain(sets.map(SourceRoot::new_library)).collect()
}

/// Reads the sources of a package. Files that cannot be read are left out.
fn read(root: &PackageRoot, vfs: &mut Vfs) {
    let is_standard = root.include.iter().any(|dir| AsRef::<Path>::as_ref(dir).ends_with("rust/library"));
    let is_unused = |path: &Path| is_standard && UNUSED.iter().any(|unused| path.ends_with(unused));
    let is_excluded =
        |path: &Path| is_unused(path) || root.exclude.iter().any(|excluded| path == AsRef::<Path>::as_ref(excluded));
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
