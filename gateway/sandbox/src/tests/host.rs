//! The sandbox fails closed where layers are missing, says so, and leaves no plugin behind when the gateway itself dies.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{
    Link, PREFIX, Permit, alone, alone_under, children, children_of, descriptors,
    in_a_poorer_place, is_alive, is_root, launchers_of, limits, package, program, run, run_c,
    sandbox, script, text, wait_for,
};
use crate::{End, Error, Job, Layer, Pretend, Sandbox, Settings, Threat, examine, try_acts};

#[test]
fn every_layer_has_one_row_and_required_ones_hold() {
    let rows = examine(&Settings::default()).unwrap();
    let layers: Vec<Layer> = rows.iter().map(|row| row.layer).collect();
    assert_eq!(layers[..Layer::ALL.len()], Layer::ALL);
    assert!(rows[Layer::ALL.len()..].iter().all(|row| row.about_threat));
    for row in &rows {
        assert!(!row.detail.is_empty() && !row.name.is_empty());
        assert!(row.enforced || !row.required, "{row:?}");
        assert_eq!(row.remedy.is_empty(), row.enforced, "{row:?}");
    }
}

#[test]
fn every_act_is_refused_in_every_jail_of_this_host() {
    all_refused(&Settings::default());
}

fn all_refused(settings: &Settings) {
    for row in try_acts(settings).unwrap() {
        assert!(row.enforced || !row.required, "{row:?}");
    }
}

#[test]
fn without_user_namespaces_landlock_and_the_filter_hold() {
    if is_root() {
        in_a_poorer_place("host::poorer_place");
    }
}

#[test]
#[ignore = "started by the test above, in a place where no user namespace can be made"]
fn poorer_place() {
    // Whether the remaining layers are enough depends on the kernel's version of Landlock: 6 and later keep signals inside.
    let poor = Settings {
        pretend: Pretend {
            landlock: Some(5),
            ..Pretend::default()
        },
        ..Settings::default()
    };
    let error = Sandbox::<Permit>::open(poor).unwrap_err();
    assert!(
        matches!(&error, Error::Unanswered { threat: Threat::Processes, remedy, .. } if !remedy.is_empty()),
        "{error}"
    );
    let settings = Settings::default();
    all_refused(&settings);
    let sandbox = Sandbox::<Permit>::open(settings).unwrap();
    let folder = package(&[(
        "main.py",
        "import sys, os\nprint(len(os.environ), sys.stdin.readline().strip())\n",
    )]);
    for link in [Link::Static, Link::Dynamic] {
        let report = run(
            &sandbox,
            &program("int main(void) { request(); answer(line); }", link),
            folder.path(),
            "hello\n",
        );
        assert_eq!(
            (report.end.clone(), text(&report).as_str()),
            (End::Answered, "hello\n"),
            "{report:?}"
        );
        assert!(
            !report.layers.contains(&Layer::MountNs) && report.layers.contains(&Layer::Landlock)
        );
    }
    let report = run(
        &sandbox,
        &script("python3", "main.py"),
        folder.path(),
        "hello\n",
    );
    assert_eq!(text(&report), "0 hello\n", "{report:?}");
    nothing_of_the_host_is_open(&sandbox, folder.path());
    super::launcher::siblings_do_not_reach_each_other(&sandbox, folder.path());
}

/// Without namespaces, Landlock and the filter still close what namespaces would hide.
fn nothing_of_the_host_is_open(sandbox: &Sandbox<Permit>, folder: &std::path::Path) {
    let peek = r#"int main(void) { request(); return open("/etc/passwd", O_RDONLY) < 0; }"#;
    for link in [Link::Static, Link::Dynamic] {
        assert_eq!(
            run(sandbox, &program(peek, link), folder, "{}\n").end,
            End::Exited(1)
        );
    }
    let signal = "int main(void) { request(); return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0 ? 0 : 1; }";
    assert_eq!(
        run(sandbox, &program(signal, Link::Static), folder, "{}\n").end,
        End::Exited(1)
    );
}

#[test]
fn plugins_that_could_not_be_killed_are_not_started() {
    if is_root() {
        let words = ["setpriv", "--bounding-set", "-kill"];
        let name = "host::plugins_that_could_not_be_killed_are_not_started";
        alone_under(&words, name, without_the_right_to_kill);
    }
}

fn without_the_right_to_kill() {
    let error = Sandbox::<Permit>::open(Settings::default()).unwrap_err();
    let Error::Missing { layer, remedy } = &error else {
        panic!("{error}");
    };
    assert!(
        *layer == Layer::Uid && remedy.contains("CAP_KILL"),
        "{error}"
    );
}

#[test]
fn a_container_roots_capabilities_are_enough_where_landlock_is() {
    if is_root() {
        // The capabilities that container engines leave to root: those that change users, but none that makes namespaces.
        let kept = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
        let words = ["setpriv", "--bounding-set", kept];
        let name = "host::a_container_roots_capabilities_are_enough_where_landlock_is";
        alone_under(&words, name, as_a_containers_root);
    }
}

