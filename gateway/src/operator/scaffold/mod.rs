//! `new`: a plugin that works as it is, for its author to change: a short handler, schemas, tests of its own and a README; or an old
//! OMEGA plugin as a package. It writes over nothing.

mod omega;
mod templates;

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_protocol::ids::PluginId;
use serde::Serialize;

pub(crate) use self::omega::from_omega;
use self::templates::{BUILD, COMMON, MANIFEST, README, Template};
use crate::error::Error;

/// The start of a plugin's id where the author gave only a name.
const DOMAIN: &str = "p.example.";

/// How much of a failing build's words is shown, in bytes from the end: a compiler says the reason last.
const SHOWN_BYTES: usize = 4 * 1024;

/// A language that `new` can make a plugin in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    Go,
    Java,
    Node,
    Python,
    Rust,
    Sh,
    TypeScript,
    Worker,
}

/// What was made.
#[derive(Debug, Serialize)]
pub(crate) struct Made {
    pub(crate) plugin_id: PluginId,
    /// The package: what is checked, signed and registered.
    pub(crate) package: PathBuf,
    /// The file to change.
    pub(crate) program: PathBuf,
    /// The script that builds the program again after a change; none where nothing needs building.
    pub(crate) build: Option<PathBuf>,
    /// Whether it is a copy of an old plugin, which is changed where it comes from.
    #[serde(skip)]
    pub(crate) is_copy: bool,
    /// What is still to be done before it works, in words with the commands; mostly nothing.
    pub(crate) to_do: Vec<String>,
}

impl Language {
    fn template(self) -> &'static Template {
        match self {
            Self::C => &templates::C,
            Self::Go => &templates::GO,
            Self::Java => &templates::JAVA,
            Self::Node => &templates::NODE,
            Self::Python => &templates::PYTHON,
            Self::Rust => &templates::RUST,
            Self::Sh => &templates::SH,
            Self::TypeScript => &templates::TYPESCRIPT,
            Self::Worker => &templates::WORKER,
        }
    }
}

/// Makes the package folder `place`, whose last part names the plugin. For a compiled language it also makes a folder with the
/// same name and `-src`, and builds the program from there. `sdk` is the folder of the Rust SDK; where none is given it is looked for.
pub(crate) fn scaffold(
    place: &Path,
    language: Language,
    sdk: Option<&Path>,
) -> Result<Made, Error> {
    let (name, plugin_id) = names(place)?;
    let template = language.template();
    let sources = place.with_file_name(format!("{name}-src"));
    let sdk = match language {
        Language::Rust => Some(rust_sdk(sdk)?),
        Language::C
        | Language::Go
        | Language::Java
        | Language::Node
        | Language::Python
        | Language::Sh
        | Language::TypeScript
        | Language::Worker => None,
    };
    let missing = template.needs.iter().find(|program| !is_on_path(program));
    if let Some(program) = missing {
        return Err(Error::Usage {
            message: format!("'{program}' is not installed, and builds a plugin in this language"),
            hint: "install it, or choose another language: nothing was written".to_owned(),
        });
    }
    let filled = |text: &str| {
        let sdk = sdk.as_ref().map(|sdk| sdk.display().to_string());
        text.replace("{sdk}", &sdk.unwrap_or_default())
            .replace("{name}", &name)
    };
    let readme = filled(&readme(template));
    begin(place)?;
    write(place, "plugin.json", &manifest(template, &plugin_id, &name))?;
    for (path, text) in COMMON.iter().chain(template.package) {
        write(place, path, text)?;
    }
    if template.sources.is_empty() {
        write(place, README.0, &readme)?;
        let program = place.join(template.program);
        return Ok(Made {
            plugin_id,
            package: place.to_owned(),
            program,
            build: None,
            is_copy: false,
            to_do: Vec::new(),
        });
    }
    begin(&sources)?;
    write(&sources, README.0, &readme)?;
    for (path, text) in template.sources {
        write(&sources, path, &filled(text))?;
    }
    if let Some(sdk) = &sdk {
        take_lock(sdk, &sources)?;
    }
    let build = sources.join(BUILD);
    run(&build)?;
    let program = sources.join(template.program);
    Ok(Made {
        plugin_id,
        package: place.to_owned(),
        program,
        build: Some(build),
        is_copy: false,
        to_do: Vec::new(),
    })
}

/// Whether a program of that name is on the path.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The plugin's short name and its id: the given name where it is a whole id, else the name below [`DOMAIN`].
fn names(place: &Path) -> Result<(String, PluginId), Error> {
    let name = place
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let whole = if name.contains('.') {
        name.to_owned()
    } else {
        format!("{DOMAIN}{name}")
    };
    match PluginId::parse(&whole) {
        Ok(id) if !name.is_empty() => Ok((name.to_owned(), id)),
        Ok(_) | Err(_) => Err(Error::Usage {
            message: format!("'{}' cannot name a plugin", place.display()),
            hint: "use a-z, 0-9, '-' and '_', as in `word-count`; with dots it is the whole id, as in `p.text.word-count`".to_owned(),
        }),
    }
}

