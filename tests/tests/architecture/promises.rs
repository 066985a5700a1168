//! What a plugin's author is promised, and the tests that hold it: every test that is named here is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A promise: its name, what an author brings or reads, and the tests, each with the file that it stands in.
type Promise = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const HONEST: &str = "gateway/sandbox/src/tests/honest.rs";
const RUNTIMES: &str = "gateway/sandbox/src/tests/runtimes.rs";
const SEEDS: &str = "gateway/sandbox/src/tests/seeds.rs";
const DISCOVER: &str = "gateway/sandbox/src/plan/runtimes/discover.rs";
const PACKAGES: &str = "gateway/registry/src/tests/packages.rs";
const KEPT: &str = "gateway/registry/src/kept.rs";
const KEY_FILES: &str = "gateway/registry/src/tests/keys.rs";
const REMARKS: &str = "gateway/validator/src/tests/remarks.rs";
const SCHEMAS: &str = "gateway/validator/src/tests/packages.rs";
const PATTERNS: &str = "gateway/validator/src/pattern.rs";
const REFERENCES: &str = "gateway/validator/src/schema_refs.rs";
const ORDER: &str = "gateway/src/operator/certify/order.rs";
const REAL: &str = "tests/tests/real_packages.rs";
const AUTHOR: &str = "tests/tests/author.rs";
const LIVE: &str = "tests/tests/live_operator.rs";
const LOOP: &str = "tests/tests/author_loop.rs";
const NEW: &str = "tests/tests/author_new.rs";
const PAGES: &str = "tests/tests/author_pages.rs";
const WORKER: &str = "tests/tests/author_worker.rs";
const SDKS: &str = "tests/tests/sdks.rs";
const TERMINAL: &str = "tests/tests/terminal.rs";

