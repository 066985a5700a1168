//! Plans a private root: which folders, links and bind mounts it is made of. It only reads names; the child does the mounting.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, While};
use crate::plan::hidden::hidden_in;
use crate::plan::loader_cache::LOADER_CACHE;
use crate::plan::places::{ZERO, behind};

/// Where a package is seen from inside.
pub(crate) const PACKAGE_FOLDER: &str = "/package";

/// The empty folder in which a program starts, as it is seen from inside.
pub(crate) const EMPTY_FOLDER: &str = "/empty";

/// As many symbolic links as the kernel itself follows on one path (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// One step in building a private root. Paths are relative to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Make a folder.
    Folder(CString),
    /// Make a symbolic link.
    Link {
        /// Where.
        path: CString,
        /// What it says.
        target: CString,
    },
    /// Make an empty file to mount on.
    File(CString),
    /// Show a host's device here; it can be opened as such.
    Device {
        /// On the host.
        source: CString,
        /// In the root.
        path: CString,
    },
    /// Show a host path here, read-only.
    Bind {
        /// On the host.
        source: CString,
        /// In the root.
        path: CString,
    },
    /// Show an empty folder here, in the place of one that a bind mount shows.
    Cover(CString),
}

/// The steps that build one private root, parents first.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    operations: Vec<Operation>,
}

/// What stands at one path of the planned root.
#[derive(Debug)]
enum Node {
    Folder,
    Link(PathBuf),
    Bind { source: PathBuf, folder: bool },
    Device(PathBuf),
    Cover,
}

impl Layout {
    /// A root in which each of `paths` is seen where it is on the host, the package at [`PACKAGE_FOLDER`], and the loader's list of libraries
    /// at [`LOADER_CACHE`], unless the folder that it lies in is shown whole.
    /// Symbolic links on the way are there too, so that every spelling of a path works.
    ///
    /// # Errors
    /// When a path cannot be looked up.
    pub(crate) fn plan(
        paths: &[PathBuf],
        package: Option<&Path>,
        loader_cache: Option<&Path>,
    ) -> Result<Self, Error> {
        let mut tree = Tree::default();
        for path in paths {
            tree.covers
                .push(fs::canonicalize(path).during("look up a folder that plugins may read")?);
        }
        for path in paths {
            tree.add(path)
                .during("look up a folder that plugins may read")?;
        }
        let covered: Vec<PathBuf> = tree
            .nodes
            .iter()
            .filter(|(_, node)| matches!(node, Node::Bind { folder: true, .. }))
            .flat_map(|(path, _)| hidden_in(path, &tree.covers))
            .collect();
        let covers = covered.into_iter().map(|path| (path, Node::Cover));
        tree.nodes.extend(covers);
        if let Some(cache) = loader_cache {
            tree.add_loader_cache(cache);
        }
        if let Some(package) = package {
            let source = fs::canonicalize(package).during("look up the package folder")?;
            tree.nodes.insert(
                PathBuf::from(PACKAGE_FOLDER),
                Node::Bind {
                    source,
                    folder: true,
                },
            );
        }
        let mut operations = Vec::new();
        for (path, node) in &tree.nodes {
            node.operations(path, &mut operations)?;
        }
        Ok(Self { operations })
    }

    /// The steps, in order.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

#[derive(Debug, Default)]
struct Tree {
    /// Real paths that are shown whole.
    covers: Vec<PathBuf>,
    /// By path, so that parents come before their children.
    nodes: BTreeMap<PathBuf, Node>,
}

impl Tree {
    fn add_loader_cache(&mut self, file: &Path) {
        let path = Path::new(LOADER_CACHE);
        let folder = path.parent().unwrap_or(path);
        let node = self.nodes.entry(folder.to_owned()).or_insert(Node::Folder);
        if matches!(node, Node::Folder) {
            let source = file.to_owned();
            let folder = false;
            self.nodes
                .entry(path.to_owned())
                .or_insert(Node::Bind { source, folder });
        }
    }

