//! Folders as [`Tree`]s, and trees as folders.

use std::fs;
use std::path::Path;

use prescale::model::{Entry, FileMode, RepoPath, Tree};
use prescale::overlay::NewFile;

/// Reads a folder as a commit would be read: YAML and JSON by name and up to four mebibytes, links not followed.
pub(crate) fn read(root: &Path) -> Tree {
    let mut tree = Tree::default();
    visit(root, &RepoPath::root(), &mut tree);
    // What a submodule holds is in another repository, whatever lies on the disk.
    let modules = fs::read_to_string(root.join(".gitmodules")).unwrap_or_default();
    for path in modules.lines().filter_map(|line| RepoPath::parse(line.trim().strip_prefix("path =")?.trim())) {
        tree = tree.iter().filter(|(file, _)| !file.is_under(&path)).map(|(file, entry)| (file.clone(), entry.clone())).collect();
        tree.insert(path, Entry::Submodule);
    }
    tree
}

fn visit(folder: &Path, at: &RepoPath, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = at.join(&name).unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            tree.insert(path, Entry::Symlink { target: fs::read_link(entry.path()).unwrap().to_string_lossy().into() });
        } else if kind.is_dir() {
            if name != ".git" {
                visit(&entry.path(), &path, tree);
            }
        } else {
            let readable = name == "Kustomization" || [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
            let small = entry.metadata().unwrap().len() <= 4 << 20;
            let file = || Entry::File { mode: FileMode::Plain, bytes: fs::read(entry.path()).unwrap().into() };
            tree.insert(path, if readable && small { file() } else { Entry::Unread });
        }
    }
}

/// Copies a folder, links as links.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes edited files into a folder, and deletes those that go.
pub(crate) fn write<'a>(root: &Path, files: impl IntoIterator<Item = (&'a RepoPath, &'a Option<NewFile>)>) {
    for (path, file) in files {
        let path = root.join(path.as_str());
        let Some(file) = file else {
            fs::remove_file(path).unwrap();
            continue;
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    }
}