fn as_a_containers_root() {
    let without = Settings {
        pretend: Pretend {
            landlock: Some(0),
            ..Pretend::default()
        },
        ..Settings::default()
    };
    // Static programs open no file at all, so of all classes they lack only an answer to the network.
    let error = Sandbox::<Permit>::open(without).unwrap_err();
    assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
    let report = run_c(
        &sandbox(),
        "int main(void) { request(); answer(line); }",
        Link::Dynamic,
    );
    assert_eq!(report.end, End::Answered, "{report:?}");
    assert!(!report.layers.contains(&Layer::MountNs), "{report:?}");
}

#[test]
fn stricter_limits_around_the_gateway_are_kept() {
    for limit in ["--nofile=32", "--nproc=40", "--as=2048000000"] {
        let words = ["prlimit", limit];
        let name = "host::stricter_limits_around_the_gateway_are_kept";
        alone_under(&words, name, || {
            let entry = program("int main(void) { request(); answer(line); }", Link::Static);
            let report = run(&sandbox(), &entry, package(&[]).path(), "hello\n");
            assert_eq!(report.end, End::Answered, "{report:?}");
        });
    }
}

#[test]
fn children_are_kept_for_a_gateway_that_was_started_to_ignore_them() {
    let words = ["env", "--ignore-signal=CHLD"];
    let name = "host::children_are_kept_for_a_gateway_that_was_started_to_ignore_them";
    alone_under(&words, name, || {
        let sandbox = sandbox();
        let early = program("int main(void) { return 3; }", Link::Static);
        let report = run(&sandbox, &early, package(&[]).path(), "");
        assert_eq!(report.end, End::Exited(3));
    });
}

#[test]
fn a_fault_of_ours_is_an_error_and_leaves_nothing() {
    alone(
        "host::a_fault_of_ours_is_an_error_and_leaves_nothing",
        fault_of_ours,
    );
}

fn fault_of_ours() {
    let sandbox = sandbox();
    let folder = package(&[("main.sh", "")]);
    let gone = folder.path().to_path_buf();
    drop(folder);
    let entry = script("sh", "main.sh");
    let job = Job {
        entry: &entry,
        package: &gone,
        input: b"{}\n",
        deadline: Instant::now() + Duration::from_secs(20),
        limits: limits(),
        when_refused: crate::WhenRefused::GoOn,
        deterministic: false,
        names_reads: false,
        cancel: None,
        listener: None,
    };
    let before = descriptors();
    for _ in 0..100 {
        assert!(sandbox.run(&Permit, &job).is_err());
    }
    assert_eq!(descriptors(), before);
    assert!(children().is_empty(), "{:?}", children());
    let unknown = script("cobol", "main.cob");
    let error = sandbox
        .run(
            &Permit,
            &Job {
                entry: &unknown,
                ..job
            },
        )
        .unwrap_err();
    assert!(matches!(error, Error::UnknownRuntime { .. }), "{error}");
}

/// Set in the helper process of the test below.
const HELPER: &str = "SANDBOX_TEST_HELPER";

#[test]
fn the_gateways_own_death_leaves_no_plugin() {
    if std::env::var_os(HELPER).is_some() {
        return help();
    }
    for _ in 0..5 {
        let mut helper = helper("host::the_gateways_own_death_leaves_no_plugin");
        let mut plugins = wait_for(|| children_of(helper.id()), |found| found.len() == 4);
        let launchers = launchers_of(helper.id());
        assert!(!launchers.is_empty());
        plugins.extend(launchers);
        helper.kill().unwrap();
        helper.wait().unwrap();
        let left = wait_for(
            || {
                plugins
                    .iter()
                    .filter(|pid| is_alive(**pid))
                    .copied()
                    .collect()
            },
            |left: &Vec<u32>| left.is_empty(),
        );
        assert!(left.is_empty());
    }
}

#[test]
fn a_killed_gateways_control_groups_are_removed_by_the_next() {
    if std::env::var_os(HELPER).is_some() {
        return help();
    }
    let rows = examine(&Settings::default()).unwrap();
    let row = rows.iter().find(|row| row.layer == Layer::Cgroup).unwrap();
    if !row.enforced {
        return skip::skip(&row.detail);
    }
    let mut helper = helper("host::a_killed_gateways_control_groups_are_removed_by_the_next");
    wait_for(|| children_of(helper.id()), |found| found.len() == 4);
    let folders = group_folders(helper.id());
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(!folders.is_empty() && folders.iter().all(|folder| folder.is_dir()));
    // The killed plugins may take a moment to leave their groups.
    wait_for(
        || {
            drop(sandbox());
            folders.iter().filter(|folder| folder.exists()).count()
        },
        |left| *left == 0,
    );
}

/// Folders in any control-group hierarchy that are named after this process.
fn group_folders(pid: u32) -> Vec<std::path::PathBuf> {
    let output = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name"])
        .arg(format!("plugin-gateway-{pid}-*"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(Into::into).collect()
}

/// Starts this program again to run one test as a helper, and waits until it is ready.
fn helper(test: &str) -> std::process::Child {
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{PREFIX}{test}"), "--nocapture"])
        .env(HELPER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    helper
}

/// Runs four plugins that never end, from four threads, and waits to be killed.
fn help() {
    let sandbox = sandbox();
    let folder = package(&[]);
    let entry = program(
        "int main(void) { signal(SIGTERM, SIG_IGN); for (;;) pause(); }",
        Link::Static,
    );
    println!("ready");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run(&sandbox, &entry, folder.path(), "{}\n"));
        }
    });
}