    /// Walks a path as the kernel would and notes what it meets, down to the first part that is shown whole.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let mut links = 0;
        let mut at = PathBuf::from("/");
        let mut pending = parts(path);
        while let Some(part) = pending.pop() {
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            at.push(&part);
            let kind = fs::symlink_metadata(&at)?.file_type();
            if kind.is_symlink() {
                let target = fs::read_link(&at)?;
                links += 1;
                if links > LINKS_MAX {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                pending.extend(parts(&target));
                let from = if target.is_absolute() {
                    Path::new("/")
                } else {
                    at.parent().unwrap_or(&at)
                }
                .to_path_buf();
                self.nodes
                    .insert(std::mem::replace(&mut at, from), Node::Link(target));
            } else if kind.is_char_device() {
                let shown = if at == Path::new(ZERO) {
                    behind(ZERO).into()
                } else {
                    at.clone()
                };
                self.nodes.insert(at, Node::Device(shown));
                return Ok(());
            } else if self.covers.contains(&at) {
                self.nodes.insert(
                    at.clone(),
                    Node::Bind {
                        source: at,
                        folder: kind.is_dir(),
                    },
                );
                return Ok(());
            } else {
                self.nodes.insert(at.clone(), Node::Folder);
            }
        }
        Ok(())
    }
}

/// The parts of a path in reverse, for use as a stack.
fn parts(path: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect();
    parts.reverse();
    parts
}

impl Node {
    fn operations(&self, path: &Path, operations: &mut Vec<Operation>) -> Result<(), Error> {
        let inside = c_path(path.strip_prefix("/").unwrap_or(path))?;
        match self {
            Self::Folder => operations.push(Operation::Folder(inside)),
            Self::Link(target) => operations.push(Operation::Link {
                path: inside,
                target: c_path(target)?,
            }),
            Self::Device(source) => {
                operations.push(Operation::File(inside.clone()));
                operations.push(Operation::Device {
                    source: c_path(source)?,
                    path: inside,
                });
            }
            Self::Cover => operations.push(Operation::Cover(inside)),
            Self::Bind { source, folder } => {
                let point = if *folder {
                    Operation::Folder
                } else {
                    Operation::File
                };
                operations.push(point(inside.clone()));
                operations.push(Operation::Bind {
                    source: c_path(source)?,
                    path: inside,
                });
            }
        }
        Ok(())
    }
}

/// A path as the kernel takes it.
pub(crate) fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::Unusable {
        subject: "path",
        value: path.display().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(operation: &Operation) -> String {
        let show = |path: &CString| path.to_str().unwrap().to_owned();
        match operation {
            Operation::Folder(path) => format!("folder {}", show(path)),
            Operation::Link { path, target } => format!("link {} {}", show(path), show(target)),
            Operation::File(path) => format!("file {}", show(path)),
            Operation::Bind { path, .. } => format!("bind {}", show(path)),
            Operation::Device { path, .. } => format!("device {}", show(path)),
            Operation::Cover(path) => format!("cover {}", show(path)),
        }
    }

    #[test]
    fn links_are_kept_and_what_lies_in_a_shown_folder_is_not_repeated() {
        let host = tempfile::tempdir().unwrap();
        let base = host.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("usr/lib/deep")).unwrap();
        fs::write(base.join("usr/lib/deep/file"), "x").unwrap();
        fs::write(base.join("usr/single"), "x").unwrap();
        std::os::unix::fs::symlink("usr/lib", base.join("lib")).unwrap();
        let paths = [
            base.join("lib"),
            base.join("lib/deep/file"),
            base.join("usr/single"),
        ];
        let layout = Layout::plan(&paths, Some(&base), None).unwrap();
        let prefix = base.strip_prefix("/").unwrap().display().to_string();
        let seen: Vec<String> = layout.operations().iter().map(text).collect();
        let expected = [
            format!("link {prefix}/lib usr/lib"),
            format!("folder {prefix}/usr"),
            format!("folder {prefix}/usr/lib"),
            format!("bind {prefix}/usr/lib"),
            format!("file {prefix}/usr/single"),
            format!("bind {prefix}/usr/single"),
        ];
        let seen: Vec<&String> = seen
            .iter()
            .filter(|line| line.contains(&format!("{prefix}/")))
            .collect();
        assert_eq!(seen, expected.iter().collect::<Vec<_>>());
        assert_eq!(text(layout.operations().first().unwrap()), "folder package");
    }

    #[test]
    fn the_loaders_list_lies_where_it_is_looked_for_unless_its_folder_is_the_hosts() {
        let host = tempfile::tempdir().unwrap();
        let cache = host.path().join("list");
        fs::write(&cache, "").unwrap();
        let planned = |paths: &[PathBuf]| -> Vec<String> {
            let layout = Layout::plan(paths, None, Some(&cache)).unwrap();
            layout.operations().iter().map(text).collect()
        };
        let list = ["folder etc", "file etc/ld.so.cache", "bind etc/ld.so.cache"];
        assert_eq!(planned(&[]), list);
        assert_eq!(planned(&["/etc".into()]), ["folder etc", "bind etc"]);
    }

    #[test]
    fn the_launcher_makes_the_empty_folder_that_is_meant() {
        let made = crate::sys::launcher::wire::EMPTY_FOLDER.to_str().unwrap();
        assert_eq!(EMPTY_FOLDER, format!("/{made}"));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let host = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", host.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", host.path().join("b")).unwrap();
        assert!(Layout::plan(&[host.path().join("a")], None, None).is_err());
    }
}
