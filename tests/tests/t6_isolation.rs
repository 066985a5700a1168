//! T6: a plugin can read its request, compute, write one answer, and nothing else, whatever it is written in.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use campaigns::attacks::jail::Jail;
use campaigns::attacks::{descriptors, files, kernel, memory, network, processes, scripts};
use campaigns::program::{self, Link};
use campaigns::{Host, Package};
use serde_json::json;

/// Native code in the runtimes. It is the same for both, so that for Node, which is slow to start, it is not shown again.
fn libraries() -> impl Iterator<Item = Jail> {
    let node = Jail::library("node").map(|jail| jail.shown_elsewhere().over_the_channel());
    Jail::library("python3").into_iter().chain(node)
}

/// Makes, for one theme, a test for each class that runs native code.
macro_rules! theme {
    ($theme:ident, $static:ident, $dynamic:ident, $library:ident) => {
        #[test]
        fn $static() {
            Jail::native(Link::Static).hold($theme::ATTACKS);
        }

        #[test]
        fn $dynamic() {
            Jail::native(Link::Dynamic).hold($theme::ATTACKS);
        }

        #[test]
        fn $library() {
            for jail in libraries() {
                jail.hold($theme::ATTACKS);
            }
        }
    };
}

// "a plugin can read its request, compute, write one answer, and nothing else; it cannot see, change, signal, outlive
// or starve anything around it, whatever it is written in and whatever it tries; and when it tries, the ledger says what."
theme!(
    files,
    inv_pnp_05_static_program_cannot_reach_files,
    inv_pnp_05_dynamic_program_cannot_reach_files,
    inv_pnp_05_native_code_in_a_runtime_cannot_reach_files
);
theme!(
    network,
    inv_pnp_05_static_program_cannot_reach_the_network,
    inv_pnp_05_dynamic_program_cannot_reach_the_network,
    inv_pnp_05_native_code_in_a_runtime_cannot_reach_the_network
);
theme!(
    descriptors,
    inv_pnp_05_static_program_inherits_nothing,
    inv_pnp_05_dynamic_program_inherits_nothing,
    inv_pnp_05_native_code_in_a_runtime_inherits_nothing
);
theme!(
    processes,
    inv_pnp_08_static_program_cannot_make_or_reach_processes,
    inv_pnp_08_dynamic_program_cannot_make_or_reach_processes,
    inv_pnp_08_native_code_in_a_runtime_cannot_make_or_reach_processes
);
theme!(
    memory,
    inv_pnp_08_static_program_cannot_share_or_hoard_memory,
    inv_pnp_08_dynamic_program_cannot_share_or_hoard_memory,
    inv_pnp_08_native_code_in_a_runtime_cannot_share_or_hoard_memory
);
theme!(
    kernel,
    inv_pnp_05_static_program_cannot_use_kernel_machinery,
    inv_pnp_05_dynamic_program_cannot_use_kernel_machinery,
    inv_pnp_05_native_code_in_a_runtime_cannot_use_kernel_machinery
);

/// "Forbidden … `filesystem_access`, `network_access`, `process_spawn`, `env_access`. They are not only words: the
/// sandbox makes each impossible."
#[test]
fn inv_pnp_06_python_cannot_reach_files_network_processes_or_environment() {
    if let Some(jail) = Jail::script("python3").map(Jail::over_the_channel) {
        jail.hold(scripts::BOTH);
        jail.hold(scripts::PYTHON_ONLY);
    }
}

/// The same sentence.
#[test]
fn inv_pnp_06_node_cannot_reach_files_network_processes_or_environment() {
    if let Some(jail) = Jail::script("node").map(Jail::over_the_channel) {
        jail.hold(scripts::BOTH);
        jail.hold(scripts::NODE_ONLY);
    }
}

/// "it cannot … starve anything around it": reading untouched memory costs the host a page table for each 2 MiB.
#[test]
fn inv_pnp_08_page_tables_are_bounded() {
    for jail in every_native_jail() {
        jail.hold(memory::KERNEL_SIDE);
    }
}

/// "it cannot see … anything around it": pages merged across programs tell one what another holds.
#[test]
fn inv_pnp_08_no_page_is_merged_across_programs() {
    for jail in every_native_jail() {
        jail.hold(memory::MERGING);
    }
}