/// P: programs that people have. W: words that mend.
const PROMISES: [Promise; 36] = [
    (
        "P1",
        "event loops: asyncio, tokio, Deno",
        &[
            (HONEST, "an_event_loop_of_epoll_a_pair_and_an_eventfd_runs"),
            (HONEST, "asyncio_runs"),
            (RUNTIMES, "deno_with_packages_of_its_own"),
            (REAL, "a_program_on_the_whole_of_tokio_works"),
        ],
    ),
    (
        "P2",
        "what libraries ask for in vain, and go on without",
        &[
            (
                HONEST,
                "what_python_libraries_try_is_refused_and_they_go_on",
            ),
            (HONEST, "nodes_home_folder_is_asked_for_in_vain"),
            (HONEST, "java_draws_a_random_uuid"),
        ],
    ),
    (
        "P3",
        "a static program that looks for the host's files before it uses what it carries",
        &[(
            HONEST,
            "a_static_program_that_looks_for_files_goes_on_with_what_it_carries",
        )],
    ),
    (
        "P4",
        "/dev/null, /dev/zero and /dev/urandom",
        &[(
            HONEST,
            "small_devices_are_there_and_nothing_else_can_be_written",
        )],
    ),
    (
        "P5",
        "packages of thousands of files, registered with a bar and not hashed again",
        &[
            (REAL, "python_packages_as_pip_unpacks_them_work"),
            (REAL, "node_modules_as_npm_makes_them_work"),
            (PACKAGES, "packages_over_a_limit_are_refused"),
            (
                KEPT,
                "a_new_process_does_not_hash_again_what_another_verified_and_sees_each_change",
            ),
            (
                TERMINAL,
                "inv_pnp_01_a_long_registration_shows_how_far_it_is_to_those_who_look",
            ),
        ],
    ),
    (
        "P6",
        "links inside of a package, and no virtual environment",
        &[
            (PACKAGES, "links_inside_a_package_are_kept_and_signed"),
            (PACKAGES, "special_files_and_links_out_are_refused"),
            (REAL, "node_modules_as_npm_makes_them_work"),
        ],
    ),
    (
        "P7",
        "hundreds of ES modules",
        &[(REAL, "node_modules_as_npm_makes_them_work")],
    ),
    (
        "P8",
        "compiled Python that counts, since the times of files are kept",
        &[(PACKAGES, "times_of_files_are_kept")],
    ),
    (
        "P9",
        "a zipapp, and the versions of Python that are there",
        &[
            (SEEDS, "a_python_zipapp_runs"),
            (RUNTIMES, "every_python_3_is_a_runtime_of_its_own"),
            (
                AUTHOR,
                "a_runtime_that_this_host_has_not_is_a_warning_before_the_first_call",
            ),
        ],
    ),
    (
        "P10",
        "other languages' interpreters, found by asking them",
        &[
            (RUNTIMES, "lua_with_modules_of_its_own"),
            (RUNTIMES, "php_with_functions_of_its_own"),
            (RUNTIMES, "bash_with_its_builtins"),
            (RUNTIMES, "jq_with_its_functions"),
            (RUNTIMES, "awk_with_its_functions"),
            (DISCOVER, "every_data_file_reads_and_asks"),
        ],
    ),
    (
        "P11",
        "sets in one order, or named where they are not",
        &[
            (
                SEEDS,
                "a_deterministic_plugin_sees_sets_and_maps_in_one_order_and_no_variable",
            ),
            (
                ORDER,
                "order_alone_is_told_apart_from_what_is_really_another_result",
            ),
        ],
    ),
    (
        "P12",
        "a worker that prints, throws, or is TypeScript",
        &[
            (WORKER, "inv_pnp_04_what_a_worker_prints_is_no_answer"),
            (
                WORKER,
                "inv_pnp_10_what_a_worker_throws_is_the_answer_error",
            ),
            (WORKER, "inv_pnp_01_typescript_as_a_worker_is_warned_of"),
            (REMARKS, "typescript_for_node_is_a_warning"),
        ],
    ),
    (
        "P13",
        "an exception with a character that no answer may have",
        &[
            (SDKS, "inv_pnp_10_a_plugin_in_python_keeps_to_its_answer"),
            (SDKS, "inv_pnp_10_a_plugin_for_node_keeps_to_its_answer"),
            (SDKS, "inv_pnp_10_a_plugin_in_go_keeps_to_its_answer"),
            (SDKS, "inv_pnp_10_a_plugin_in_c_keeps_to_its_answer"),
            (SDKS, "inv_pnp_10_a_plugin_in_rust_keeps_to_its_answer"),
        ],
    ),
    (
        "W1",
        "a runtime that this host does not have",
        &[
            (
                AUTHOR,
                "a_runtime_that_this_host_has_not_is_a_warning_before_the_first_call",
            ),
            (
                LIVE,
                "inv_pnp_01_a_missing_runtime_is_a_warning_through_a_gateway_at_work",
            ),
        ],
    ),
    (
        "W2",
        "prints before the answer",
        &[
            (
                "tests/tests/mistakes/stdout.rs",
                "inv_pnp_10_mistakes_with_stdout_are_told_with_their_cure",
            ),
            (SDKS, "inv_pnp_10_a_stray_print_without_an_sdk_is_refused"),
        ],
    ),
    (
        "W3",
        "no answer",
        &[(
            "tests/tests/mistakes/stdout.rs",
            "inv_pnp_10_mistakes_with_stdout_are_told_with_their_cure",
        )],
    ),
    (
        "W4",
        "a limit, by the field that sets it",
        &[
            (
                LOOP,
                "inv_pnp_08_a_limit_is_named_by_the_field_that_sets_it",
            ),
            (
                "tests/tests/mistakes/limits.rs",
                "inv_pnp_10_mistakes_with_time_and_memory_are_told_with_their_cure",
            ),
        ],
    ),
    (
        "W5",
        "an import that is not in the package",
        &[
            (
                LOOP,
                "inv_pnp_02_what_is_not_in_the_package_is_named_with_the_way_to_put_it_there",
            ),
            (
                "tests/tests/mistakes/imports.rs",
                "inv_pnp_10_mistakes_with_imports_are_told_with_their_cure",
            ),
        ],
    ),
    (
        "W6",
        "key files of other kinds",
        &[
            (KEY_FILES, "foreign_key_files_are_named"),
            (KEY_FILES, "foreign_openssh_keys_are_named"),
            (
                "tests/tests/mistakes/keys.rs",
                "inv_pnp_06_mistakes_with_keys_are_told_with_their_cure",
            ),
        ],
    ),
    (
        "W7",
        "verbs in the wrong order, and the next command",
        &[
            (
                "tests/tests/mistakes/verbs.rs",
                "inv_pnp_10_verbs_in_the_wrong_order_are_told_with_the_next_command",
            ),
            (
                "tests/tests/command_line/states_and_keys.rs",
                "inv_pnp_01_the_next_command_names_the_state",
            ),
        ],
    ),
    (
        "W8",
        "the file that changed after it was signed",
        &[(PACKAGES, "a_signature_names_what_changed_since")],
    ),
    (
        "W9",
        "a redaction that hits nothing",
        &[
            (REMARKS, "a_redaction_that_can_hit_nothing_is_said"),
            (SCHEMAS, "a_redaction_that_no_schema_names_is_warned_of"),
        ],
    ),
    (
        "W10",
        "the run's id",
        &[(LOOP, "inv_pnp_07_the_run_s_id_is_shown_where_it_is_needed")],
    ),
    (
        "W11",
        "what failed, named once",
        &[
            (LOOP, "inv_pnp_10_what_failed_is_named_once"),
            (LOOP, "inv_pnp_01_a_trace_begins_with_the_script"),
        ],
    ),
    (
        "W12",
        "narrow terminals, quiet, and the answer first",
        &[
            (
                LOOP,
                "inv_pnp_01_words_fit_a_narrow_terminal_and_quiet_is_quiet",
            ),
            (LOOP, "inv_pnp_01_the_answer_is_never_buried"),
        ],
    ),
    (
        "W13",
        "schemas as ECMA and JSON Schema mean them",
        &[
            (PATTERNS, "patterns_mean_what_ecmascript_says"),
            (PATTERNS, "what_no_linear_engine_does_is_refused_with_words"),
            (REFERENCES, "every_way_to_name_a_part_becomes_a_pointer"),
            (SCHEMAS, "references_and_bounds_are_exact"),
        ],
    ),
    (
        "runtimes are found or said to be missing",
        "one data file each, asked of the real interpreter",
        &[
            (DISCOVER, "every_data_file_reads_and_asks"),
            (RUNTIMES, "python_with_its_standard_library"),
            (RUNTIMES, "node_with_its_standard_library"),
            (RUNTIMES, "perl_with_its_standard_library"),
            (RUNTIMES, "ruby_with_its_standard_library"),
            (RUNTIMES, "java_with_its_standard_library"),
            (RUNTIMES, "a_shell_with_its_builtins"),
        ],
    ),
    (
        "a small manifest",
        "defaults are filled in before the hash",
        &[
            (
                "tests/tests/t4_schemas/manifests.rs",
                "inv_pnp_04_what_a_small_manifest_leaves_out_is_filled_in_before_it_is_hashed",
            ),
            (NEW, "inv_pnp_01_the_manifest_of_a_new_plugin_is_small"),
        ],
    ),
    (
        "a hello",
        "three lines without SDK, six with it",
        &[(
            NEW,
            "inv_pnp_01_a_hello_takes_three_lines_without_sdk_and_six_with_it",
        )],
    ),
    (
        "`new` in every language",
        "it complies untouched, has a test of its author's and a README that is true",
        &[
            (NEW, "inv_pnp_01_a_plugin_in_c_is_begun_and_complies"),
            (NEW, "inv_pnp_01_a_plugin_in_go_is_begun_and_complies"),
            (NEW, "inv_pnp_01_a_plugin_in_java_is_begun_and_complies"),
            (NEW, "inv_pnp_01_a_plugin_for_node_is_begun_and_complies"),
            (NEW, "inv_pnp_01_a_plugin_in_python_is_begun_and_complies"),
            (NEW, "inv_pnp_01_a_plugin_in_rust_is_begun_and_complies"),
            (
                NEW,
                "inv_pnp_01_a_plugin_in_the_shell_is_begun_and_complies",
            ),
            (
                NEW,
                "inv_pnp_01_a_plugin_in_typescript_is_begun_and_complies",
            ),
            (NEW, "inv_pnp_01_a_worker_is_begun_and_complies"),
            (NEW, "inv_pnp_01_the_readme_of_a_new_plugin_is_true"),
        ],
    ),
    (
        "answers come whole",
        "blank lines are nothing, other words are quoted, a result names a declared schema",
        &[
            (
                "tests/tests/t4_schemas/answers.rs",
                "inv_pnp_04_blank_lines_around_an_answer_are_nothing_and_other_output_is_quoted",
            ),
            (
                "tests/tests/t4_schemas/answers.rs",
                "inv_pnp_04_a_result_names_a_declared_schema",
            ),
            (
                "tests/tests/t4_schemas/answers.rs",
                "inv_pnp_04_a_schema_of_the_older_form_and_its_patterns_hold",
            ),
        ],
    ),
    (
        "`run` is the author's loop",
        "--watch, --text-file, and what was refused",
        &[
            (
                LOOP,
                "inv_pnp_01_watching_runs_again_and_ends_by_an_interrupt",
            ),
            (LOOP, "inv_pnp_04_a_text_may_come_from_a_file"),
            (LOOP, "inv_pnp_02_run_names_what_was_refused"),
        ],
    ),
    (
        "`certify`",
        "each check is able to fail; the author's own payloads; JSON, table, SARIF",
        &[
            (AUTHOR, "inv_pnp_10_each_check_finds_what_breaks_it"),
            (
                AUTHOR,
                "inv_pnp_04_the_author_s_own_payloads_are_run_and_compared",
            ),
            (
                AUTHOR,
                "inv_pnp_10_the_report_is_for_people_and_for_code_hosts_too",
            ),
        ],
    ),
    (
        "keys that people have",
        "OpenSSH's, and what ssh-keygen signs",
        &[
            (KEY_FILES, "openssh_keys_sign_and_are_trusted"),
            (KEY_FILES, "what_ssh_keygen_signs_is_a_signature"),
        ],
    ),
    (
        "two pages, completions and man",
        "every snippet is run word by word",
        &[
            (PAGES, "inv_pnp_01_the_page_for_those_who_know_is_run"),
            (PAGES, "inv_pnp_10_every_recipe_is_run_and_whole"),
            (TERMINAL, "inv_pnp_01_bash_completes_verbs_and_options"),
            (TERMINAL, "inv_pnp_01_the_manual_names_every_verb"),
        ],
    ),
    (
        "seventy mistakes",
        "seventy diagnoses that name cause and fix",
        &[(
            "tests/tests/mistakes.rs",
            "inv_pnp_10_there_are_seventy_mistakes_and_each_has_its_own_name",
        )],
    ),
];

/// Whether `text` has a test of this name.
fn is_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}()");
    let mut lines = text.lines().scan(false, |marked, line| {
        let line = line.trim();
        let here = *marked && line.starts_with(&head);
        *marked =
            line == "#[test]" || (*marked && (line.starts_with("#[") || line.starts_with("//")));
        Some(here)
    });
    lines.any(|here| here)
}

#[test]
fn every_promise_to_authors_is_held_by_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names: BTreeSet<&str> = PROMISES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), PROMISES.len());
    for letter in ["P", "W"] {
        let missing: Vec<String> = (1..=13)
            .map(|number| format!("{letter}{number}"))
            .filter(|name| !names.contains(name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    let mut lost = Vec::new();
    for (name, what, tests) in &PROMISES {
        assert!(!tests.is_empty(), "{name}: {what}");
        for (file, test) in *tests {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !is_test(&text, test) {
                lost.push(format!("{name} ({what}): {file} has no test {test}"));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(!is_test("fn a() {}\n#[test]\nfn b() {}", "a"));
    assert!(is_test("#[test]\n#[ignore]\nfn b() {}", "b"));
}
