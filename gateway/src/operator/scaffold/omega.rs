//! `new --from-omega`: a worker's folder from OMEGA's own gateway becomes a package. It changes nothing in that folder, follows no link
//! out of it, and leaves nothing behind where it fails.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use plugin_protocol::ids::PluginId;
use plugin_protocol::json;
use plugin_protocol::shown;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use super::{Made, begin, names, write};
use crate::error::Error;
use registry::{MANIFEST_FILE, Package};

/// What the manifest is called there, the usual name first.
const MANIFESTS: [&str; 3] = ["omega-plugin.json", MANIFEST_FILE, "manifest.json"];

const NPM_FILE: &str = "package.json";

/// Where the tools of OMEGA's plugins put what they build.
const BUILT_FOLDER: &str = "dist";

/// The longest manifest or `package.json` that is read, in bytes; the registry takes no longer manifest.
const MAX_JSON_BYTES: u64 = 2 * 1024 * 1024;

/// The most files and folders that are copied: as many as a package holds (contract, section 4).
const MAX_ENTRIES: usize = 65_536;

/// The most bytes that are copied: as many as a package holds (contract, section 4).
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// How much of an id that is none is shown, in characters.
const SHOWN_CHARS: usize = 80;

/// Makes the package folder `place` of the worker in `folder`. The plugin keeps its id, unless the last part of `place` is a whole one.
pub(crate) fn from_omega(place: &Path, folder: &Path) -> Result<Made, Error> {
    let root = fs::canonicalize(folder).map_err(Error::file("open folder", folder))?;
    let (mut manifest, manifest_file) = manifest_of(folder)?;
    let npm = npm_of(folder)?;
    let (file, named) = point_at_built(&mut manifest, folder, &manifest_file, &npm)?;
    let plugin_id = identify(place, &mut manifest)?;
    let text = serde_json::to_string_pretty(&Pretty(&manifest));
    let text =
        text.map_err(|error| Error::file("write", &place.join(MANIFEST_FILE))(error.into()))?;
    let (report, checked) = validator::check_manifest(text.as_bytes());
    if checked.is_none() || !report.valid {
        return Err(Error::InvalidManifest {
            report: Box::new(report),
        });
    }
    let mut to_do = Vec::new();
    let mut plan = Plan::new(&root);
    plan.take(top_of(&file))?;
    if !folder.join(&file).is_file() {
        to_do.push(to_build(place, folder, &file, &npm));
    }
    if let Some(named) = named {
        to_do.push(format!(
            "see that {file} is the worker: it is the only script in {BUILT_FOLDER}, and {named} is not there"
        ));
    }
    for path in schemas_of(&manifest) {
        if !plan.take(path)? {
            to_do.push(format!(
                "put '{path}' into {}, which its manifest names and {} does not have",
                place.display(),
                folder.display()
            ));
        }
    }
    // Node reads in it whether a file is a module of the newer form.
    let has_npm = plan.take(NPM_FILE)?;
    if let Some(dependencies) = dependencies_of(&npm).filter(|_| has_npm) {
        plan.take("package-lock.json")?;
        to_do.push(format!(
            "unless {file} holds them already, run `npm install --omit=dev` in {}: it needs {dependencies}",
            place.display()
        ));
    }
    begin(place)?;
    let written = plan.carry_out(place).and_then(|()| {
        write(place, MANIFEST_FILE, &format!("{text}\n"))?;
        // What no package may hold, such as a link that leads out, is found here and not by the first `register`.
        Ok(Package::read(place)?)
    });
    if let Err(error) = written {
        // It was made a moment ago and holds nothing but copies.
        let removed = fs::remove_dir_all(place);
        tracing::debug!(?removed, "a package that could not be made is removed");
        return Err(error);
    }
    Ok(Made {
        plugin_id,
        package: place.to_owned(),
        program: place.join(file),
        build: None,
        is_copy: true,
        to_do,
    })
}

/// The manifest, and the file that it stands in.
fn manifest_of(folder: &Path) -> Result<(Map<String, Value>, PathBuf), Error> {
    let mut found = MANIFESTS.map(|name| folder.join(name)).into_iter();
    let Some(path) = found.find(|path| path.exists()) else {
        return Err(Error::Usage {
            message: format!("there is no manifest in '{}'", folder.display()),
            hint: format!(
                "name the folder with the worker's {}",
                MANIFESTS.join(" or ")
            ),
        });
    };
    let bytes = bytes_of(&path)?;
    match json::read(&bytes) {
        Ok(Value::Object(manifest)) => Ok((manifest, path)),
        Ok(_) => Err(invalid(&path, "is no manifest: it has to be a JSON object")),
        Err(error) => Err(invalid(&path, &format!("is no manifest: {error}"))),
    }
}