/// "it cannot see … anything around it": a host's name is the host's.
#[test]
fn inv_pnp_05_the_host_name_is_not_seen() {
    for jail in every_native_jail() {
        jail.hold(kernel::IDENTITY);
    }
}

fn every_native_jail() -> impl Iterator<Item = Jail> {
    [Jail::native(Link::Static), Jail::native(Link::Dynamic)]
        .into_iter()
        .chain(libraries())
}

/// "what was checked is what runs": a program swapped in the store after it was signed and enabled is never started.
#[test]
fn inv_pnp_10_a_program_swapped_after_its_signature_does_not_run() {
    const HONEST: &str =
        "int main(void) { read_line(); answer(\"{\\\"honest\\\":true}\"); return 0; }";
    const SWAPPED: &str =
        "int main(void) { read_line(); answer(\"{\\\"honest\\\":false}\"); return 0; }";
    let host = Host::new();
    let id = host.install(&Package::native(
        "p.swapped.program",
        &program::c(HONEST, Link::Static),
    ));
    assert_eq!(
        host.ask(&id, "x")["result"]["data"],
        json!({ "honest": true })
    );
    let packages = host.state().join("store/packages");
    let package = fs::read_dir(packages)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    campaigns::command::unseal(&package);
    let stored = package.join("program");
    fs::remove_file(&stored).unwrap();
    fs::write(&stored, program::c(SWAPPED, Link::Static)).unwrap();
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o555)).unwrap();
    let before = host.events().len();
    let response = host.ask(&id, "x");
    assert_ne!(response["status"], "ok", "{response}");
    assert!(response["result"].is_null(), "{response}");
    let events = host.events();
    let started = events
        .iter()
        .skip(before)
        .any(|event| event["kind"] == "INVOKE");
    assert!(!started, "{events:#?}");
}

/// "executable memory: never" for static programs, "file-backed private maps only" for dynamic ones, and "as the runtime
/// needs": Python makes no code at run time. And "three descriptors and no more", counted where nobody opens others.
#[test]
fn inv_pnp_05_no_memory_becomes_code_and_no_descriptor_is_inherited() {
    for jail in [Jail::native(Link::Static), Jail::native(Link::Dynamic)]
        .into_iter()
        .chain(Jail::library("python3"))
    {
        jail.hold(memory::CODE);
        jail.hold(descriptors::ANY);
    }
}

/// The sandbox is the same whoever asks: the whole catalogue again, over the supervisor channel of one gateway. What the static
/// program does outside, the dynamic one of the same source is not asked to show again.
#[test]
fn inv_pnp_05_the_catalogue_is_refused_over_the_channel_too() {
    for jail in [
        Jail::native(Link::Static),
        Jail::native(Link::Dynamic).shown_elsewhere(),
    ] {
        let jail = jail.over_the_channel();
        for theme in [
            files::ATTACKS,
            network::ATTACKS,
            descriptors::ATTACKS,
            processes::ATTACKS,
            memory::ATTACKS,
            memory::CODE,
            memory::OVER_LIMIT,
            kernel::ATTACKS,
        ] {
            jail.hold(theme);
        }
    }
}

/// "Memory … caps": four times what the manifest allows is never had.
#[test]
fn inv_pnp_08_programs_cannot_take_more_memory_than_allowed() {
    for jail in [Jail::native(Link::Static), Jail::native(Link::Dynamic)]
        .into_iter()
        .chain(Jail::library("python3"))
    {
        jail.hold(memory::OVER_LIMIT);
    }
}

/// "An operator may set `denials = "end"` (for all, or for one plugin): then a refused call ends the plugin as a hostile one does."
#[test]
fn inv_pnp_05_refused_calls_end_a_plugin_where_the_operator_says_so() {
    for link in [Link::Static, Link::Dynamic] {
        let jail = Jail::native(link).shown_elsewhere().ending();
        for theme in [
            files::ATTACKS,
            network::ATTACKS,
            descriptors::ATTACKS,
            processes::ATTACKS,
            memory::ATTACKS,
            kernel::ATTACKS,
        ] {
            jail.hold(theme);
        }
    }
}
