//! The attacks that scripts make, in Python and in Node: files, network, processes, environment.

use super::Outside::{Root, Works};
use super::{Attack, quiet};

/// Attacks in Python.
pub const PYTHON: &str = include_str!("attacks.py");

/// Attacks in Node.
pub const NODE: &str = include_str!("attacks.js");

/// Loads the catalogue's C code into Python.
pub const PYTHON_LOADER: &str = include_str!("loader.py");

/// Loads the catalogue's C code into Node.
pub const NODE_LOADER: &str = include_str!("loader.js");

/// What both scripts try.
pub const BOTH: &[Attack] = &[
    quiet("read_host_file", Works),
    quiet("read_victim", Works),
    quiet("write_victim", Works).marks(),
    quiet("create_file", Works).marks(),
    quiet("create_in_working_folder", Works),
    quiet("make_folder", Works).marks(),
    quiet("make_link", Works).marks(),
    quiet("make_symlink", Works).marks(),
    quiet("rename_victim", Works).marks(),
    quiet("remove_victim", Works).marks(),
    quiet("truncate_victim", Works).marks(),
    quiet("change_mode", Works).marks(),
    quiet("change_owner", Root).marks(),
    quiet("list_folder", Works),
    quiet("list_home", Works),
    quiet("look_at_victim", Works),
    quiet("read_own_environment_file", Works),
    quiet("read_parent_environment", Works),
    quiet("read_environment", Works),
    quiet("write_own_script", Works),
    quiet("tcp_connect", Works).marks(),
    quiet("udp_send", Works).marks(),
    quiet("tcp_listen", Works),
    quiet("path_socket", Works).marks(),
    quiet("run_command", Works),
    quiet("run_shell", Works),
    quiet("run_self", Works),
    quiet("kill_sibling", Works).marks(),
    quiet("signal_parent", Works),
    quiet("slow_sibling", Works).marks(),
    quiet("inherited_descriptor", Works),
];

/// What only Python tries.
pub const PYTHON_ONLY: &[Attack] = &[
    quiet("fork_process", Works),
    quiet("pool_of_processes", Works),
    quiet("exec_shell", Works),
    quiet("abstract_socket", Works).marks(),
    quiet("memory_file", Works),
    quiet("shared_memory", Works),
    quiet("map_shared", Works),
    quiet("raw_fork", Works),
    quiet("limit_sibling", Works).marks(),
    quiet("become_root", Root),
];

/// What only Node tries.
pub const NODE_ONLY: &[Attack] = &[
    quiet("fork_process", Works),
    quiet("fetch_page", Works).marks(),
    quiet("look_up_name", Works),
    quiet("inspector", Works),
    quiet("list_interfaces", Works),
];