/// `package.json`; empty where there is none.
fn npm_of(folder: &Path) -> Result<Map<String, Value>, Error> {
    let path = folder.join(NPM_FILE);
    if !path.exists() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes_of(&path)?) {
        Ok(Value::Object(npm)) => Ok(npm),
        Ok(_) => Err(invalid(&path, "is no JSON object")),
        Err(error) => Err(invalid(&path, &format!("is no JSON: {error}"))),
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_JSON_BYTES + 1).read_to_end(&mut bytes))
        .map_err(Error::file("read", path))?;
    if bytes.len() as u64 > MAX_JSON_BYTES {
        let why = format!("is longer than {MAX_JSON_BYTES} bytes");
        return Err(invalid(path, &why));
    }
    Ok(bytes)
}

fn invalid(path: &Path, why: &str) -> Error {
    let message = format!("'{}' {why}", path.display());
    Error::Invalid { message }
}

/// The plugin's id: the last part of `place` where that is a whole one, else the one that it has.
fn identify(place: &Path, manifest: &mut Map<String, Value>) -> Result<PluginId, Error> {
    let (name, named) = names(place)?;
    if name.contains('.') {
        manifest.insert("plugin_id".to_owned(), named.as_str().into());
        return Ok(named);
    }
    let own = manifest.get("plugin_id").and_then(Value::as_str);
    let own = own.unwrap_or_default();
    PluginId::parse(own).map_err(|_| Error::Usage {
        message: format!(
            "its plugin_id '{}' is not one that the gateway takes",
            shown::cut(own, SHOWN_CHARS)
        ),
        hint: format!("give the plugin a new one, as in `new {named} --from-omega FOLDER`"),
    })
}

/// Points the entrypoint at the built file, and returns its path; and which was looked for, where another is taken because it is the only one.
fn point_at_built(
    manifest: &mut Map<String, Value>,
    folder: &Path,
    manifest_file: &Path,
    npm: &Map<String, Value>,
) -> Result<(String, Option<String>), Error> {
    let entrypoint = manifest
        .get_mut("entrypoint")
        .and_then(Value::as_object_mut);
    let is_worker = |entrypoint: &&mut Map<String, Value>| {
        entrypoint.get("type").and_then(Value::as_str) == Some("worker")
    };
    let Some(entrypoint) = entrypoint.filter(is_worker) else {
        let why = r#"has no entrypoint of type "worker", as OMEGA's plugins have: a package of any other type needs no change"#;
        return Err(invalid(manifest_file, why));
    };
    let named = entrypoint.get("file").and_then(Value::as_str);
    let candidates = built_candidates(named.unwrap_or_default(), npm);
    let there = candidates.iter().find(|path| folder.join(path).is_file());
    let first = || candidates.first().cloned().unwrap_or_default();
    let other = only_built(folder).filter(|_| is_inside(named.unwrap_or_default()));
    let (file, missing) = match (there, other) {
        (Some(file), _) => (file.clone(), None),
        (None, Some(only)) => (only, Some(first())),
        (None, None) => (first(), None),
    };
    entrypoint.insert("file".to_owned(), file.clone().into());
    Ok((file, missing))
}

/// The script in the folder of built files, where there is just one.
fn only_built(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder.join(BUILT_FOLDER)).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_script = |name: &String| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|found| ["js", "mjs", "cjs"].iter().any(|known| found == *known))
            && folder.join(BUILT_FOLDER).join(name).is_file()
    };
    let mut scripts = names.filter(is_script);
    let only = scripts.next()?;
    scripts
        .next()
        .is_none()
        .then(|| format!("{BUILT_FOLDER}/{only}"))
}

/// Where the built file may be, the likeliest first: where the manifest says, or where a compiler puts what is made of that, or what
/// `package.json` calls the main one.
fn built_candidates(named: &str, npm: &Map<String, Value>) -> Vec<String> {
    let named = plain(named);
    let (stem, extension) = named.rsplit_once('.').unwrap_or((named, ""));
    let built = match extension {
        "ts" => "js",
        "mts" => "mjs",
        "cts" => "cjs",
        other => other,
    };
    let below = stem.strip_prefix("src/").unwrap_or(stem);
    let in_dist = format!("{BUILT_FOLDER}/{below}.{built}");
    let main = npm.get("main").and_then(Value::as_str).map(plain);
    let as_named = (built == extension).then(|| named.to_owned());
    as_named
        .into_iter()
        .chain([in_dist])
        .chain(main.map(str::to_owned))
        .collect()
}

/// Whether a path names something, and nothing outside.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(plain(path)).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn plain(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path)
}

/// What is copied for a file: the folder at the top that it is in, since it may load its neighbours.
fn top_of(file: &str) -> &str {
    file.split_once('/').map_or(file, |(top, _)| top)
}

