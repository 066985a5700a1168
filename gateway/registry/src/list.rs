//! The list that a package's digest is of: every file and link with its hash, sorted by path; folders are in it by what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_protocol::canonical;
use plugin_protocol::digest::{FileHash, PackageDigest};
use serde::{Deserialize, Serialize};

use super::Error;

/// How many links a path may lead through, as for the kernel.
const MAX_LINKS: usize = 40;

/// One file or link, as the digest has it (contract, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Its path from the package's root, with `/` between parts.
    pub(super) path: String,
    pub(super) mode: Mode,
    /// SHA-256 of a file's bytes, or of a link's text.
    pub(super) sha256: FileHash,
}

/// What a digest says of a file's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// A file that its owner may execute.
    Executable,
    /// A symbolic link to something in the package.
    Link,
    /// A file that its owner may not execute.
    Regular,
}

/// What a package holds, and where its links lead.
#[derive(Debug, Clone)]
pub(super) struct List {
    files: Arc<[Listed]>,
    links: Arc<Links>,
}

/// The texts of a package's links by path.
pub(super) type Links = BTreeMap<String, String>;

impl List {
    /// Sorts what a walk met.
    ///
    /// # Errors
    /// When one path lies below a file or link, or was met twice: the folder was changed during the walk.
    pub(super) fn new(mut files: Vec<Listed>, links: Links) -> Result<Self, Error> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let list = Self {
            files: files.into(),
            links: Arc::new(links),
        };
        let twice = list.files.array_windows().find(|[a, b]| a.path == b.path);
        let below = list.files.iter().find(|file| {
            let mut parents = file.path.match_indices('/');
            parents.any(|(at, _)| list.find(file.path.get(..at).unwrap_or_default()).is_some())
        });
        match twice.map(|[first, _]| first).or(below) {
            None => Ok(list),
            Some(odd) => Err(Error::Entry {
                path: odd.path.clone(),
                why: "it was exchanged while it was read; try again",
            }),
        }
    }

    /// A list whose bytes have the digest that they are asked for; none when they are not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            files: serde_json::from_slice::<Vec<Listed>>(bytes).ok()?.into(),
            links: Arc::default(),
        })
    }

    /// The same list, with the links' texts, each of which has the hash in the list.
    pub(super) fn with_links(mut self, links: Links) -> Self {
        self.links = Arc::new(links);
        self
    }

    /// The bytes whose SHA-256 is the package digest.
    pub(super) fn bytes(&self) -> Vec<u8> {
        canonical::bytes(&self.files())
    }

    pub(super) fn digest(&self) -> PackageDigest {
        PackageDigest::of(&self.bytes())
    }

    pub(super) fn files(&self) -> &[Listed] {
        &self.files
    }

    /// The place of a path, for those who mark what they met.
    pub(super) fn position(&self, path: &str) -> Option<usize> {
        self.files
            .binary_search_by(|file| file.path.as_str().cmp(path))
            .ok()
    }

    /// What the list says of exactly this path.
    pub(super) fn find(&self, path: &str) -> Option<&Listed> {
        self.files.get(self.position(path)?)
    }

    /// Whether something lies in the folder `path`.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        let at = self.files.partition_point(|file| file.path < prefix);
        let next = self.files.get(at);
        next.is_some_and(|file| file.path.starts_with(&prefix))
    }

    /// Whether a path leads to a file that is executable.
    pub(super) fn is_executable(&self, path: &str) -> bool {
        let file = self.resolve(path);
        file.is_some_and(|file| file.mode == Mode::Executable)
    }

    /// The file that a path leads to, through links as the kernel would go; none for a folder, or where there is nothing.
    pub(super) fn resolve(&self, path: &str) -> Option<&Listed> {
        let mut rest: Vec<&str> = path.rsplit('/').collect();
        let mut at = String::new();
        let mut followed = 0;
        while let Some(part) = rest.pop() {
            match part {
                "" | "." => continue,
                ".." => {
                    let parent = at.rfind('/').unwrap_or(0);
                    at.truncate(parent);
                    continue;
                }
                _ => {}
            }
            let parent = at.len();
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            if let Some(target) = self.links.get(&at) {
                followed += 1;
                if followed > MAX_LINKS {
                    return None;
                }
                at.truncate(parent);
                rest.extend(target.rsplit('/'));
            }
        }
        self.find(&at).filter(|file| file.mode != Mode::Link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str, mode: Mode) -> Listed {
        Listed {
            path: path.to_owned(),
            mode,
            sha256: FileHash::of(path.as_bytes()),
        }
    }

    #[test]
    fn links_lead_where_the_kernel_would_go() {
        let links = [
            ("bin/tool", "../pkg/tool.js"),
            ("lib64", "lib"),
            ("round", "round"),
            ("pkg/up", ".."),
        ];
        let mut files: Vec<Listed> = links
            .iter()
            .map(|(path, _)| listed(path, Mode::Link))
            .collect();
        files.push(listed("pkg/tool.js", Mode::Executable));
        files.push(listed("lib/a", Mode::Regular));
        let links = links.map(|(path, target)| (path.to_owned(), target.to_owned()));
        let list = List::new(files, links.into()).unwrap();
        let found = |path: &str| list.resolve(path).map(|file| file.path.as_str());
        assert_eq!(found("bin/tool"), Some("pkg/tool.js"));
        assert_eq!(found("lib64/a"), Some("lib/a"));
        assert_eq!(found("pkg/up/lib64/a"), Some("lib/a"));
        assert_eq!(found("lib64/../lib/a"), Some("lib/a"));
        assert_eq!(found("round"), None);
        assert_eq!(found("lib"), None, "a folder is no file");
    }

    #[test]
    fn a_path_below_a_file_or_met_twice_is_no_list() {
        for odd in ["a/b", "a"] {
            let files = vec![listed("a", Mode::Link), listed(odd, Mode::Regular)];
            let refused = List::new(files, Links::new()).unwrap_err().to_string();
            assert!(refused.contains("exchanged while it was read"), "{refused}");
        }
    }
}
