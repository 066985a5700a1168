//! What a process has open and whom it started, read from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many descriptors this process has open.
pub fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many descriptors a process of this user has open.
pub fn descriptors_of(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// The processes whose parent is `parent`, zombies included.
pub fn children_of(parent: u32) -> Vec<u32> {
    processes()
        .filter(|&pid| parent_of(pid) == Some(parent))
        .collect()
}

/// The processes that `ancestor` started, and those that they started, zombies included.
pub fn descendants_of(ancestor: u32) -> Vec<u32> {
    let mut found = children_of(ancestor);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children_of(pid));
        next += 1;
    }
    found
}

/// The plugins that the gateway `gateway` has running: its descendants but for the launchers.
pub fn plugins_of(gateway: u32) -> Vec<u32> {
    let mut found = descendants_of(gateway);
    found.retain(|&pid| name_of(pid).is_some_and(|name| name != "plugin-launcher"));
    found
}

/// Whether the process is still there, were it as a zombie.
pub fn exists(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// The highest resident memory of a process so far, in KiB.
pub fn peak_memory_kib(pid: u32) -> u64 {
    status_kib(pid, "VmHWM:")
}

/// The resident memory of a process now, in KiB.
pub fn memory_kib(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .expect("a process that runs has this line")
}

/// The processes whose command line holds `word`.
pub fn running(word: &str) -> Vec<u32> {
    processes()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
        })
        .collect()
}

/// The names (`comm`) of all processes, to look for one that must be gone.
pub fn names() -> Vec<String> {
    processes_but_those_of_init().filter_map(name_of).collect()
}

/// The processes of this name (`comm`).
pub fn running_as(name: &str) -> Vec<u32> {
    processes_but_those_of_init()
        .filter(|&pid| name_of(pid).is_some_and(|found| found == name))
        .collect()
}

/// Without the zombies that init has inherited: they are dead, and some inits take seconds to notice.
fn processes_but_those_of_init() -> impl Iterator<Item = u32> {
    processes().filter(|&pid| {
        let fields = fields_of(pid);
        fields.is_some_and(|fields| !fields.starts_with("Z 1 "))
    })
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim().to_owned())
}

fn parent_of(pid: u32) -> Option<u32> {
    fields_of(pid)?.split(' ').nth(1)?.parse().ok()
}

/// State, parent and what follows them: the name may hold anything, the fields after its closing parenthesis are plain
/// (proc_pid_stat(5)).
fn fields_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

/// The control groups that the gateway of this process id made and that are still there: their names are `plugin-gateway-<its process>-…`. Those of
/// other gateways come and go meanwhile.
pub fn groups_of(gateway: u32) -> BTreeSet<PathBuf> {
    let its_own = format!("plugin-gateway-{gateway}-");
    let mut found = BTreeSet::new();
    let mut pending = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if name.starts_with(&its_own) {
                found.insert(entry.path());
            } else if !name.starts_with("plugin-gateway-") {
                pending.push(entry.path());
            }
        }
    }
    found
}