fn schemas_of(manifest: &Map<String, Value>) -> Vec<&str> {
    let schemas = manifest.get("schemas").and_then(Value::as_object);
    let paths = schemas.into_iter().flat_map(Map::values);
    paths.filter_map(Value::as_str).map(plain).collect()
}

/// What has to be done where there is no built file.
fn to_build(place: &Path, folder: &Path, file: &str, npm: &Map<String, Value>) -> String {
    let scripts = npm.get("scripts").and_then(Value::as_object);
    let has_script = scripts.is_some_and(|scripts| scripts.contains_key("build"));
    let command = if has_script {
        "`npm install && npm run build`"
    } else if folder.join("tsconfig.json").is_file() {
        "`npx tsc`"
    } else {
        "its build"
    };
    let (top, folder) = (top_of(file), folder.display());
    format!(
        "build {file}, which is not there: run {command} in {folder}, then `cp -R {folder}/{top} {}/`",
        place.display()
    )
}

/// The names of the libraries that it needs at run time; none where it needs none.
fn dependencies_of(npm: &Map<String, Value>) -> Option<String> {
    let needed = npm.get("dependencies")?.as_object()?;
    let names: Vec<&str> = needed.keys().map(String::as_str).collect();
    (!names.is_empty()).then(|| shown::cut(&names.join(", "), 4 * SHOWN_CHARS))
}

/// What is copied, all of it looked at before anything is written.
struct Plan<'a> {
    root: &'a Path,
    /// From where, and the path inside the package.
    entries: Vec<(PathBuf, PathBuf)>,
    bytes: u64,
}

impl<'a> Plan<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            entries: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a file, or a folder with everything in it; returns whether it is there. A link on the way may lead elsewhere inside the
    /// folder; those further down are copied as they are, and the registry judges them.
    fn take(&mut self, path: &str) -> Result<bool, Error> {
        let named = self.root.join(path);
        if self.entries.iter().any(|(_, to)| to == Path::new(path)) {
            return Ok(true);
        }
        let from = match fs::canonicalize(&named) {
            Ok(from) if is_inside(path) && from.starts_with(self.root) => from,
            Ok(_) => {
                let why = "leads out of the plugin's folder: put the file itself in its place";
                return Err(invalid(&named, why));
            }
            Err(_) => return Ok(false),
        };
        let mut open = vec![(from, PathBuf::from(path))];
        while let Some((from, to)) = open.pop() {
            let meta = fs::symlink_metadata(&from).map_err(Error::file("look at", &from))?;
            if meta.is_dir() {
                for entry in fs::read_dir(&from).map_err(Error::file("read folder", &from))? {
                    let entry = entry.map_err(Error::file("read folder", &from))?;
                    open.push((entry.path(), to.join(entry.file_name())));
                }
            } else if meta.is_file() {
                self.bytes += meta.len();
            } else if !meta.is_symlink() {
                let why = "is no file, folder or link: a package cannot hold it";
                return Err(invalid(&from, why));
            }
            self.entries.push((from, to));
            if self.entries.len() + open.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
                let why = format!(
                    "makes it more than a package holds: {MAX_ENTRIES} files and folders, {MAX_BYTES} bytes"
                );
                return Err(invalid(&self.root.join(path), &why));
            }
        }
        Ok(true)
    }

    /// Copies all of it. A folder stands before what is in it.
    fn carry_out(&self, place: &Path) -> Result<(), Error> {
        for (from, to) in &self.entries {
            let to = place.join(to);
            copy(from, &to).map_err(Error::file("copy", from))?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        return fs::create_dir_all(to);
    }
    if meta.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    fs::copy(from, to)?;
    // As a template's files have it: the signed mode does not depend on somebody's umask.
    let mode = if meta.permissions().mode() & 0o100 == 0 {
        0o644
    } else {
        0o755
    };
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
}

/// A manifest with its members in the order in which people read them.
struct Pretty<'a>(&'a Map<String, Value>);

/// That order; what is not named comes last.
const ORDER: [&str; 14] = [
    "plugin_id",
    "name",
    "vendor",
    "description",
    "version",
    "api_version",
    "supported_omega_api_versions",
    "capabilities",
    "io",
    "limits",
    "determinism",
    "evidence",
    "entrypoint",
    "schemas",
];

impl Serialize for Pretty<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let place = |name: &str| ORDER.iter().position(|other| *other == name);
        let mut members: Vec<_> = self.0.iter().collect();
        members.sort_by_key(|(name, _)| place(name).unwrap_or(ORDER.len()));
        let mut map = out.serialize_map(Some(members.len()))?;
        for (name, member) in members {
            map.serialize_entry(name, member)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