/// The manifest with this plugin's id, name and entrypoint. None of them has a character that JSON would escape.
fn manifest(template: &Template, plugin_id: &PluginId, name: &str) -> String {
    MANIFEST
        .replace("{entrypoint}", template.entrypoint)
        .replace("{id}", plugin_id.as_str())
        .replace("{name}", name)
}

/// The README, with the file to change.
fn readme(template: &Template) -> String {
    let build = if template.sources.is_empty() {
        ""
    } else {
        " and run `./build`, which writes the program into `../{name}`"
    };
    README
        .1
        .replace("{program}", template.program)
        .replace("{build}", build)
}

/// The folder of the Rust SDK: the one given, or the one of the checkout that this command was built in.
fn rust_sdk(given: Option<&Path>) -> Result<PathBuf, Error> {
    let is_sdk = |folder: &Path| folder.join("src/sdk.rs").is_file();
    let found = match given {
        Some(folder) => Some(folder.to_owned()),
        None => std::env::current_exe().ok().and_then(|own| {
            own.ancestors()
                .map(|folder| folder.join("plugin-protocol"))
                .find(|folder| is_sdk(folder))
        }),
    };
    let missing = || Error::Usage {
        message: "the Rust SDK was not found".to_owned(),
        hint: "name its folder with --sdk: it is `plugin-protocol` of this project".to_owned(),
    };
    let sdk = found.filter(|folder| is_sdk(folder)).ok_or_else(missing)?;
    fs::canonicalize(&sdk).map_err(Error::file("find", &sdk))
}

/// Copies the SDK's lock file, where there is one, so that the libraries have the versions that the SDK was tested with.
fn take_lock(sdk: &Path, sources: &Path) -> Result<(), Error> {
    let lock = sdk.with_file_name("Cargo.lock");
    if lock.is_file() {
        fs::copy(&lock, sources.join("Cargo.lock")).map_err(Error::file("copy", &lock))?;
    }
    Ok(())
}

/// Makes a new folder. One that exists is refused, since it may hold somebody's work.
fn begin(folder: &Path) -> Result<(), Error> {
    fs::create_dir(folder).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            Error::Usage {
                message: format!("'{}' exists already", folder.display()),
                hint: "choose another name: nothing is written over".to_owned(),
            }
        } else {
            Error::file("make folder", folder)(source)
        }
    })
}

fn write(folder: &Path, path: &str, text: &str) -> Result<(), Error> {
    use io::Write as _;
    let file = folder.join(path);
    let mode = if path == BUILD { 0o755 } else { 0o644 };
    let written = || {
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&file)?;
        out.write_all(text.as_bytes())?;
        // Set apart from creation, so that the signed mode does not depend on the author's umask.
        out.set_permissions(fs::Permissions::from_mode(mode))
    };
    written().map_err(Error::file("write", &file))
}

/// Runs the build script, whose words are shown only where it fails.
fn run(build: &Path) -> Result<(), Error> {
    let program = fs::canonicalize(build).map_err(Error::file("find", build))?;
    let said = Command::new(&program)
        .output()
        .map_err(Error::file("run", build))?;
    if said.status.success() {
        return Ok(());
    }
    let last = said.stderr.len().saturating_sub(SHOWN_BYTES);
    let words = String::from_utf8_lossy(said.stderr.get(last..).unwrap_or_default()).into_owned();
    Err(Error::Invalid {
        message: format!(
            "'{}' failed; what was written stays, so mend what it says and run it again: {}",
            build.display(),
            words.trim()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_valid_under_its_new_name() {
        for language in [
            Language::C,
            Language::Go,
            Language::Java,
            Language::Node,
            Language::Python,
            Language::Rust,
            Language::Sh,
            Language::TypeScript,
            Language::Worker,
        ] {
            let (name, id) = names(Path::new("some/where/word-count")).unwrap();
            let template = language.template();
            let text = manifest(template, &id, &name);
            let (report, manifest) = validator::check_manifest(text.as_bytes());
            assert!(report.valid, "{language:?}: {report:?}");
            assert!(report.issues.is_empty(), "{language:?}: {report:?}");
            let manifest = manifest.unwrap();
            assert_eq!(manifest.plugin_id.as_str(), "p.example.word-count");
            assert_eq!(manifest.name.as_str(), "word-count");
            let text = readme(template).replace("{name}", &name);
            assert!(
                text.contains(template.program) && !text.contains(['{', '}']),
                "{text}"
            );
            assert_eq!(text.contains("./build"), !template.sources.is_empty());
        }
    }

    #[test]
    fn a_name_is_a_plugin_s_or_refused() {
        assert_eq!(
            names(Path::new("p.text.count")).unwrap().1.as_str(),
            "p.text.count"
        );
        for wrong in ["", "/", "Big", "a b", "..", "x$(y)", "ümlaut", ".hidden"] {
            assert!(names(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
